"""Clients with a limiter, whose transport plays a stream."""

from __future__ import annotations

from typing import Any

from moondream_transports import AsyncVirtualClock, Limiter, VirtualClock
from tests.transports.adapters import Adapter
from tests.transports.fakes import ENDPOINT, AsyncFakeStream, FakeStream


def sender(backend: Adapter, stream: FakeStream, **options: Any) -> Any:
    """A client of this backend whose transport plays this stream."""
    transport = AsyncFakeStream(stream) if backend.is_async else stream
    return backend.client(transport, ENDPOINT, **options)


async def spend(backend: Adapter, limiter: Limiter) -> None:
    """Let a request begin and end."""
    if backend.is_async:
        async with limiter.turn():
            pass
    else:
        with limiter.turn():
            pass


def clock_of(backend: Adapter) -> Any:
    return AsyncVirtualClock() if backend.is_async else VirtualClock()
