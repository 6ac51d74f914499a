"""What the readers of all kinds share."""

from __future__ import annotations

import codecs
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

from msgspec import Struct

from moondream_transports.bulk._template import Template
from moondream_transports.bulk._values import Item
from sansio_moondream._repr import short_repr

MAX_ID = 4096
"""Maximum length of an id, in characters."""


class Options(Struct, frozen=True):
    """How sources are read. `read_items` describes each of them.

    Raises:
        ValueError: a value that cannot be used.
    """

    template: Template | None = None
    id_column: str | None = None
    picture_column: str | None = None
    pictures: bool = True
    recursive: bool = True
    follow_links: bool = False
    delimiter: str | None = None
    encoding: str = "utf-8"

    def __post_init__(self) -> None:
        delimiter = self.delimiter
        if delimiter is not None and (len(delimiter) != 1 or delimiter in '"\r\n \0'):
            raise ValueError(
                f"delimiter should be one character, such as ; or a tab, not {delimiter!r}"
            )
        if not _is_text_encoding(self.encoding):
            raise ValueError(
                f"encoding should be the name of an encoding of text, such as utf-8, utf-16 or "
                f"cp1252, not {short_repr(self.encoding, 60)}"
            )
        if not self.pictures and self.picture_column is not None:
            raise ValueError("picture_column is given, although pictures is False")
        if not self.pictures and self.template is not None and self.template.needs_picture:
            raise ValueError(
                f"the skill {self.template.skill} needs pictures: pictures=False is for questions"
            )


class Reader(Protocol):
    """Reads the items of one source."""

    def __iter__(self) -> Iterator[Item]:
        """Read the items from the start."""
        ...

    def count(self) -> int:
        """Return their number."""
        ...


def _is_text_encoding(name: str) -> bool:
    try:
        codecs.lookup(name)
        "".encode(name)
    except (LookupError, ValueError):
        return False
    return True


def display_name(path: Path | str) -> str:
    """Return a path as text for people and for ids: with slashes.

    What Python makes of bytes that are no UTF-8, a lone surrogate, is shown as an escape, because
    neither a ledger nor a file of the output can hold it.
    """
    text = path.as_posix() if isinstance(path, Path) else path
    return text.encode("utf-8", "backslashreplace").decode()
