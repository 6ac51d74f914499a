"""Recordings in files: read line by line, and written so that a file is there whole or not at all.

Names of files are made here, and of nothing but letters, digits, `-` and `_`: what a server or a
request says cannot choose a path."""

from __future__ import annotations

import os
import re
from collections.abc import Generator
from itertools import count
from pathlib import Path
from typing import TypeAlias

from sansio_moondream.recording import (
    MAX_LINE_BYTES,
    Ending,
    Line,
    Recording,
    RecordingError,
    RecordingReader,
)

AnyPath: TypeAlias = str | os.PathLike[str]
_NUMBER = re.compile(r"[0-9]{1,9}(?=-)")
_UNSAFE = re.compile(r"[^A-Za-z0-9_-]+")


def read_lines(path: Path) -> Generator[Line, None, None]:
    """A recording's header, chunks and ending, holding one of them at a time.

    Raises RecordingError, OSError.
    """
    reader = RecordingReader()
    with path.open("rb") as file:
        try:
            while line := file.readline(MAX_LINE_BYTES + 1):
                value = reader.receive_line(line)
                if isinstance(value, Ending) and (more := file.readline(MAX_LINE_BYTES + 1)):
                    reader.receive_line(more)  # raises
                yield value
            reader.receive_eof()
        except RecordingError as error:
            raise RecordingError(f"{path.name}, {error}", error.line_number) from error


def recordings_in(folder: Path) -> list[Path]:
    """The recordings of a folder (`*.jsonl`), by their numbers and names.

    Raises RecordingError for one that is a link to elsewhere.
    """
    found = sorted(folder.glob("*.jsonl"), key=lambda path: (_number(path), path.name))
    inside = folder.resolve()
    for path in found:
        if path.resolve().parent != inside or not path.is_file():
            raise RecordingError(
                f"{path.name} should be a file in its folder, and is a link to elsewhere, or no file"
            )
    return found


def _number(path: Path) -> int:
    """What a recording's name begins with; 0 where that is no number."""
    found = _NUMBER.match(path.name)
    return int(found[0]) if found else 0


def safe_name(text: str) -> str:
    """What of a text can be a part of a file's name anywhere."""
    return _UNSAFE.sub("-", text).strip("-")[:80] or "unnamed"


class RecordingFolder:
    """Saves recordings in a folder, as `001-query.jsonl` and so on: for
    `RecordingTransport(transport, RecordingFolder("recordings"))`.

    The folder is made if it is not there. A file gets its name when it is whole, and no file is
    ever replaced; several threads and programs may save there at once. `ReplayTransport` takes the
    folder as it is, and plays in the order of the names."""

    def __init__(self, folder: AnyPath) -> None:
        self._folder = Path(folder)

    def __call__(self, recording: Recording) -> Path:
        """Write it, and say where. Raises OSError."""
        self._folder.mkdir(parents=True, exist_ok=True)
        part = self._folder / f".{os.getpid()}-{id(recording):x}.part"
        try:
            part.write_bytes(recording.encode())
            skill = safe_name(recording.header.path.rpartition("/")[2])
            for number in count(max(map(_number, self._folder.glob("*.jsonl")), default=0) + 1):
                path = self._folder / f"{number:03}-{skill}.jsonl"
                if _give_name(part, path):
                    return path
        finally:
            part.unlink(missing_ok=True)
        raise AssertionError("there is always a next number")


def _give_name(part: Path, path: Path) -> bool:
    """Whether the name was free."""
    try:
        os.link(part, path)
    except FileExistsError:
        return False
    except OSError:  # there are file systems without links
        if path.exists():
            return False
        part.rename(path)
    return True
