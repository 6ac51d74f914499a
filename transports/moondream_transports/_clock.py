"""What tells the time and waits: the machine, or a clock of a test's own, on which waiting takes no
time.
"""

from __future__ import annotations

from collections.abc import Awaitable
from time import monotonic
from typing import Protocol

from ._event_loop import sleep as sleep_async


class Clock(Protocol):
    """What `ReplayTransport` waits with; the module `time` is one."""

    def monotonic(self) -> float:
        """Seconds since some moment."""
        ...

    def sleep(self, seconds: float, /) -> object:
        """Return so many seconds later."""
        ...


class AsyncClock(Protocol):
    """What `AsyncReplayTransport` waits with."""

    def monotonic(self) -> float:
        """Seconds since some moment."""
        ...

    def sleep(self, seconds: float, /) -> Awaitable[object]:
        """Return so many seconds later; let others run meanwhile, for 0 seconds too."""
        ...


class RealAsyncClock:
    """The machine's, and the sleep of the event loop that is running."""

    def monotonic(self) -> float:
        return monotonic()

    async def sleep(self, seconds: float) -> None:
        await sleep_async(seconds)


class VirtualClock:
    """A clock that stands still until somebody waits for it, and then is there at once: give it to
    a `ReplayTransport`.

    The deadlines of a client with that transport count on it too. Each wait moves it on, so give
    streams that run at the same time a clock each."""

    def __init__(self) -> None:
        self._now = 0.0

    def monotonic(self) -> float:
        """Seconds since it was made."""
        return self._now

    def sleep(self, seconds: float) -> None:
        """Move it on."""
        self._now += seconds


class AsyncVirtualClock:
    """As `VirtualClock`, for an `AsyncReplayTransport`."""

    def __init__(self) -> None:
        self._now = 0.0

    def monotonic(self) -> float:
        """Seconds since it was made."""
        return self._now

    async def sleep(self, seconds: float) -> None:
        """Move it on, and let others run meanwhile."""
        self._now += seconds
        await sleep_async(0)
