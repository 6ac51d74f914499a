"""Clocks: they have the time, and sleep."""

from __future__ import annotations

from time import monotonic
from typing import Protocol

from moondream_transports._concurrency import async_sleep


class AsyncClock(Protocol):
    """What an `AsyncReplayTransport` waits with."""

    def monotonic(self) -> float:
        """Return the seconds since some fixed moment."""
        ...

    async def sleep(self, seconds: float, /) -> object:
        """Return after `seconds`. Let other tasks run meanwhile, for 0 seconds too."""
        ...


class AsyncRealClock:
    """The clock of the machine."""

    def monotonic(self) -> float:
        return monotonic()

    async def sleep(self, seconds: float) -> None:
        await async_sleep(seconds)


class AsyncVirtualClock:
    """A clock that moves only when it sleeps, and then returns at once.

    Give it to an `AsyncReplayTransport`. A client with that transport counts its deadlines on it
    too. Give streams that run at the same time a clock each, because every sleep moves the clock.
    """

    def __init__(self) -> None:
        self._now = 0.0

    def monotonic(self) -> float:
        """Return the seconds that were slept."""
        return self._now

    async def sleep(self, seconds: float) -> None:
        """Move the clock by `seconds`, and let other tasks run."""
        self._now += seconds
        await async_sleep(0)
