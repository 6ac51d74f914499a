"""Limiters: of one server, and of a pool of servers."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import cast

from msgspec import Struct

from moondream_transports._clock import AsyncClock, AsyncRealClock, Clock, RealClock
from sansio_moondream import Endpoint
from sansio_moondream.limiter import Cooldown, GateStatus, RateLimit

from ._line import Line
from ._turn import Turn


class LimiterStatus(Struct, frozen=True):
    """How busy a limiter is.

    Attributes:
        open: requests that have begun and not ended.
        waiting: requests that wait for their turn.
        per_second: requests that may begin in a second now, at all endpoints together. It is less
            than the limit in a pause and in the recovery after it. None is no limit.
        paused: seconds until the pause ends, at all endpoints, or 0.
        gates: the same for each endpoint. A `Limiter` has one.
    """

    open: int
    waiting: int
    per_second: float | None
    paused: float
    gates: tuple[GateStatus, ...]


class Turns:
    """What a limiter and a pool have in common: a line, and its gates.

    Args:
        limits: of the gates.
        endpoints: of the gates, or none.
        cooldown: after failures.
        clock: has the time, and sleeps. None is the clock of the machine.
    """

    def __init__(
        self,
        limits: Sequence[RateLimit],
        endpoints: Sequence[Endpoint],
        cooldown: Cooldown | None,
        clock: Clock | AsyncClock | None,
    ) -> None:
        self.limits = tuple(limits)
        self.endpoints = tuple(endpoints)
        is_real = clock is None or isinstance(clock, RealClock | AsyncRealClock)
        self._line = Line(self.limits, cooldown, None if is_real else clock)

    @property
    def concurrent(self) -> int | None:
        """How many requests may be open at all endpoints together, or None for no limit."""
        numbers = [limit.concurrent for limit in self.limits if limit.concurrent is not None]
        return sum(numbers) if len(numbers) == len(self.limits) else None

    def turn(self, timeout: float | None = None) -> Turn:
        """Return a turn to enter with `with` or `async with`, for requests outside of a client.

        Args:
            timeout: seconds that entering may take, before it raises TimeoutError. None is no
                limit.
        """
        return Turn(self._line, self.endpoints, timeout)

    def status(self) -> LimiterStatus:
        """Return how busy it is now."""
        queue = self._line.queue
        gates = queue.status(self._line.now())
        rates = [gate.per_second for gate in gates if gate.per_second is not None]
        return LimiterStatus(
            open=sum(gate.open for gate in gates),
            waiting=queue.waiting,
            per_second=sum(rates) if len(rates) == len(gates) else None,
            paused=min(gate.paused for gate in gates),
            gates=gates,
        )


class Limiter(Turns):
    """Limit how many requests begin in a second, and how many are open.

    One limiter is for a whole process: for any number of clients, sync and async, with their
    threads, tasks and event loops. Requests have their turn in the order in which they asked for
    it. A 429, and a 503 with `Retry-After`, of one of them pauses all.

    Args:
        per_second, burst, concurrent, recovery: see `sansio_moondream.limiter.RateLimit`. The
            service allows 2 requests a second for each key, and 10 with a balance.
        clock: of a test, the same that its transport has: a `VirtualClock` for threads, an
            `AsyncVirtualClock` for tasks.

    Raises:
        ValueError: a number that is out of range, or a burst without a rate.
        TypeError: a value that is no number.
    """

    def __init__(
        self,
        per_second: float | None = None,
        burst: int | None = None,
        concurrent: int | None = None,
        *,
        recovery: float = 5.0,
        clock: Clock | AsyncClock | None = None,
    ) -> None:
        limit = RateLimit(per_second, burst, concurrent, recovery)
        super().__init__([limit], (), None, clock)

    def __repr__(self) -> str:
        status = self.status()
        return f"<Limiter, {self.limits[0]!r}, {status.open} open, {status.waiting} waiting>"


class EndpointPool(Turns):
    """Spread requests over several endpoints, each with a limit of its own.

    Give it to clients in place of an endpoint. Requests have their turn in the order in which they
    asked for it, at the endpoint that is free soonest. A 429, and a 503 with `Retry-After`, pauses
    the endpoint that it came from. An endpoint that fails otherwise is left to cool down, while
    another is there.

    Args:
        endpoints: pairs of an endpoint and its `sansio_moondream.limiter.RateLimit`.
        cooldown: how long an endpoint is left alone after a failure. By default that is a second,
            and twice as long after each further failure, up to a minute.
        clock: see `Limiter`.

    Raises:
        ValueError: there is no endpoint.
        TypeError: what should be a pair of an endpoint and a limit is none.
    """

    def __init__(
        self,
        endpoints: Iterable[tuple[Endpoint, RateLimit]],
        *,
        cooldown: Cooldown | None = None,
        clock: Clock | AsyncClock | None = None,
    ) -> None:
        pairs = list(endpoints)
        if not pairs:
            raise ValueError("endpoints should have pairs of an endpoint and a limit, not nothing")
        for pair in pairs:
            _require_pair(pair)
        super().__init__(
            [limit for _, limit in pairs], [endpoint for endpoint, _ in pairs], cooldown, clock
        )

    def __repr__(self) -> str:
        status = self.status()
        return f"<EndpointPool {self.endpoints!r}, {status.open} open, {status.waiting} waiting>"


def _require_pair(pair: object) -> None:
    """Raise TypeError for what is no pair of an endpoint and a limit."""
    parts = list(cast("Iterable[object]", pair)) if isinstance(pair, tuple | list) else [pair]
    match parts:
        case [Endpoint(), RateLimit()]:
            return
        case _:
            shown = ", ".join(type(part).__name__ for part in parts)
    raise TypeError(f"endpoints should have pairs Endpoint(...), RateLimit(...), not {shown}")
