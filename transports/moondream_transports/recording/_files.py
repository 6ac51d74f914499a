"""Read recordings from files, line by line.

1. Names of files are made here, of letters, digits, `-` and `_` only, so that neither a server nor
   a request can choose a path.
2. Only regular files are read, and no links: a folder may come from somebody else. The check is
   made on the file that is open, so nobody can replace it in between.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Generator
from pathlib import Path
from typing import BinaryIO, TypeAlias

from sansio_moondream.recording import (
    MAX_LINE_BYTES,
    Chunk,
    Ending,
    Line,
    Recording,
    RecordingError,
    RecordingHeader,
    RecordingReader,
)

AnyPath: TypeAlias = str | os.PathLike[str]
"""The path of a file or a folder."""
_NUMBER = re.compile(r"[0-9]{1,9}(?=-)")
_UNSAFE = re.compile(r"[^A-Za-z0-9_-]+")
# Windows has neither flag, and no FIFOs or devices in its folders.
_NO_LINK = getattr(os, "O_NOFOLLOW", 0)
_NO_WAIT = getattr(os, "O_NONBLOCK", 0)  # to open a FIFO waits for its writer otherwise


def read_recording(path: Path) -> Recording:
    """Return the recording in the file at `path`.

    Raises RecordingError or OSError.
    """
    lines = list(read_lines(path))
    header, ending = lines[0], lines[-1]
    assert isinstance(header, RecordingHeader) and isinstance(ending, Ending)
    chunks = tuple(line for line in lines if isinstance(line, Chunk))
    return Recording(header, chunks, ending)


def read_lines(path: Path) -> Generator[Line, None, None]:
    """Yield the header, the chunks and the ending of the recording at `path`, one at a time.

    Raises RecordingError, also for a link and for what is not a regular file, and OSError.
    """
    reader = RecordingReader()
    with open_regular(path) as file:
        try:
            while line := file.readline(MAX_LINE_BYTES + 1):
                value = reader.receive_line(line)
                if isinstance(value, Ending) and (more := file.readline(MAX_LINE_BYTES + 1)):
                    reader.receive_line(more)  # raises
                yield value
            reader.receive_eof()
        except RecordingError as error:
            raise RecordingError(f"{path.name}, {error}", error.line_number) from error


def open_regular(path: Path, mode: int = os.O_RDONLY) -> BinaryIO:
    """Open a regular file, to read it or with os.O_RDWR. Raises RecordingError or OSError."""
    _check(path, path.lstat())  # before, as opening a device may do something
    try:
        descriptor = os.open(path, mode | _NO_LINK | _NO_WAIT | getattr(os, "O_BINARY", 0))
    except OSError:
        _check(path, path.lstat())
        raise
    file = open(descriptor, "rb" if mode == os.O_RDONLY else "r+b")  # noqa: SIM115 - returned
    try:
        _check(path, os.fstat(descriptor))
    except RecordingError:
        file.close()
        raise
    return file


def _check(path: Path, status: os.stat_result) -> None:
    if not stat.S_ISREG(status.st_mode):
        kind = "a link" if stat.S_ISLNK(status.st_mode) else "something else"
        raise RecordingError(f"{path.name} should be a regular file, but it is {kind}")


def recordings_in(folder: Path) -> list[Path]:
    """Return the recordings in `folder` (`*.jsonl`), sorted by their numbers and names."""
    return sorted(folder.glob("*.jsonl"), key=lambda path: (number_of(path), path.name))


def number_of(path: Path) -> int:
    """Return the number that the name of a recording begins with, or 0."""
    found = _NUMBER.match(path.name)
    return int(found[0]) if found else 0


def safe_name(text: str) -> str:
    """Return `text` as a part of a file's name that is valid on every system."""
    return _UNSAFE.sub("-", text).strip("-")[:80] or "unnamed"
