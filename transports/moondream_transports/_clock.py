"""Clocks. A test may use a virtual one, where sleeping takes no time."""

from __future__ import annotations

import time
from collections.abc import Awaitable
from typing import Protocol

from ._concurrency import async_sleep


class Clock(Protocol):
    """What `ReplayTransport` waits with. The module `time` is a clock."""

    def monotonic(self) -> float:
        """Return the seconds since some fixed moment."""
        ...

    def sleep(self, seconds: float, /) -> object:
        """Return after so many seconds."""
        ...


class AsyncClock(Protocol):
    """What `AsyncReplayTransport` waits with."""

    def monotonic(self) -> float:
        """Return the seconds since some fixed moment."""
        ...

    def sleep(self, seconds: float, /) -> Awaitable[object]:
        """Return after so many seconds. Let other tasks run meanwhile, for 0 seconds too."""
        ...


class RealClock:
    """The clock of the machine."""

    def monotonic(self) -> float:
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        if seconds:
            time.sleep(seconds)


class AsyncRealClock:
    """The clock of the machine, with the sleep of the running event loop."""

    def monotonic(self) -> float:
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        await async_sleep(seconds)


class VirtualClock:
    """A clock that moves only when it sleeps, and then returns at once.

    Give it to a `ReplayTransport`. A client with that transport counts its deadlines on it too.
    Give streams that run at the same time a clock each, because every sleep moves the clock.
    """

    def __init__(self) -> None:
        self._now = 0.0

    def monotonic(self) -> float:
        """Return the seconds that were slept."""
        return self._now

    def sleep(self, seconds: float) -> None:
        """Move the clock."""
        self._now += seconds


class AsyncVirtualClock:
    """A `VirtualClock` for an `AsyncReplayTransport`."""

    def __init__(self) -> None:
        self._now = 0.0

    def monotonic(self) -> float:
        """Return the seconds that were slept."""
        return self._now

    async def sleep(self, seconds: float) -> None:
        """Move the clock, and let other tasks run."""
        self._now += seconds
        await async_sleep(0)
