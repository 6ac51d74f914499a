"""What an examination came to, for people and for programs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum


class Verdict(Enum):
    """What became of a row."""

    PASSED = "passed"
    FAILED = "failed"
    CANNOT_TELL = "cannot tell"  # it was declared so, and failed
    STALE = "passed, though declared otherwise"  # so the declaration can go
    NOT_CHECKED = "not checked"  # the reason says what there would have to be


@dataclass(frozen=True)
class RowReport:
    """What became of one row.

    Attributes:
        id: as in `ROWS` or `ASYNC_ROWS`.
        verdict: passed or not.
        reason: why it cannot be told, or was not checked; of a row that passed what is worth telling, else "".
        expected, came, server: where it did not pass: what was expected, what came, and what the server did; else "".
    """

    id: str
    verdict: Verdict
    reason: str = ""
    expected: str = ""
    came: str = ""
    server: str = ""

    def __str__(self) -> str:
        words = {"the server": self.server, "expected": self.expected, "came": self.came}
        told = "".join(f"\n    {name:10}  {text}" for name, text in words.items() if text)
        return f"{self.verdict.value.upper()}  {self.id}{f' ({self.reason})' if self.reason else ''}{told}"


@dataclass(frozen=True)
class Report:
    """What became of each row, in their order. Print it: it has the figures, and all but what simply passed."""

    rows: tuple[RowReport, ...]

    def of(self, *verdicts: Verdict) -> list[RowReport]:
        """The rows that this became of."""
        return [row for row in self.rows if row.verdict in verdicts]

    def __getitem__(self, id: str) -> RowReport:
        return next(row for row in self if row.id == id)

    def __iter__(self) -> Iterator[RowReport]:
        return iter(self.rows)

    def __len__(self) -> int:
        return len(self.rows)

    def __str__(self) -> str:
        counts = [f"{len(self.of(verdict))} {verdict.value}" for verdict in Verdict if self.of(verdict)]
        order = (Verdict.FAILED, Verdict.STALE, Verdict.CANNOT_TELL, Verdict.NOT_CHECKED, Verdict.PASSED)
        told = [str(row) for verdict in order for row in self.of(verdict) if verdict is not Verdict.PASSED or row.reason]
        return "\n".join([f"{len(self)} rows: {', '.join(counts) or 'none'}", *told])


class TransportFailed(AssertionError):
    """At least one row failed. Its message has all that did, in words; `report` has everything."""

    def __init__(self, report: Report) -> None:
        super().__init__(report)
        self.report = report

    def __str__(self) -> str:
        failed = self.report.of(Verdict.FAILED)
        return "\n".join([f"{len(failed)} of {len(self.report)} rows failed", *map(str, failed)])
