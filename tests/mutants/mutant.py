"""One change of a source file, and a sample of many."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from difflib import unified_diff
from hashlib import sha256
from types import CodeType


@dataclass(frozen=True)
class Mutant:
    """One range of a source file, replaced. The rest keeps its formatting.

    Attributes:
        path: of the file, relative to the root of the checkout.
        source: the text of the whole file before the change.
        start, stop: the range of `source`, in bytes of UTF-8, that is replaced.
        new: what replaces it.
        lines: numbers of lines. A test that executes none of them cannot notice the change.
    """

    path: str
    source: str
    start: int
    stop: int
    new: str
    lines: frozenset[int]

    @property
    def text(self) -> str:
        """Return the whole file with the change in it."""
        data = self.source.encode()
        return (data[: self.start] + self.new.encode() + data[self.stop :]).decode()

    def compiled(self) -> CodeType:
        """Compile the changed file. Raises SyntaxError, which is a bug of this tool."""
        return compile(self.text, self.path, "exec")

    @property
    def number(self) -> int:
        """Return the number of the first line that changes."""
        return self.source.encode().count(b"\n", 0, self.start) + 1

    @property
    def change(self) -> tuple[str, str]:
        """Return the changed lines, before and after, with each run of white space as one space.

        This is the identity of a mutant in its file. It has no line number, so that it stays the
        same when other lines change.
        """
        data = self.source.encode()
        first = data.rfind(b"\n", 0, self.start) + 1
        last = (data + b"\n").find(b"\n", self.stop)
        after = data[first : self.start] + self.new.encode() + data[self.stop : last]
        return " ".join(data[first:last].decode().split()), " ".join(after.decode().split())

    @property
    def diff(self) -> str:
        """Return the change as a unified diff with one line of context."""
        before, after = self.source.splitlines(True), self.text.splitlines(True)
        return "".join(unified_diff(before, after, self.path, self.path, n=1))


def sample(mutants: Iterable[Mutant], seed: int, count: int) -> list[Mutant]:
    """Choose `count` mutants and return them by file and position.

    The choice depends on the seed and on the text of each mutant alone. Most of a sample stays the
    same when other lines change or when a file is moved.
    """

    def rank(mutant: Mutant) -> str:
        return sha256(repr((seed, *mutant.change)).encode()).hexdigest()

    return sorted(sorted(mutants, key=rank)[:count], key=lambda mutant: (mutant.path, mutant.start))
