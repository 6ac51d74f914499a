"""Clocks. A test may use a virtual one, where sleeping takes no time."""

from ._async.clock import AsyncClock, AsyncRealClock, AsyncVirtualClock
from ._sync.clock import Clock, RealClock, VirtualClock

__all__ = [
    "AsyncClock",
    "AsyncRealClock",
    "AsyncVirtualClock",
    "Clock",
    "RealClock",
    "VirtualClock",
]
