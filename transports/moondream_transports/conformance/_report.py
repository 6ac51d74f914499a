"""The outcome of a check, for people and for programs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum


class Verdict(Enum):
    """The outcome of a case."""

    PASSED = "passed"
    FAILED = "failed"
    KNOWN_FAILURE = "known failure"  # declared, and failed
    STALE = "passed, though declared as a known failure"  # the declaration can be removed
    NOT_CHECKED = "not checked"  # the reason says what is missing


@dataclass(frozen=True)
class CaseReport:
    """The outcome of one case.

    Attributes:
        id: As in `CASES` or `ASYNC_CASES`.
        verdict: Whether the case passed.
        reason: Why it is a known failure, or was not checked. For a case that passed a remark, or
            "".
        expected: What was expected, if the case did not pass, else "". So are the next three.
        seen: What was seen instead.
        server: What the server did.
        frames: The last frames of the transport's own code in the last error that it raised, each
            as "file:line, function: source". Empty if it raised none.
    """

    id: str
    verdict: Verdict
    reason: str = ""
    expected: str = ""
    seen: str = ""
    server: str = ""
    frames: tuple[str, ...] = ()

    def __str__(self) -> str:
        rows = [("the server", self.server), ("expected", self.expected), ("seen", self.seen)]
        rows += [("last error" * (at == 0), frame) for at, frame in enumerate(self.frames)]
        reason = f" ({self.reason})" if self.reason else ""
        lines = [f"    {name:10}  {text}" for name, text in rows if text]
        return "\n".join([f"{self.verdict.value.upper()}  {self.id}{reason}", *lines])


@dataclass(frozen=True)
class Report:
    """The outcome of every case.

    Its text has the counts, and all cases but those that passed without a remark.

    Attributes:
        cases: in order.
    """

    cases: tuple[CaseReport, ...]

    def of(self, *verdicts: Verdict) -> list[CaseReport]:
        """Return the cases with one of `verdicts`."""
        return [case for case in self.cases if case.verdict in verdicts]

    def __getitem__(self, id: str) -> CaseReport:
        for case in self.cases:
            if case.id == id:
                return case
        raise KeyError(id)

    def __iter__(self) -> Iterator[CaseReport]:
        return iter(self.cases)

    def __len__(self) -> int:
        return len(self.cases)

    def __str__(self) -> str:
        numbers = {verdict: len(self.of(verdict)) for verdict in Verdict}
        counts = [
            f"{number} {verdict.value}{'s' * (verdict is Verdict.KNOWN_FAILURE and number > 1)}"
            for verdict, number in numbers.items()
            if number
        ]
        order = (
            Verdict.FAILED,
            Verdict.STALE,
            Verdict.KNOWN_FAILURE,
            Verdict.NOT_CHECKED,
            Verdict.PASSED,
        )
        shown = [
            str(case)
            for verdict in order
            for case in self.of(verdict)
            if verdict is not Verdict.PASSED or case.reason
        ]
        return "\n".join([f"{len(self)} cases: {', '.join(counts) or 'none'}", *shown])


class TransportFailed(AssertionError):
    """At least one case failed. The message describes those; `report` has all cases."""

    def __init__(self, report: Report) -> None:
        super().__init__(report)
        self.report = report

    def __str__(self) -> str:
        failed = self.report.of(Verdict.FAILED)
        return "\n".join([f"{len(failed)} of {len(self.report)} cases failed", *map(str, failed)])
