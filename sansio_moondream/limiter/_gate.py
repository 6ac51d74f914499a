"""The way to one server: its rate, its pauses, what is open, and its cool-down."""

from __future__ import annotations

from math import inf

from msgspec import Struct

from ._schedule import Schedule
from ._values import Cooldown, RateLimit


class GateStatus(Struct, frozen=True):
    """How busy one server is.

    Attributes:
        open: requests that have begun and not ended.
        per_second: requests that may begin in a second now. It is 0 in a pause, and None without a
            rate.
        paused: seconds until the pause ends, or 0.
        cooling: seconds until the cool-down ends, or 0.
    """

    open: int
    per_second: float | None
    paused: float
    cooling: float


class Gate:
    """Compute when the next request to one server may begin.

    Args:
        limit: of the server.
        cooldown: how long it is left alone after a failure.
    """

    __slots__ = (
        "_cooldown",
        "_cooled_at",
        "_last",
        "_limit",
        "_next_cooldown",
        "_paused_until",
        "_schedule",
        "begun_at",
        "cool_until",
        "open",
    )

    def __init__(self, limit: RateLimit, cooldown: Cooldown) -> None:
        self._limit = limit
        self._cooldown = cooldown
        self._schedule: Schedule | None = None
        if limit.per_second is not None:
            self._schedule = Schedule(limit.per_second, limit.burst or 1, limit.recovery)
        self._paused_until = -inf
        self._last: object = None  # what began last, while it may be undone
        self._cooled_at = -inf  # when the cool-down began
        self._next_cooldown = cooldown.initial  # seconds
        self.begun_at = -inf  # the last request
        self.cool_until = -inf
        self.open = 0

    def free_at(self, *, cooling: bool) -> float:
        """Return the first moment when a request may begin. It may be in the past.

        It is infinite if an open request has to end first. `cooling` is whether the cool-down is
        observed.
        """
        if self.open == self._limit.concurrent:
            return inf
        earned = self._schedule.free_at() if self._schedule else -inf
        return max(earned, self._paused_until, self.cool_until if cooling else -inf)

    def drain(self, now: float) -> None:
        """Empty the burst of a gate that was not used yet."""
        if self._schedule:
            self._schedule.drain(now)

    def begin(self, ticket: object, now: float) -> None:
        """Count a request that begins."""
        self.open += 1
        self.begun_at = now
        self._last = ticket
        if self._schedule:
            self._schedule.begin(now)

    def undo(self, ticket: object) -> None:
        """Count a request that has begun and never left as ended.

        The rate has its place again, unless another has begun since, or a pause.
        """
        self.open -= 1
        if ticket is self._last and self._schedule:
            self._schedule.undo()

    def pause(self, now: float, seconds: float) -> None:
        """Begin nothing for so many seconds. The latest end of several pauses counts."""
        end = now + seconds
        if end > self._paused_until:
            self._paused_until = end
            self._last = None
            if self._schedule:
                self._schedule.restart(end)

    def cool(self, began_at: float, now: float) -> None:
        """Begin a cool-down, after the failure of a request that began at that moment."""
        if began_at >= self._cooled_at:
            seconds = min(self._next_cooldown, self._cooldown.maximum)
            self._next_cooldown = 2 * seconds
            self._cooled_at = now
            self.cool_until = now + seconds

    def warm(self, began_at: float) -> None:
        """End the cool-down, after the success of a request that began at that moment."""
        if began_at >= self._cooled_at:
            self._next_cooldown = self._cooldown.initial
            self.cool_until = -inf

    def status(self, now: float) -> GateStatus:
        """Return how busy the server is."""
        paused = max(self._paused_until - now, 0.0)
        rate = None
        if paused:
            rate = 0.0
        elif self._schedule:
            rate = self._schedule.rate(now)
        return GateStatus(self.open, rate, paused, max(self.cool_until - now, 0.0))
