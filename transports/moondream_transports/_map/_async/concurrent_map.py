"""A function applied to many items, a few of them at once.

1. One task reads the items from their iterator, and closes it. So an iterator may wait for its
   next item while results are taken, and may hold what belongs to one task.
2. An item is read when there is a place for it. At most `concurrent` are worked on, an eighth of
   that waits for a worker, and at most `2 * concurrent` are read and not yet taken as results. So
   memory is bounded, and a slow user slows the map down. The reader goes on when no item waits: to
   wake a thread for each item took a third of the time of the map.
3. A worker takes one item after another. It is started when an item finds none idle, up to
   `concurrent` of them.
4. A result has a position: with `ordered` the number of its item, otherwise in the order in which
   results come. The end has one, too: after the last item, or where an error was raised. Of several
   ends the first counts. Results before it are given, and work on those after it is cancelled.
5. The workers and the reader know the pool, not the iterator. If a loop is left, the iterator is
   finalized, and stops them.
"""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterator
from functools import partial
from math import inf
from threading import RLock
from time import monotonic
from types import TracebackType
from typing import Any, Generic, Self

from moondream_transports._concurrency import (
    AsyncFlag,
    as_failure,
    async_shielded,
    close_soon,
)
from moondream_transports._map.items import AsyncFunction, AsyncItemReader, AsyncItems, I, T
from moondream_transports._map.running import Running
from moondream_transports._workers import AsyncWorker

_GRACE = 1.0  # seconds: a thread may wait for what cannot be interrupted


class AsyncConcurrentMap(Generic[T]):
    """The results of a function for many items. `AsyncClient.map` makes it.

    Iterate over it in one task. It begins with the first `anext`. Leaving the loop early cancels
    what runs; `aclose()`, or the end of an `async with` block, also waits for that.

    Args:
        function: is called with each item, and with the worker that runs it.
        items: any iterable.
        concurrent: how many items are worked on at once.
        ordered: whether results come in the order of their items. Otherwise they come as they end.

    Raises:
        TypeError: the items cannot be iterated over.
        ValueError: `concurrent` is no whole number of at least 1.
    """

    def __init__(
        self,
        function: AsyncFunction[I, T],
        items: AsyncItems[I],
        *,
        concurrent: int,
        ordered: bool = True,
    ) -> None:
        if type(concurrent) is not int or concurrent < 1:
            raise ValueError(f"concurrent must be a whole number of at least 1, not {concurrent!r}")
        self._pool: _AsyncPool[Any, T]
        self._pool = _AsyncPool(function, AsyncItemReader(items), concurrent, ordered)

    def __aiter__(self) -> AsyncIterator[T]:
        return self

    async def __anext__(self) -> T:
        try:
            return await self._pool.next()
        except BaseException:
            await self.aclose()
            raise

    def ready(self) -> list[T]:
        """Return at once the results that could be taken without waiting. There may be none.

        After `aclose` these are the results that had ended before it.
        """
        return self._pool.take()

    async def aclose(self) -> None:
        """Cancel what runs, and close the iterator of the items. Further calls do nothing.

        Waits for both, but at most a second for what cannot be interrupted, such as a thread that
        waits for the next item. That thread ends after its wait.
        """
        await async_shielded(self._pool.aclose)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.aclose()

    def __del__(self) -> None:
        if hasattr(self, "_pool"):
            close_soon(self._pool.stop)


