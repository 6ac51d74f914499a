"""Write recordings to a folder, line by line.

1. A file that is being written has a hidden name with the ending `.part`, and is locked. It gets
   its name when it is complete. The next `RecordingFolder` removes files that nobody locks: their
   writers were killed.
2. Each line that is written is also read. So no file gets a name that a reader would refuse.
"""

from __future__ import annotations

import os
import re
import secrets
import sys
from contextlib import suppress
from itertools import count
from pathlib import Path
from types import TracebackType
from typing import BinaryIO

from sansio_moondream.recording import (
    Line,
    Recording,
    RecordingError,
    RecordingHeader,
    RecordingReader,
    encode_line,
)

from ._files import AnyPath, number_of, open_regular, safe_name

_PART = re.compile(r"\.[0-9]+-[0-9a-f]+\.part")


class RecordingFolder:
    """Save recordings in a folder, as `001-query.jsonl` and so on.

    Use it as `RecordingTransport(transport, RecordingFolder("recordings"))`. The folder is created
    if necessary. A file gets its name when it is complete, and no file is ever replaced. Several
    threads and programs may save to a folder at once. `ReplayTransport` takes the folder, and plays
    its files in the order of their names.

    Files that a killed program left unfinished are removed at once.
    """

    def __init__(self, folder: AnyPath) -> None:
        self._folder = Path(folder)
        for part in self._folder.glob(".*.part"):
            if _PART.fullmatch(part.name):
                _remove_unfinished(part)

    def __call__(self, recording: Recording) -> Path:
        """Write a recording. Returns the path of its file.

        Raises OSError, and RecordingError for a recording that no reader would accept, such as one
        with a line that is too long.
        """
        lines: tuple[Line, ...] = (recording.header, *recording.chunks, recording.ending)
        with self.open() as file:
            for line in lines:
                file.write(line)
            return file.save()

    def open(self) -> RecordingFile:
        """Begin a recording that is written line by line. Raises OSError."""
        self._folder.mkdir(parents=True, exist_ok=True)
        return RecordingFile(self._folder)


class RecordingFile:
    """A recording that is being written. `RecordingFolder.open` returns it.

    It is removed at the end of a `with` block, and by `close`, if it was not saved.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._reader = RecordingReader()
        self._skill = ""
        self._part, self._file = _new_part(folder)

    def write(self, line: Line) -> None:
        """Write the header, a chunk or the ending.

        Raises OSError, and RecordingError for a line that no reader would accept.
        """
        try:
            data = encode_line(line)
        except ValueError as error:  # a number that JSON lacks
            raise RecordingError(str(error)) from error
        self._reader.receive_line(data)
        if isinstance(line, RecordingHeader):
            self._skill = safe_name(line.path.rpartition("/")[2])
        self._file.write(data)

    def save(self) -> Path:
        """Give the recording its name. Returns its path.

        Raises OSError, and RecordingError if the ending is missing.
        """
        self._reader.receive_eof()
        self._file.flush()
        numbers = map(number_of, self._folder.glob("*.jsonl"))
        path = self._folder
        for number in count(max(numbers, default=0) + 1):
            path = self._folder / f"{number:03}-{self._skill}.jsonl"
            if self._rename(path):
                break
        self.close()
        return path

    def close(self) -> None:
        """Remove the recording, if it was not saved."""
        with suppress(OSError):  # the disk is full, and what could not be written is not needed
            self._file.close()
        self._part.unlink(missing_ok=True)

    def __enter__(self) -> RecordingFile:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def _rename(self, path: Path) -> bool:
        """Rename the file without replacing another. Returns whether the name was free."""
        try:
            os.link(self._part, path)
        except FileExistsError:
            return False
        except OSError:  # the file system has no links
            if path.exists():
                return False
            self._file.close()  # Windows renames no open file
            self._part.rename(path)
        return True


def _new_part(folder: Path) -> tuple[Path, BinaryIO]:
    """Create a file for a recording, and lock it."""
    while True:
        part = folder / f".{os.getpid()}-{secrets.token_hex(8)}.part"
        file = part.open("xb")
        _lock(file)
        if os.fstat(file.fileno()).st_nlink:
            return part, file
        file.close()  # it was removed before it was locked


def _remove_unfinished(part: Path) -> None:
    # An OSError says that its writer lives, or that the file is not ours to remove.
    with suppress(OSError, RecordingError), open_regular(part, os.O_RDWR) as file:
        _lock(file, wait=False)
        part.unlink()


if sys.platform == "win32":

    def _lock(file: BinaryIO, *, wait: bool = True) -> None:
        """Do nothing: Windows removes no open file."""
        if not wait:
            file.close()
else:
    import fcntl

    def _lock(file: BinaryIO, *, wait: bool = True) -> None:
        """Lock a file until it is closed. Raises OSError if it is locked and `wait` is False."""
        if wait:
            with suppress(OSError):  # the file system has no locks: then no file is removed
                fcntl.flock(file, fcntl.LOCK_EX)
        else:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
