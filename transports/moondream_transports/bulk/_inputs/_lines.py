"""The lines of a text file, of bounded length, with their numbers."""

from __future__ import annotations

import codecs
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

MAX_LINE = 32 * 1024 * 1024
"""Maximum length of a line, in characters. A data URL of 10 MB has 14 million."""

_UTF_16 = ("\udcff\udcfe", "\udcfe\udcff")


class Lines:
    """Iterates over the lines of a text file. They have no line end, but for `keep_ends`.

    A line that is too long is skipped, and raises ValueError in its turn. Then the iterator goes
    on. Bytes that are not in the encoding become lone surrogates. `number` is that of the last
    line, from 1.
    """

    def __init__(self, file: TextIO, *, keep_ends: bool = False) -> None:
        self.number = 0
        self._file = file
        self._keep_ends = keep_ends

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        line = self._file.readline(MAX_LINE + 1)
        if not line:
            raise StopIteration
        self.number += 1
        if len(line) > MAX_LINE and not line.endswith("\n"):
            while line and not line.endswith("\n"):
                line = self._file.readline(MAX_LINE)
            raise ValueError(f"it has more than {MAX_LINE:,} characters")
        return line if self._keep_ends else line.rstrip("\r\n")


@contextmanager
def open_lines(path: Path, encoding: str, *, keep_ends: bool = False) -> Generator[Lines]:
    """Open a text file. A byte order mark is no part of its first line.

    Raises:
        ValueError: the file is in another encoding. The message names it.
        OSError: it cannot be read.
    """
    is_utf_8 = codecs.lookup(encoding).name == "utf-8"
    name = "utf-8-sig" if is_utf_8 else encoding
    with path.open(encoding=name, errors="surrogateescape", newline="\n") as file:
        try:
            if is_utf_8 and file.read(2) in _UTF_16:
                raise ValueError(f"{path} is in UTF-16: give that as its encoding")
            file.seek(0)
            yield Lines(file, keep_ends=keep_ends)
        except UnicodeError as error:
            raise ValueError(f"{path} cannot be read as {encoding}: {error}") from error


def read_lines(path: Path, encoding: str) -> Iterator[tuple[int, str | ValueError]]:
    """Read the lines of a text file that are not blank.

    Each has its number, from 1, and its text or what is wrong with it.
    """
    with open_lines(path, encoding) as lines:
        while True:
            line: str | ValueError
            try:
                line = next(lines)
            except StopIteration:
                return
            except ValueError as error:
                if isinstance(error, UnicodeError):
                    raise
                line = error
            if isinstance(line, ValueError) or (line and not line.isspace()):
                yield lines.number, line
