"""Streams of events that a test gives one by one."""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable

from moondream_transports._concurrency import AsyncFlag, async_sleep
from sansio_moondream import Completed, Event, Metadata, QueryResult, TextDelta
from tests.transports.adapters import LONGEST_WAIT

DONE = Completed(QueryResult("A moon", None, Metadata()))
DELTAS: list[Event] = [TextDelta("A"), TextDelta(" moon")]


class AsyncUpstream:
    """An async iterable of events. It waits for the next one, until it is closed.

    Attributes:
        closed: how often it was closed.
    """

    def __init__(self, *events: Event | Exception) -> None:
        self.events = deque(events)
        self.closed = 0
        self.given: AsyncFlag | None = None

    def give(self, *events: Event | Exception) -> None:
        self.events.extend(events)
        if self.given is not None:
            self.given.set()

    def __aiter__(self) -> AsyncUpstream:
        return self

    async def __anext__(self) -> Event:
        while not self.events:
            self.given = AsyncFlag()
            await self.given.wait()
        event = self.events.popleft()
        if isinstance(event, Exception):
            raise event
        return event

    async def aclose(self) -> None:
        self.closed += 1


async def until(condition: Callable[[], object]) -> None:
    """Let other tasks run until it is true."""
    for _ in range(int(LONGEST_WAIT / 0.005)):
        if condition():
            return
        await async_sleep(0.005)
    raise AssertionError("it never became true")


async def together(*functions: Callable[[], Awaitable[object]]) -> None:
    """Run functions, each in a task of its own, until all have returned."""
    ...
