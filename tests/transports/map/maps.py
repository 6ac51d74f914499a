"""A function that ends when a test says so, and maps of it that all look like async ones."""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator, Callable
from typing import Any

from moondream_transports import AsyncConcurrentMap, ConcurrentMap
from tests.transports.adapters import LONGEST_WAIT, Adapter, never

BACKENDS = [Adapter(name, name, never) for name in ("sync", "asyncio", "trio")]


class Work:
    """A function for maps. It returns its item times ten, as soon as that is released.

    Attributes:
        begun, ended, cancelled: items, in their order.
        fails: errors to raise, by item.
        is_free: everything is released.
    """

    def __init__(self, loop: Adapter, *, is_free: bool = False) -> None:
        self.loop = loop
        self.is_free = is_free
        self.begun: list[int] = []
        self.ended: list[int] = []
        self.cancelled: list[int] = []
        self.fails: dict[int, BaseException] = {}
        self.at_once = self.most = 0
        self._released: set[int] = set()
        self._changed = threading.Condition()

    def map(self, items: Any, **options: Any) -> Any:
        """Return the map, which looks like an async one."""
        if self.loop.is_async:
            return AsyncConcurrentMap(self._call_async, items, **options)
        return MapAsAsync(ConcurrentMap(self._call, items, **options))

    def release(self, *items: int) -> None:
        with self._changed:
            self._released.update(items)
            self._changed.notify_all()

    async def until(self, is_so: Callable[[], object], expected: str = "") -> None:
        await self.loop.until(is_so, expected or f"{self.begun} {self.ended} {self.cancelled}")

    async def until_begun(self, *items: int) -> None:
        await self.until(lambda: set(items) <= set(self.begun))

    def _is_released(self, item: int) -> bool:
        return self.is_free or item in self._released

    def _begin(self, item: int) -> None:
        with self._changed:
            self.begun.append(item)
            self.at_once += 1
            self.most = max(self.most, self.at_once)

    def _end(self, item: int) -> int:
        with self._changed:
            self.at_once -= 1
            self.ended.append(item)
        if item in self.fails:
            raise self.fails[item]
        return item * 10

    def _call(self, item: int, running: Any) -> int:
        self._begin(item)
        running.interruptible(self._notify)
        with self._changed:
            assert self._changed.wait_for(
                lambda: self._is_released(item) or running.is_cancelled, LONGEST_WAIT
            )
        if not self._is_released(item):
            self.cancelled.append(item)
            running.check()
        return self._end(item)

    def _notify(self) -> None:
        with self._changed:
            self._changed.notify_all()

    async def _call_async(self, item: int, running: Any) -> int:
        self._begin(item)
        try:
            await self.until(lambda: self._is_released(item))
        except BaseException:
            self.cancelled.append(item)
            raise
        return self._end(item)


class MapAsAsync:
    """A `ConcurrentMap` that looks like an `AsyncConcurrentMap`."""

    def __init__(self, sync: ConcurrentMap[Any]) -> None:
        self.sync = sync

    def __aiter__(self) -> AsyncIterator[Any]:
        return self

    async def __anext__(self) -> Any:
        try:
            return next(self.sync)
        except StopIteration:
            raise StopAsyncIteration from None

    def ready(self) -> list[Any]:
        return self.sync.ready()

    async def aclose(self) -> None:
        self.sync.close()

    async def __aenter__(self) -> MapAsAsync:
        self.sync.__enter__()
        return self

    async def __aexit__(self, *error: Any) -> None:
        self.sync.__exit__(*error)


class Items:
    """An iterator of numbers that can be closed, and may wait before one of them.

    Attributes:
        count: of the items that were taken from it.
        is_closed: it was.
        gate: while it is not set, the iterator waits before item number `waits_before`.
        threads: that took items.
    """

    def __init__(self, loop: Adapter, *, waits_before: int = -1, limit: int = 10**9) -> None:
        self.loop = loop
        self.count = 0
        self.is_closed = False
        self.gate = threading.Event()
        self.threads: set[int] = set()
        self._waits_before = waits_before
        self._limit = limit

    def iterate(self) -> Any:
        """Return an async generator for an async map, else a generator."""
        return self._async_items() if self.loop.is_async else self._items()

    def _items(self) -> Any:
        try:
            for item in range(self._limit):
                self.threads.add(threading.get_ident())
                if item == self._waits_before:
                    assert self.gate.wait(LONGEST_WAIT)
                self.count += 1
                yield item
        finally:
            self.threads.add(threading.get_ident())
            self.is_closed = True

    async def _async_items(self) -> Any:
        try:
            for item in range(self._limit):
                if item == self._waits_before:
                    await self.loop.until(self.gate.is_set, "the gate")
                self.count += 1
                yield item
        finally:
            self.is_closed = True
