"""The relays of one server: how many there may be, and how they end when the server does."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable
from contextlib import contextmanager
from functools import partial
from signal import SIGINT, SIGTERM
from threading import RLock
from time import monotonic
from typing import Final, Protocol

from moondream_transports._concurrency import AsyncFlag, async_call_soon
from moondream_transports._workers import AsyncWorker
from moondream_transports.relay._signals import HandledSignals
from sansio_moondream import APIError, MoondreamError
from sansio_moondream.relay._refusals import stopping, too_many

LAST_SECONDS: Final = 1.0  # for the last record of a stream that is ended


class AsyncMember(Protocol):
    """A relay that sends."""

    def stop(self, error: MoondreamError) -> None:
        """End it with this error, in its format."""
        ...


class AsyncRelayGroup:
    """Limit the relays that run at once, and end them when the server stops.

    Pass it as `relay(..., group=group)`. The relays of a group share one event loop.

    Args:
        max_streams: that may run at once. One more is answered with status 503. None is no limit.
        retry_after: seconds, for the header of that answer.
    """

    def __init__(self, max_streams: int | None = None, retry_after: float = 1.0) -> None:
        self._max_streams = max_streams
        self._retry_after = retry_after
        self._members: set[AsyncMember] = set()
        self._lock = RLock()  # a finalizer may release at any moment
        self._is_draining = False
        self._on_empty: set[Callable[[], object]] = set()  # of each drain that waits

    @property
    def open_streams(self) -> int:
        """How many relays run now."""
        return len(self._members)

    @property
    def is_draining(self) -> bool:
        """Whether new relays are refused, as the server stops."""
        return self._is_draining

    def admit(self, member: AsyncMember) -> APIError | None:
        """Count a relay, `member`, until `release`. Return the error for its client if it is
        refused.
        """
        with self._lock:
            if self._is_draining:
                return stopping()
            if self._max_streams is not None and len(self._members) >= self._max_streams:
                return too_many(self._retry_after)
            self._members.add(member)
            return None

    def release(self, member: AsyncMember) -> None:
        """Count a relay, `member`, no longer. It may be released before."""
        with self._lock:
            self._members.discard(member)
            if not self._members:
                for notify in list(self._on_empty):
                    notify()

    async def drain(self, seconds: float) -> None:
        """Refuse new relays, and return when none runs.

        Those that run may finish within `seconds`. Then each is ended in its format, by an error
        that says that the server stops. That takes two seconds at most, if clients read nothing.
        """
        with self._lock:  # who was admitted before is counted
            self._is_draining = True
        deadline = monotonic() + seconds
        flag = AsyncFlag()
        notify = partial(async_call_soon(), flag.set)  # a finalizer may run in any thread
        self._on_empty.add(notify)
        try:
            if self._members:
                await flag.wait(max(0.0, deadline - monotonic()))
            for member in list(self._members):
                member.stop(stopping())
            if self._members:
                await flag.wait(2 * LAST_SECONDS)
        finally:
            self._on_empty.discard(notify)

    @contextmanager
    def drain_on_signal(
        self, seconds: float, signals: Iterable[int] = (SIGINT, SIGTERM)
    ) -> Generator[None]:
        """Drain when the server is asked to stop. Use it as a `with` block around its life.

        Enter it when the server has installed its own handlers, which are called, too: in an
        application's lifespan. A server without any ends after the drain. In another thread than
        the main one, which gets no signals, this does nothing.

        Args:
            seconds: as in `drain`.
            signals: that ask the server to stop.
        """
        flag, soon = AsyncFlag(), async_call_soon()
        with HandledSignals(signals, lambda: soon(flag.set)) as handled:

            async def drain() -> None:
                await flag.wait()
                if handled.received:
                    await self.drain(seconds)
                    handled.act()

            worker = AsyncWorker(drain, flag.set)
            try:
                yield
            finally:
                worker.cancel()
