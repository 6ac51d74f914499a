"""The limiter of a worker, whose requests also wait for a lease of the cluster's limiter."""

from __future__ import annotations

import asyncio

from moondream_transports._limits import Limiter, Turn
from moondream_transports._limits._line import Line

from ._leasing import Leasing, Permit, SharedLimiter


class LeasedLimiter(Limiter):
    """Limit the requests of an `AsyncClient` by a limiter that other processes use, too.

    A request waits for its turn in this process first, and then for its permission. A pause that
    the server asks for is reported to all processes.

    Args:
        shared: the limiter of the cluster, such as a `RayLimiter`.
        concurrent: how many requests of this process may be open.
    """

    def __init__(self, shared: SharedLimiter, concurrent: int | None = None) -> None:
        super().__init__(concurrent=concurrent)
        self._leasing = Leasing(shared)

    def turn(self, timeout: float | None = None) -> Turn:
        return LeasedTurn(self._line, self._leasing, timeout)


class LeasedTurn(Turn):
    """A turn that has come when the limiter of the cluster permits it, too."""

    __slots__ = ("_leasing", "_permit")

    def __init__(self, line: Line, leasing: Leasing, timeout: float | None) -> None:
        super().__init__(line, (), timeout)
        self._leasing = leasing
        self._permit: Permit | None = None

    @property
    def has_come(self) -> bool:
        return self._permit is not None and self._permit.taken_at is not None

    @property
    def queued(self) -> float:
        ticket, permit = self._place.ticket, self._permit
        if ticket is None or permit is None:
            return super().queued
        until = self._line.now() if permit.taken_at is None else permit.taken_at
        return until - ticket.joined_at

    def begin(self, timeout: float | None = None) -> bool:
        raise TypeError("a LeasedLimiter is for an AsyncClient in an event loop of asyncio")

    async def async_begin(self, timeout: float | None = None) -> bool:
        end = None if timeout is None else self._line.now() + timeout
        if not await super().async_begin(timeout):
            return False
        self._permit = permit = Permit()
        try:
            async with asyncio.timeout(None if end is None else max(end - self._line.now(), 0.0)):
                return await self._leasing.take(permit)
        finally:
            if permit.taken_at is None:
                self.end()

    def fail(self, pause: float | None = None) -> None:
        # Not a pause of this process, too: those that wait have to go on calling, so that a limiter
        # that was started anew learns of the pause.
        super().fail(None if pause is None else 0.0)
        if pause:
            self._leasing.pause(pause)

    def give_up(self) -> None:
        super().give_up()
        if self._permit is not None and self._permit.taken_at is None:
            self._permit.give_up()
