"""Streams of events that a test gives one by one."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

import anyio

from moondream_transports.relay import AsyncRelay
from sansio_moondream import Completed, Event, Metadata, QueryResult, TextDelta
from sansio_moondream.relay import EventsEncoder

DONE = Completed(QueryResult("A moon", None, Metadata()))
DELTAS: list[Event] = [TextDelta("A"), TextDelta(" moon")]


class AsyncUpstream:
    """An async iterable of events. It waits for the next one, until it is closed.

    Args:
        events: that are there.
        ends: after `Completed`. Otherwise it waits then, too.

        closing: whether `aclose` waits until `release`.

    Attributes:
        closed: how often it was closed.
    """

    def __init__(
        self, *events: Event | BaseException, ends: bool = True, closing: bool = False
    ) -> None:
        self.events = deque(events)
        self.ends = ends
        self.closing = anyio.Event() if closing else None
        self.is_closing = False
        self.is_complete = False
        self.closed = 0
        self.given = anyio.Event()

    def release(self) -> None:
        assert self.closing is not None
        self.closing.set()

    def give(self, *events: Event | Exception) -> None:
        self.events.extend(events)
        self.given.set()

    def __aiter__(self) -> AsyncUpstream:
        return self

    async def __anext__(self) -> Event:
        if self.is_complete and self.ends:
            raise StopAsyncIteration
        while not self.events:
            self.given = anyio.Event()
            await self.given.wait()
        event = self.events.popleft()
        if isinstance(event, BaseException):
            raise event
        self.is_complete = isinstance(event, Completed)
        return event

    async def aclose(self) -> None:
        self.is_closing = True
        if self.closing is not None:
            await self.closing.wait()
        self.closed += 1


def encoded(*events: Event) -> list[bytes]:
    """Return the record of each event, in this library's own format."""
    encoder = EventsEncoder()
    return [encoder.encode(event) for event in events]


ALL = encoded(*DELTAS, DONE)


async def body_of(relay: AsyncRelay) -> bytes:
    """Read a response to its end."""
    return b"".join([part async for part in relay])


async def until(condition: Callable[[], object]) -> None:
    """Let other tasks run until it is true. `run` has a limit of time."""
    while not condition():  # noqa: ASYNC110
        await anyio.sleep(0.002)
