"""What an examination came to, for people and for programs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum


class Verdict(Enum):
    """What became of a case."""

    PASSED = "passed"
    FAILED = "failed"
    KNOWN_FAILURE = "cannot tell"  # it was declared so, and failed
    STALE = "passed, though declared otherwise"  # so the declaration can go
    NOT_CHECKED = "not checked"  # the reason says what there would have to be


@dataclass(frozen=True)
class CaseReport:
    """What became of one case.

    Attributes:
        id: as in `CASES` or `ASYNC_CASES`.
        verdict: passed or not.
        reason: why it cannot be told, or was not checked; of a case that passed what is worth
            telling, else "".
        expected, came, server: where it did not pass: what was expected, what came, and what the
            server did; else "".
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
    """What became of each case, in their order.

    Print it: it has the figures, and all but what simply passed.
    """

    cases: tuple[CaseReport, ...]

    def of(self, *verdicts: Verdict) -> list[CaseReport]:
        """The cases that this became of."""
        return [case for case in self.cases if case.verdict in verdicts]

    def __getitem__(self, id: str) -> CaseReport:
        return next(case for case in self if case.id == id)

    def __iter__(self) -> Iterator[CaseReport]:
        return iter(self.cases)

    def __len__(self) -> int:
        return len(self.cases)

    def __str__(self) -> str:
        counts = [
            f"{len(self.of(verdict))} {verdict.value}" for verdict in Verdict if self.of(verdict)
        ]
        order = (
            Verdict.FAILED,
            Verdict.STALE,
            Verdict.KNOWN_FAILURE,
            Verdict.NOT_CHECKED,
            Verdict.PASSED,
        )
        told = [
            str(case)
            for verdict in order
            for case in self.of(verdict)
            if verdict is not Verdict.PASSED or case.reason
        ]
        return "\n".join([f"{len(self)} cases: {', '.join(counts) or 'none'}", *told])


class TransportFailed(AssertionError):
    """At least one case failed. Its message has all that did, in words; `report` has everything."""

    def __init__(self, report: Report) -> None:
        super().__init__(report)
        self.report = report

    def __str__(self) -> str:
        failed = self.report.of(Verdict.FAILED)
        return "\n".join([f"{len(failed)} of {len(self.report)} cases failed", *map(str, failed)])
