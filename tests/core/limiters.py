"""What the tests of the limiter share: turns, and a slow, exact account of one gate's rate."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

from sansio_moondream.limiter import AdmissionQueue, RateLimit, Ticket


def windows_are_kept(limit: RateLimit, begun: Sequence[float]) -> bool:
    """Whether at most burst + per_second * w requests began in each window of w seconds."""
    if limit.per_second is None:
        return True
    rate, burst = Fraction(limit.per_second), limit.burst or 1
    # The window from request i to request j holds j - i + 1, if j - i * rate never falls by more.
    least = Fraction(0)
    for number, moment in enumerate(begun):
        surplus = number - rate * Fraction(moment)
        least = surplus if number == 0 else min(least, surplus)
        if surplus - least + 1 > burst:
            return False
    return True


class Account:
    """The tokens of one gate as fractions: the reference for its schedule, without rounding."""

    def __init__(self, limit: RateLimit) -> None:
        self.rate = Fraction(limit.per_second or 0)
        self.burst = Fraction(limit.burst or 1)
        self.recovery = Fraction(limit.recovery)
        self.level = self.burst
        self.at = Fraction(0)
        self.start: Fraction | None = None  # the end of the last pause

    def earned(self, moment: Fraction) -> Fraction:
        """The integral of the rate from the end of the last pause."""
        if self.start is None:
            return self.rate * moment
        seconds = max(moment - self.start, Fraction(0))
        ramped = min(seconds, self.recovery)
        share = ramped / 10
        if self.recovery:
            share += Fraction(9, 20) * ramped**2 / self.recovery
        return self.rate * (share + seconds - ramped)

    def tokens(self, now: float) -> Fraction:
        """What is in the bucket at a moment, which is not before the last change."""
        more = self.earned(Fraction(now)) - self.earned(self.at)
        return min(self.burst, self.level + more)

    def begin(self, now: float) -> None:
        self.level, self.at = self.tokens(now) - 1, Fraction(now)

    def pause(self, end: float) -> None:
        self.level, self.at = Fraction(0), Fraction(end)
        self.start = self.at


def moments(queue: AdmissionQueue, count: int, now: float = 0.0) -> list[float]:
    """Let so many requests begin, each as soon as it may, and end at once."""
    begun: list[float] = []
    for _ in range(count):
        queue.join(now)
    while (moment := queue.next_at(now)) is not None:
        now = moment
        admitted = queue.admit(now)
        begun += [now for _ in admitted]
        for ticket in admitted:
            queue.release(ticket, now)
    assert len(begun) == count
    return begun


def turn(queue: AdmissionQueue, now: float) -> Ticket:
    """Take a turn, which has to be free."""
    ticket = queue.join(now)
    assert queue.admit(now) == [ticket]
    return ticket
