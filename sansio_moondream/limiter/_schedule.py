"""When the requests of one rate may begin.

1. The promise: in any window of w seconds at most `burst + per_second * w` requests begin. Rounding
   must not break it. So this counts in whole ticks of 2**-40 seconds. Each float is a whole number
   of fractions of a power of two, so its conversion is exact. Where a result is no whole number, we
   round to the side that makes requests later.
2. This is the generic cell rate algorithm: `_due` is when the bucket would be full again. A request
   may begin if that is at most `burst - 1` intervals ahead, and moves it by one interval.
3. The algorithm does not run on the clock, but on earned time. That is the same until the first
   pause. After a pause it grows slower than the clock, because the rate is lower: from a tenth at
   the end of the pause, linear in time, to all of it at the end of the recovery. Earned time never
   grows faster than the clock, so the promise holds in each window.
4. After a pause the bucket is empty: the first request waits until a whole interval is earned.
"""

from __future__ import annotations

from math import ceil, inf, isqrt, nextafter
from typing import Final

_TICKS: Final = 2**40  # in a second


class Schedule:
    """Compute when requests may begin. Moments are seconds of a clock that never goes back.

    Args:
        per_second: the rate.
        burst: how many may begin at once.
        recovery: seconds in which the rate grows back after a pause.
    """

    __slots__ = ("_burst", "_due", "_interval", "_ramp", "_recovery", "_start", "per_second")

    def __init__(self, per_second: float, burst: int, recovery: float) -> None:
        self.per_second = per_second
        numerator, denominator = float(per_second).as_integer_ratio()
        self._interval = -(-_TICKS * denominator // numerator)
        self._burst = burst
        # A multiple of 20, which divides the integral of the ramp.
        self._recovery = ceil(recovery * _TICKS / 20) * 20
        self._start = 0  # where earned time is 0: the end of the last pause
        self._ramp = 0  # ticks from there, in which the rate grows
        self._due: int | None = None  # in earned time

    def restart(self, moment: float) -> None:
        """Begin anew after a pause that ends at that moment: an empty bucket, and a low rate."""
        self._start = ceil(moment * _TICKS)
        self._ramp = self._recovery
        self._due = self._interval * self._burst

    def drain(self, now: float) -> None:
        """Empty the bucket, as if a whole burst began now."""
        self._due = ceil(now * _TICKS) - self._start + self._interval * self._burst

    def begin(self, now: float) -> None:
        """Count a request that begins now. `free_at` must have allowed it."""
        earned = self._earned(ceil(now * _TICKS) - self._start)
        self._due = max(earned, earned if self._due is None else self._due) + self._interval

    def undo(self) -> None:
        """Forget the request that began last, as it never left."""
        assert self._due is not None
        self._due -= self._interval

    def free_at(self) -> float:
        """Return the first moment when a request may begin. It may be in the past."""
        if self._due is None:
            return -inf
        needed = self._due - (self._burst - 1) * self._interval
        return _seconds(self._start + self._elapsed(needed))

    def rate(self, now: float) -> float:
        """Return the requests that may begin in a second, as of now, which is in no pause."""
        elapsed, ramp = ceil(now * _TICKS) - self._start, self._ramp
        is_growing = ramp and elapsed < ramp
        return self.per_second * (0.1 + 0.9 * elapsed / ramp if is_growing else 1.0)

    def _earned(self, elapsed: int) -> int:
        """Return what is earned so many ticks after the start, rounded up.

        In a ramp of R ticks the share of the rate is 1/10 + 9/10 u/R after u ticks, and its
        integral u/10 + 9 u**2 / 20 R. Behind the ramp 9/20 R are lost for good.
        """
        ramp = self._ramp
        if ramp and elapsed < ramp:
            return -(-elapsed * (2 * ramp + 9 * elapsed) // (20 * ramp))
        return elapsed - 9 * ramp // 20

    def _elapsed(self, earned: int) -> int:
        """Return the ticks from the start until so much is earned, rounded up."""
        ramp = self._ramp
        if ramp and earned < 11 * ramp // 20:
            # Solve the integral for u: (9 u + R)**2 >= R**2 + 180 R earned.
            square = ramp * (ramp + 180 * earned)
            return -((ramp - 1 - isqrt(square - 1)) // 9)
        return earned + 9 * ramp // 20


def _seconds(ticks: int) -> float:
    """Return the first moment that is not before so many ticks, of those that a float can have."""
    moment = ticks / _TICKS
    return moment if moment * _TICKS >= ticks else nextafter(moment, inf)
