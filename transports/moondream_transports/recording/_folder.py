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
from collections.abc import Collection, Iterable
from contextlib import ExitStack, suppress
from itertools import count
from pathlib import Path
from types import TracebackType
from typing import BinaryIO

from sansio_moondream.recording import (
    Ending,
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
    if necessary. A file gets its name when it is complete. No file is replaced, except by
    `replace`. Several threads and programs may save to a folder at once. `ReplayTransport` takes
    the folder, and plays its files in the order of their names.

    Files that a killed program left unfinished are removed at once.

    Args:
        folder: its path.
    """

    def __init__(self, folder: AnyPath) -> None:
        self._folder = Path(folder)
        for part in self._folder.glob(".*.part"):
            if _PART.fullmatch(part.name):
                _remove_unfinished(part)

    def __call__(self, recording: Recording) -> Path:
        """Write `recording`. Returns the path of its file.

        Raises OSError, and RecordingError for a recording that no reader would accept, such as one
        with a line that is too long.
        """
        return self.replace((), [recording])[0]

    def replace(self, old: Collection[Path], recordings: Iterable[Recording]) -> list[Path]:
        """Write `recordings` in place of `old` files of this folder. Returns the paths.

        Nothing changes before all of them are written: if the disk fails, the old files stay.
        Raises as `__call__` does.
        """
        left, saved = set(old), list[Path]()
        with ExitStack() as stack:
            files = [stack.enter_context(self._written(recording)) for recording in recordings]
            for file in files:
                saved.append(file.save(left))
                left.discard(saved[-1])
        for path in left:
            path.unlink(missing_ok=True)
        return saved

    def open(self) -> RecordingFile:
        """Begin a recording that is written line by line. Raises OSError."""
        self._folder.mkdir(parents=True, exist_ok=True)
        return RecordingFile(self._folder)

    def _written(self, recording: Recording) -> RecordingFile:
        lines: tuple[Line, ...] = (recording.header, *recording.chunks, recording.ending)
        file = self.open()
        try:
            for line in lines:
                file.write(line)
        except BaseException:
            file.close()
            raise
        return file


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
        """Write `line`: the header, a chunk or the ending.

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
        if isinstance(line, Ending):
            self._file.flush()

    def save(self, replaceable: Collection[Path] = ()) -> Path:
        """Give the recording its name, which may be that of a file in `replaceable`. Returns its
        path.

        Raises OSError, and RecordingError if the ending is missing.
        """
        self._reader.receive_eof()
        kept = (path for path in self._folder.glob("*.jsonl") if path not in replaceable)
        path = self._folder
        for number in count(max(map(number_of, kept), default=0) + 1):
            path = self._folder / f"{number:03}-{self._skill}.jsonl"
            if self._rename(path, replace=path in replaceable):
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

    def _rename(self, path: Path, *, replace: bool) -> bool:
        """Rename the file. Returns whether the name was free, or its file to be replaced."""
        if replace:
            self._move(path)
            return True
        try:
            os.link(self._part, path)
        except FileExistsError:
            return False
        except OSError:  # the file system has no links
            if path.exists():
                return False
            self._move(path)
        return True

    def _move(self, path: Path) -> None:
        """Rename the file while it is locked, so that nobody takes it for an unfinished one."""
        if sys.platform == "win32":
            self._file.close()  # there is no lock, and no open file can be renamed
        self._part.replace(path)


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
