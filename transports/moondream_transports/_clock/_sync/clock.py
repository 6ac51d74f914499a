# Generated from ../_async/clock.py by `make generate`; do not edit.
"""Clocks: they have the time, and sleep."""

from __future__ import annotations

from time import monotonic
from typing import Protocol

from moondream_transports._concurrency import sleep


class Clock(Protocol):
    """What a `ReplayTransport` waits with."""

    def monotonic(self) -> float:
        """Return the seconds since some fixed moment."""
        ...

    def sleep(self, seconds: float, /) -> object:
        """Return after `seconds`. Let other threads run meanwhile, for 0 seconds too."""
        ...


class RealClock:
    """The clock of the machine."""

    def monotonic(self) -> float:
        return monotonic()

    def sleep(self, seconds: float) -> None:
        sleep(seconds)


class VirtualClock:
    """A clock that moves only when it sleeps, and then returns at once.

    Give it to a `ReplayTransport`. A client with that transport counts its deadlines on it
    too. Give streams that run at the same time a clock each, because every sleep moves the clock.
    """

    def __init__(self) -> None:
        self._now = 0.0

    def monotonic(self) -> float:
        """Return the seconds that were slept."""
        return self._now

    def sleep(self, seconds: float) -> None:
        """Move the clock by `seconds`, and let other threads run."""
        self._now += seconds
        sleep(0)
