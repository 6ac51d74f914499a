"""Where a bulk run is, in numbers and in words. Pure: the time comes in as an argument."""

from __future__ import annotations

import math
from collections import deque

from msgspec import Struct

from moondream_transports import LimiterStatus
from moondream_transports.bulk import Counts

_WINDOW = 60.0  # seconds, in which the rate is measured
_STEP = 1.0  # seconds between two points of this window


class Snapshot(Struct, frozen=True):
    """Where a run is at one moment.

    Attributes:
        counts: of the items.
        total: how many items the run will have looked at when it ends, or None.
        per_second: items that ended each second of the last minute, or None at the beginning.
        seconds_left: at this rate, or None.
        limit: of the requests.
        stopping: no more requests begin.
    """

    counts: Counts
    total: int | None
    per_second: float | None
    seconds_left: float | None
    limit: LimiterStatus
    stopping: bool

    @property
    def seen(self) -> int:
        """The items that ended, in this run or before."""
        counts = self.counts
        return counts.skipped + counts.duplicates + counts.done + counts.failed

    @property
    def share(self) -> float | None:
        """The share of the items that ended, from 0 to 1, or None."""
        return min(self.seen / self.total, 1.0) if self.total else None

    @property
    def progress(self) -> str:
        """How many items ended: `1,234 of 100,000 (1 %)`."""
        if self.total is None:
            return f"{self.seen:,}"
        share = "" if self.share is None else f" ({self.share * 100:.0f} %)"
        return f"{self.seen:,} of {self.total:,}{share}"

    @property
    def facts(self) -> str:
        """How fast the run is: `2.0/s, at most 2/s, 4 in flight, 12 waiting, 1,234 tokens`."""
        parts = [] if self.per_second is None else [f"{self.per_second:.1f}/s"]
        if self.limit.per_second is not None and not self.limit.paused:
            parts.append(f"at most {_rounded(self.limit.per_second)}/s")
        parts.append(f"{self.limit.open:,} in flight")
        if self.limit.waiting:
            parts.append(f"{self.limit.waiting:,} waiting")
        parts.append(f"{tokens_of(self.counts):,} tokens")
        if self.counts.skipped:
            parts.append(f"{self.counts.skipped:,} done before")
        return ", ".join(parts)

    @property
    def failures(self) -> str:
        """How many items failed, by the class of their error, or nothing."""
        return (
            f"{self.counts.failed:,} failed: {by_class(self.counts)}" if self.counts.failed else ""
        )

    @property
    def notes(self) -> list[str]:
        """What holds the run up."""
        notes: list[str] = []
        if self.limit.paused > 0:
            seconds = math.ceil(self.limit.paused)
            notes.append(f"the server asked for a pause: {clock(seconds)} left")
        if self.stopping:
            notes.append("stopping when the requests in flight have ended; Ctrl+C stops at once")
        return notes

    @property
    def left(self) -> str:
        """The time left: `13:42:05 left`, or nothing."""
        return "" if self.seconds_left is None else f"{clock(self.seconds_left)} left"

    @property
    def line(self) -> str:
        """All of it, on one line."""
        parts = [self.progress, self.facts, self.failures, self.left, *self.notes]
        return "; ".join(part for part in parts if part)


class Meter:
    """Measure the rate of a run.

    Args:
        at_most: of the items that are asked in this run, or None for all.
    """

    def __init__(self, at_most: int | None = None) -> None:
        self._at_most = at_most
        self._points: deque[tuple[float, int]] = deque()

    def snapshot(
        self, counts: Counts, limit: LimiterStatus, stopping: bool, now: float
    ) -> Snapshot:
        """Return where the run is.

        Args:
            counts: at this moment.
            limit: of the requests, at this moment.
            stopping: no more requests begin.
            now: seconds of a clock that never goes back.
        """
        ended = counts.done + counts.failed
        if not self._points or now - self._points[-1][0] >= _STEP:
            self._points.append((now, ended))
        while now - self._points[0][0] > _WINDOW:
            self._points.popleft()
        since, before = self._points[0]
        per_second = (ended - before) / (now - since) if now - since >= _STEP else None
        total = counts.total
        if total is not None and self._at_most is not None:
            total = min(total, counts.skipped + counts.duplicates + self._at_most)
        left = None
        if total is not None and per_second and not stopping:
            left = max(total - counts.skipped - counts.duplicates - ended, 0) / per_second
        return Snapshot(counts, total, per_second, left, limit, stopping)


def tokens_of(counts: Counts) -> int:
    """Return the tokens of the answers, those of the questions and pictures included."""
    return counts.input_tokens + counts.output_tokens


def most_common(counts: Counts) -> list[tuple[str, int]]:
    """Return how many items failed by the class of their error, the most frequent first."""
    return sorted(counts.failures.items(), key=lambda pair: (-pair[1], pair[0]))


def by_class(counts: Counts) -> str:
    """Return the same in words."""
    return ", ".join(f"{name} {number:,}" for name, number in most_common(counts))


def _rounded(rate: float) -> str:
    return f"{rate:.2g}" if rate < 1 else f"{rate:,.1f}".removesuffix(".0")


def clock(seconds: float) -> str:
    """Return a time as `12 s`, `3:04` or `13:42:05`."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    minutes, rest = divmod(whole, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
