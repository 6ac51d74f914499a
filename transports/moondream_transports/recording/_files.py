"""Recordings in files. They are read line by line, and written atomically.

The names of files are made here, of letters, digits, `-` and `_` only, so that neither a server nor
a request can choose a path.
"""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Generator, Sequence
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
    """Yield the header, the chunks and the ending of a recording, one at a time.

    Raises RecordingError or OSError.
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
    """Return the recordings of a folder (`*.jsonl`), sorted by their numbers and names.

    Raises RecordingError for a link that leads out of the folder.
    """
    found = sorted(folder.glob("*.jsonl"), key=lambda path: (_number(path), path.name))
    inside = folder.resolve()
    for path in found:
        if path.resolve().parent != inside or not path.is_file():
            raise RecordingError(
                f"{path.name} should be a file in its folder, but it is a link or not a file"
            )
    return found


def _number(path: Path) -> int:
    """Return the number that the name of a recording begins with, or 0."""
    found = _NUMBER.match(path.name)
    return int(found[0]) if found else 0


def safe_name(text: str) -> str:
    """Return a text as a part of a file's name that is valid on every system."""
    return _UNSAFE.sub("-", text).strip("-")[:80] or "unnamed"


class RecordingFolder:
    """Save recordings in a folder, as `001-query.jsonl` and so on.

    Use it as `RecordingTransport(transport, RecordingFolder("recordings"))`. The folder is created
    if necessary. A file gets its name when it is complete. No file is replaced, except by
    `replace`. Several threads and programs may save to a folder at once. `ReplayTransport` takes
    the folder, and plays its files in the order of their names.
    """

    def __init__(self, folder: AnyPath) -> None:
        self._folder = Path(folder)

    def __call__(self, recording: Recording) -> Path:
        """Write a recording. Returns the path of its file. Raises OSError."""
        return self.replace((), [recording])[0]

    def replace(self, old: Collection[Path], recordings: Sequence[Recording]) -> list[Path]:
        """Write recordings in place of old files of this folder. Returns the paths.

        Nothing changes before all of them are written: if the disk fails, the old files stay.
        Raises OSError.
        """
        left, saved = set(old), list[Path]()
        parts = [self._folder / f".{os.getpid()}-{id(each):x}.part" for each in recordings]
        try:
            for part, recording in zip(parts, recordings, strict=True):
                self._folder.mkdir(parents=True, exist_ok=True)
                part.write_bytes(recording.encode())
            for part, recording in zip(parts, recordings, strict=True):
                saved.append(self._publish(part, recording, left))
                left.discard(saved[-1])
        finally:
            for part in parts:
                part.unlink(missing_ok=True)
        for path in left:
            path.unlink(missing_ok=True)
        return saved

    def _publish(self, part: Path, recording: Recording, replaceable: Collection[Path]) -> Path:
        """Give a written file the next name. It may be the name of a replaceable one."""
        skill = safe_name(recording.header.path.rpartition("/")[2])
        kept = (path for path in self._folder.glob("*.jsonl") if path not in replaceable)
        for number in count(max(map(_number, kept), default=0) + 1):
            path = self._folder / f"{number:03}-{skill}.jsonl"
            if path in replaceable:
                part.replace(path)
                return path
            if _rename(part, path):
                return path
        raise AssertionError("there is always a next number")


def _rename(part: Path, path: Path) -> bool:
    """Rename a file without replacing another. Returns whether the name was free."""
    try:
        os.link(part, path)
    except FileExistsError:
        return False
    except OSError:  # the file system has no links
        if path.exists():
            return False
        part.rename(path)
    return True
