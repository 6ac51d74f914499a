"""The recordings that the page shows, by their names.

1. Files are read once, when the program starts. What was asked since then is added.
2. A name is a key of the store. What the page sends as a name is looked up, and never opened.
3. A file that cannot be read is an entry too: its error, with the line, is what the page shows. The
   others still open.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TypeAlias

from msgspec import Struct

from moondream_tools._client_arguments import UsageError
from moondream_transports.recording import read_recording
from sansio_moondream.recording import Recording, RecordingError, RecordingHeader


class Entry(Struct, frozen=True):
    """A recording with its name."""

    name: str
    recording: Recording

    @property
    def header(self) -> RecordingHeader:
        """The header of the recording."""
        return self.recording.header


class Running(Struct, frozen=True):
    """A recording that is being made.

    Attributes:
        name: as an entry has.
        header: without a response.
    """

    name: str
    header: RecordingHeader


class Unreadable(Struct, frozen=True):
    """A file that is no recording.

    Attributes:
        name: as an entry has.
        message: what is wrong.
        line: the number of the invalid line, or None if the file cannot be read at all.
    """

    name: str
    message: str
    line: int | None

    @classmethod
    def of(cls, name: str, path: Path, error: RecordingError | OSError) -> Unreadable:
        """Return the entry of an error. The words of the library name the file and the line."""
        if isinstance(error, OSError):
            return cls(name, (error.strerror or str(error)).lower(), None)
        line = error.line_number
        message = str(error).removeprefix(f"{path.name}, ").removeprefix(f"line {line}: ")
        return cls(name, message, line or None)

    def __str__(self) -> str:
        line = f", line {self.line}" if self.line is not None else ""
        return f"{self.name}{line}: {self.message}"


AnyEntry: TypeAlias = Entry | Running | Unreadable


class Store:
    """The recordings of the page, in the order in which they were added."""

    def __init__(self) -> None:
        self._entries: dict[str, AnyEntry] = {}
        self._adding = threading.Lock()

    def __len__(self) -> int:
        return len(self._entries)

    def __iter__(self) -> Iterator[AnyEntry]:
        return iter(list(self._entries.values()))

    def get(self, name: str) -> AnyEntry | None:
        """Return the entry of a name, or None."""
        return self._entries.get(name)

    def add(self, name: str, recording: Recording) -> Entry:
        """Add a recording.

        Args:
            name: becomes its name, with a number if the store has that name.
            recording: a whole one, from memory.

        Returns:
            The new entry.
        """
        with self._adding:
            entry = Entry(self._free(name), recording)
            self._entries[entry.name] = entry
        return entry

    def begin(self, name: str, header: RecordingHeader) -> Running:
        """Add a recording that is being made. `end` completes it.

        Args:
            name: as in `add`.
            header: without a response.

        Returns:
            The new entry.
        """
        with self._adding:
            entry = Running(self._free(name), header)
            self._entries[entry.name] = entry
        return entry

    def end(self, name: str, recording: Recording) -> None:
        """Put a recording in the place of the one that was being made under this name."""
        with self._adding:
            self._entries[name] = Entry(name, recording)

    def drop(self, name: str) -> None:
        """Remove an entry."""
        with self._adding:
            del self._entries[name]

    def read(self, sources: Sequence[str]) -> None:
        """Add the recordings of files, and of folders with the folders in them.

        The name of a recording is the name of its file, or its path in the folder. With several
        sources it begins with the source.

        Raises:
            UsageError: a source does not exist, or a folder has no recordings.
        """
        for source in dict.fromkeys(sources):
            path = Path(source)
            if path.is_dir():
                paths = sorted(path.rglob("*.jsonl"))
                if not paths:
                    raise UsageError(
                        f"the folder {source} has no recordings (*.jsonl); make some with: "
                        f"moondream-stream record --upstream URL --to {source}"
                    )
            elif path.exists():
                # A link that is named is the caller's choice. Those in a folder are not followed.
                paths = [path]
            else:
                raise UsageError(f"{source} is neither a recording nor a folder with recordings")
            for found in paths:
                if len(sources) > 1:
                    name = found.as_posix()
                else:
                    name = found.name if found is path else found.relative_to(path).as_posix()
                self._read(found.resolve() if found is path else found, _in_utf8(name))

    def _read(self, path: Path, name: str) -> None:
        with self._adding:
            free = self._free(name)
            try:
                self._entries[free] = Entry(free, read_recording(path))
            except (RecordingError, OSError) as error:
                self._entries[free] = Unreadable.of(free, path, error)

    def _free(self, name: str) -> str:
        """Return a name that no entry has."""
        number, stem = 1, name.removesuffix(".jsonl")
        end = name.removeprefix(stem)
        while name in self._entries:
            number += 1
            name = f"{stem}-{number}{end}"
        return name


def _in_utf8(name: str) -> str:
    """Return the name of a file as text that JSON can carry: a file may have any bytes as name."""
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
