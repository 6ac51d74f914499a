"""A worker's side of the leases: requests that wait here, and the calls of the cluster's limiter.

1. One task calls the limiter while requests wait, one call at a time. So what waits meanwhile goes
   into the next call.
2. A request begins only while its lease lasts. If the limiter does not answer, nothing begins.
3. Each call says how long the last pause lasts that this worker knows of. So a limiter that was
   started anew learns of it.
4. All this is for one event loop of asyncio, as Ray is. Only `give_up` may come from any thread.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from math import inf
from time import monotonic
from typing import Protocol

from sansio_moondream.limiter import Lease

_LOGGER = logging.getLogger("moondream_transports")


class SharedLimiter(Protocol):
    """The limiter of a cluster, as a worker sees it."""

    async def ask(self, want: int, pause: float) -> Lease | None:
        """Wait for a lease for at most `want` requests. None: there was no answer.

        `pause` is how many seconds a pause of the server lasts, as this worker knows, or 0.
        """
        ...

    def pause(self, seconds: float) -> None:
        """Report a pause of `seconds`, without waiting."""
        ...


class Permit:
    """One request's permission to begin."""

    def __init__(self) -> None:
        self.taken_at: float | None = None
        self.is_given_up = False
        self._loop = asyncio.get_running_loop()
        self._news = asyncio.Event()
        self._end: float | None = None
        self._fault: BaseException | None = None

    def give_up(self) -> None:
        """End the wait for it. Any thread may call this."""
        self.is_given_up = True
        with suppress(RuntimeError):  # the event loop is closed
            self._loop.call_soon_threadsafe(self._news.set)

    def give(self, end: float) -> None:
        """Allow the request to begin until `end`."""
        self._end = end
        self._news.set()

    def fail(self, error: BaseException) -> None:
        """Have the wait raise an error."""
        self._fault = error
        self._news.set()

    async def news(self) -> float | None:
        """Wait for what happens. Returns the end of the lease, or None if it was given up."""
        await self._news.wait()
        self._news.clear()
        if self._fault is not None:
            raise self._fault
        end, self._end = self._end, None
        return end


class Leasing:
    """Get leases from the limiter of a cluster, and hand them to the requests that wait.

    Args:
        limiter: of the cluster.
        now: the time, in seconds of a clock that does not go back.
    """

    def __init__(self, limiter: SharedLimiter, now: Callable[[], float] = monotonic) -> None:
        self._limiter = limiter
        self._now = now
        self._line: deque[Permit] = deque()
        self._calls: asyncio.Task[None] | None = None
        self._paused_until = -inf
        self._has_warned = False

    async def take(self, permit: Permit) -> bool:
        """Wait until a request may begin. Returns False if the wait was given up."""
        self._line.append(permit)
        try:
            while not permit.is_given_up:
                self._call()
                end = await permit.news()
                now = self._now()
                if end is not None and self._paused_until <= now <= end:
                    permit.taken_at = now
                    return True
                if not permit.is_given_up:  # the lease ended before this task ran, or by a pause
                    self._line.appendleft(permit)
            return False
        finally:
            with suppress(ValueError):
                self._line.remove(permit)

    def pause(self, seconds: float) -> None:
        """Report that the server asks for a pause, to all workers."""
        self._paused_until = max(self._paused_until, self._now() + seconds)
        self._limiter.pause(seconds)

    def _call(self) -> None:
        if self._calls is None or self._calls.done():
            self._calls = asyncio.create_task(self._call_while_some_wait())

    async def _call_while_some_wait(self) -> None:
        try:
            while self._line:
                asked_at = self._now()
                pause = max(self._paused_until - asked_at, 0.0)
                lease = await self._limiter.ask(len(self._line), pause)
                if lease is not None and lease.count:
                    self._hand_out(lease, asked_at)
        except Exception as error:  # noqa: BLE001 - those that wait raise it
            while self._line:
                self._line.popleft().fail(error)

    def _hand_out(self, lease: Lease, asked_at: float) -> None:
        end, now = lease.end(asked_at), self._now()
        if now > end:
            _LOGGER.log(
                logging.DEBUG if self._has_warned else logging.WARNING,
                "a lease of %d requests came %.3f s too late and is lost: give leases more than "
                "%.3f s",
                lease.count,
                now - end,
                lease.seconds,
            )
            self._has_warned = True
            return
        for _ in range(min(lease.count, len(self._line))):
            self._line.popleft().give(end)
