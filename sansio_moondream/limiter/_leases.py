"""Leases: how workers that share a rate, and no clock, begin requests. Pure as the rest.

One limiter has the rate. A worker asks it for as many requests as wait there, and gets a lease: so
many may begin, within so many seconds. The rules:

1. The promise is that of `RateLimit`: in any window of w seconds at most `burst + per_second * w`
   requests begin at all workers together, however late an answer of the limiter comes.
2. The limiter counts a request when it grants it, and a worker begins it up to `seconds` later. So
   what begins in w seconds was granted in `w + seconds`. The limiter keeps a part of the burst back
   for that. If the burst is too small for it, the limiter grants at a lower rate.
3. A worker counts the seconds of a lease on its own clock, from the moment when it asked, and adds
   how long the limiter held the call. So the way of the call only makes a lease shorter. A lease
   ends a hundredth earlier than it could, as clocks and roundings differ.
4. What is granted and not begun in time is lost, and nothing has to be given back: a worker that
   dies leaves no trace. Nobody knows what it had begun before, so its requests stay counted.
5. A new queue has an empty burst: it grants no more than the one before it, which may have died a
   moment ago, would have granted. So the promise holds across its death, too.
6. First come, first served. Who is first gets as many as may begin now, and asks again for the
   others, behind those that came meanwhile.
"""

from __future__ import annotations

from collections import OrderedDict
from math import ceil
from typing import Final

from msgspec import Struct

from sansio_moondream._requests.checks import check, is_number

from ._gate import Gate
from ._values import Cooldown, RateLimit, check_seconds

_SHARE: Final = 0.99  # of its seconds, after which a lease ends
_SHORTEST: Final = 0.001  # seconds


class Lease(Struct, frozen=True):
    """What a worker gets: some requests may begin, until the lease ends.

    Attributes:
        count: of the requests. It may be 0.
        held: seconds from the arrival of the call at the limiter until it was granted.
        seconds: that the lease lasts.
    """

    count: int
    held: float
    seconds: float

    def end(self, asked_at: float) -> float:
        """Return when the lease ends, on the clock on which it was asked for at `asked_at`."""
        return asked_at + self.held + self.seconds * _SHARE


class LeaseTicket:
    """The call of a worker: a place in the line, and then a lease.

    Attributes:
        want: how many requests wait at the worker.
        joined_at: when the call came.
        count: how many may begin: 0 while it waits.
        granted_at: when that was decided. While it waits, the same as `joined_at`.
    """

    __slots__ = ("count", "granted_at", "joined_at", "want")

    def __init__(self, want: int, joined_at: float) -> None:
        self.want = want
        self.joined_at = self.granted_at = joined_at
        self.count = 0

    def __repr__(self) -> str:
        return f"<LeaseTicket, {self.count} of {self.want}>"


class LeaseQueue:
    """Decide which worker may begin how many requests.

    After each call of `join`, `leave` or `pause`, and at `next_at`, call `admit`. Each `now` is the
    time in seconds of any clock that does not go back. Workers may have other clocks.

    Args:
        limit: of all workers together. Without a burst it is just large enough for the full rate:
            `1 + per_second * seconds`, rounded up.
        seconds: that a lease lasts. An answer that takes longer is worth nothing, and a pause
            reaches workers that have a lease so much later.
        now: the moment, at which the burst is empty.

    Attributes:
        limit: with its burst.
        granted: how requests are granted, so that they can begin as `limit` says.

    Raises:
        ValueError: `seconds` is below 0.001, or the limit has `concurrent`, which each worker
            observes by itself.
        TypeError: a value is of another type.
    """

    def __init__(self, limit: RateLimit, seconds: float, now: float) -> None:
        if not isinstance(limit, RateLimit):
            raise TypeError(f"limit should be RateLimit(...), not {type(limit).__name__}")
        valid = is_number(seconds) and seconds >= _SHORTEST
        check(valid, "seconds", "a number of at least 0.001", seconds)
        if limit.concurrent is not None:
            raise ValueError(
                "limit should have no concurrent: a lease says when requests begin, and each "
                "worker counts its own open ones"
            )
        self.limit, self.granted = _limits(limit, seconds)
        self.seconds = seconds
        self._gate = Gate(self.granted, Cooldown())
        self._gate.drain(now)
        self._line: OrderedDict[LeaseTicket, None] = OrderedDict()

    @property
    def waiting(self) -> int:
        """How many calls are in line."""
        return len(self._line)

    def join(self, want: int, now: float) -> LeaseTicket:
        """Stand in line for a lease of at most `want` requests, 1 or more.

        Raises ValueError if `want` is none of these.
        """
        check(type(want) is int and want >= 1, "want", "a whole number of at least 1", want)
        ticket = LeaseTicket(want, now)
        self._line[ticket] = None
        return ticket

    def leave(self, ticket: LeaseTicket) -> None:
        """Give up the place of `ticket`. Nothing is done for one that is not in the line."""
        self._line.pop(ticket, None)

    def admit(self, now: float) -> list[LeaseTicket]:
        """Return the tickets that get a lease now, in order, with their `count`."""
        admitted: list[LeaseTicket] = []
        while self._line and self._is_free(now):
            ticket, _ = self._line.popitem(last=False)
            while ticket.count < ticket.want and self._is_free(now):
                self._gate.begin(ticket, now)
                ticket.count += 1
            ticket.granted_at = now
            admitted.append(ticket)
        return admitted

    def next_at(self, now: float) -> float | None:
        """Return when to call `admit` again, or None if nobody waits."""
        return max(self._gate.free_at(cooling=False), now) if self._line else None

    def pause(self, seconds: float, now: float) -> None:
        """Grant nothing for so many seconds. The latest end of several pauses counts.

        Raises ValueError if `seconds` is below 0.
        """
        check_seconds("seconds", seconds)
        self._gate.pause(now, seconds)

    def paused(self, now: float) -> float:
        """Return how many seconds a pause lasts, or 0."""
        return self._gate.status(now).paused

    def _is_free(self, now: float) -> bool:
        return self._gate.free_at(cooling=False) <= now


def _limits(limit: RateLimit, seconds: float) -> tuple[RateLimit, RateLimit]:
    """Return the limit of the begins, with its burst, and the limit of what is granted.

    Be d the interval of the limit, b its burst, and s the seconds of a lease. With intervals e and
    a burst c, n requests are granted in at least (n - c) e seconds, and begin in at least
    (n - c) e - s. The promise is that this is at least (n - b) d.

    With e = d that is so if (b - c) d >= s. With c = 1 it is so for each n if it is so for b + 1,
    which is the first that may not begin at once: b e - s >= d.
    """
    if limit.per_second is None:
        return limit, limit
    rate, kept = limit.per_second, ceil(limit.per_second * seconds)
    burst = limit.burst or 1 + kept
    promised = RateLimit(rate, burst, recovery=limit.recovery)
    if burst > kept:
        return promised, RateLimit(rate, burst - kept, recovery=limit.recovery)
    lower = rate * burst / (1 + rate * seconds)
    return promised, RateLimit(lower, 1, recovery=limit.recovery)