class _AsyncPool(Generic[I, T]):
    """What the iterator, the reader and the workers share."""

    _reader: AsyncWorker | None = None
    _reader_waits = False
    _is_closed = False
    _end: float = inf  # the position at which the iteration ends
    _failure: BaseException | None = None  # what is raised there

    def __init__(
        self,
        function: AsyncFunction[I, T],
        items: AsyncItemReader[I],
        concurrent: int,
        ordered: bool,
    ) -> None:
        self._function = function
        self._items = items
        self._concurrent = concurrent
        self._ahead = max(1, concurrent // 8)
        self._ordered = ordered
        self._mutex = RLock()  # a finalizer may run in its blocks, in any thread
        self._reading = Running()
        self._workers: dict[Running, AsyncWorker] = {}
        self._idle: list[AsyncFlag] = []
        self._waiting: deque[tuple[int, I]] = deque()
        self._results: dict[int, T] = {}  # by position
        self._read_count = 0  # of items
        self._result_count = 0
        self._taken_count = 0  # the position of the next result

    async def next(self) -> T:
        """Return the next result. Raises StopAsyncIteration, or what ended the map."""
        with self._mutex:  # a thread that fails before this ends waits for it
            if self._reader is None and not self._is_closed:
                self._news = AsyncFlag()
                self._place = AsyncFlag()
                self._reader = AsyncWorker(self._read, self._reading.interrupt)
        while not self._is_closed:
            self._news.clear()
            for result in self.take(1):
                return result
            if self._taken_count >= self._end:
                raise self._failure or StopAsyncIteration
            await self._news.wait()
        raise StopAsyncIteration

    def take(self, limit: int | None = None) -> list[T]:
        """Return the next results, as far as they are there."""
        results: list[T] = []
        with self._mutex:
            while self._taken_count in self._results and self._taken_count < self._end:
                results.append(self._results.pop(self._taken_count))
                self._taken_count += 1
                if len(results) == limit:
                    break
        self._wake_reader()
        return results

    def stop(self) -> None:
        """Cancel what runs, without waiting for it. A finalizer may call this."""
        with self._mutex:
            is_first, self._is_closed = not self._is_closed, True
            workers = list(self._workers)
        if is_first and self._reader is not None:
            self._cancel(workers)

    async def aclose(self) -> None:
        """Stop, and wait until nothing is left."""
        self.stop()
        if self._reader is None:
            await self._items.aclose()
            return
        self._news.set()
        end = monotonic() + _GRACE
        for worker in (self._reader, *self._workers.values()):
            await worker.wait(max(end - monotonic(), 0.0))

    async def _read(self) -> None:
        failure: BaseException | None = None
        try:
            try:
                self._reading.check()
                async for item in self._items:
                    self._add(item)
                    del item  # it may be large
                    await self._wait_for_place()
            finally:
                await async_shielded(self._items.aclose)
        except BaseException as caught:  # noqa: BLE001 - the iterator raises it
            failure = as_failure(caught)
        with self._mutex:
            self._end_at(self._read_count, failure)
        self._news.set()

    def _add(self, item: I) -> None:
        with self._mutex:
            if self._is_closed or self._end < inf:
                return
            if not self._idle and len(self._workers) < self._concurrent:
                self._start_worker()
            self._waiting.append((self._read_count, item))
            self._read_count += 1
            idle = self._idle.pop() if self._idle else None
        if idle is not None:
            idle.set()

    def _start_worker(self) -> None:
        running = Running()
        self._workers[running] = AsyncWorker(partial(self._work, running), running.interrupt)
        if self._is_closed:  # by a finalizer, which ran just now and did not see it
            self._cancel([running])

    async def _wait_for_place(self) -> None:
        while True:
            self._reading.check()  # an iterator that never waits is not cancelled
            with self._mutex:
                self._place.clear()
                if self._has_place():
                    return
                self._reader_waits = True
            self._reading.interruptible(self._place.set)
            await self._place.wait()

    async def _work(self, running: Running) -> None:
        try:
            idle = AsyncFlag()
            while True:
                item = await self._next_item(running, idle)
                result = await self._function(item, running)
                del item  # they may be large
                self._add_result(running, result)
                del result
        except BaseException as caught:  # noqa: BLE001 - the iterator raises it
            if not running.is_cancelled:  # otherwise it is our cancellation
                self._fail(running, as_failure(caught))

    async def _next_item(self, running: Running, idle: AsyncFlag) -> I:
        while True:
            with self._mutex:
                if self._waiting:
                    running.number, item = self._waiting.popleft()
                    running.interruptible(None)
                    self._wake_reader()
                    return item
                idle.clear()
                self._idle.append(idle)
            running.interruptible(idle.set)
            await idle.wait()

    def _add_result(self, running: Running, result: T) -> None:
        with self._mutex:
            position = running.number if self._ordered else self._result_count
            self._results[position] = result
            self._result_count += 1
            is_next = position == self._taken_count
        if is_next:
            self._news.set()

    def _fail(self, running: Running, failure: BaseException) -> None:
        """End the iteration where the result of this worker would have its position."""
        number = running.number
        with self._mutex:
            later = [
                other
                for other in self._workers
                if other is not running and (other.number > number or not self._ordered)
            ]
            self._end_at(number if self._ordered else self._result_count, failure)
            self._waiting.clear()
        self._cancel(later)
        self._news.set()

    def _end_at(self, position: int, failure: BaseException | None) -> None:
        if position < self._end:
            self._end, self._failure = position, failure

    def _cancel(self, workers: list[Running]) -> None:
        """Cancel workers, and the reader."""
        assert self._reader is not None
        for running in (self._reading, *workers):
            running.is_cancelled = True
        for worker in (self._reader, *(self._workers[running] for running in workers)):
            worker.cancel()

    def _has_place(self) -> bool:
        unfinished = self._read_count - self._result_count
        untaken = self._read_count - self._taken_count
        return unfinished < self._concurrent + self._ahead and untaken < 2 * self._concurrent

    def _wake_reader(self) -> None:
        with self._mutex:
            wakes = self._reader_waits and not self._waiting and self._has_place()
            if wakes:
                self._reader_waits = False
        if wakes:
            self._place.set()
