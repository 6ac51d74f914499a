"""Pictures from files and from standard input."""

from __future__ import annotations

import io
import sys
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from moondream_transports import read_image
from sansio_moondream import EncodedImage

from ._client_arguments import UsageError
from ._exit import print_error
from ._status import PROGRAM
from ._wording import INSTALL

STDIN = "-"


class Picture(NamedTuple):
    """A picture that is asked about.

    Attributes:
        name: as it was given.
        data: the bytes of the file.
        encoded: as it is sent.
    """

    name: str
    data: bytes
    encoded: EncodedImage


class _Named(io.BytesIO):
    """Bytes of a file with its name, which is in the messages of errors."""

    def __init__(self, data: bytes, name: str) -> None:
        super().__init__(data)
        self.name = name


def read_pictures(names: Sequence[str], max_side: int | None = None) -> list[Picture]:
    """Read pictures. Raises UsageError, ValueError or OSError."""
    if names.count(STDIN) > 1:
        raise UsageError("- is standard input, which has one picture: give it once")
    return [read_picture(name, max_side) for name in names]


def read_picture(name: str, max_side: int | None = None) -> Picture:
    """Read a picture from a file or from standard input. Raises UsageError, ValueError or OSError.

    What was done to make it smaller is printed.
    """
    shown = "standard input" if name == STDIN else name
    try:
        data = sys.stdin.buffer.read() if name == STDIN else Path(name).read_bytes()
    except IsADirectoryError:
        raise UsageError(
            f"{shown}: is a directory: name its pictures, or ask with {PROGRAM} bulk"
        ) from None
    except OSError as error:  # that of standard input names no file
        raise UsageError(f"{shown}: {(error.strerror or str(error)).lower()}") from error
    except ValueError as error:  # a NUL in the name
        raise UsageError(f"{shown!r} is not the name of a file: {error}") from error
    if not data:
        raise UsageError(f"{shown}: it is empty, and should be a picture")
    # Pillow warns of what is odd in a file. The error, if there is one, says enough.
    with warnings.catch_warnings(action="ignore"):
        try:
            encoded = read_image(_Named(data, shown), max_side=max_side)
        except ModuleNotFoundError as error:
            raise UsageError(f"--max-side needs Pillow: {INSTALL}") from error
    if encoded.note is not None:
        print_error(f"the picture {shown} was {encoded.note}")
    return Picture(name, data, encoded)
