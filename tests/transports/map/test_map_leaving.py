"""A map that ends early: by an error, by its user, or by Ctrl-C."""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import sys
import threading
import weakref
from collections.abc import Iterator
from typing import Any

import pytest

from moondream_transports import AsyncConcurrentMap, ConcurrentMap
from tests.helpers import NewThreads
from tests.transports.adapters import Adapter

from .maps import BACKENDS, Items, Work

each_loop = pytest.mark.parametrize("loop", BACKENDS, ids=lambda loop: loop.name)
each_async_loop = pytest.mark.parametrize("loop", BACKENDS[1:], ids=lambda loop: loop.name)


@each_loop
class TestLeaving:
    def test_closing_cancels_what_runs_and_closes_the_items(self, loop: Adapter) -> None:
        async def main() -> None:
            work, items = Work(loop), Items(loop)
            work.release(0, 1)
            async with work.map(items.iterate(), concurrent=3) as results:
                assert await anext(results) == 0
                await work.until(lambda: 1 in work.ended)
                await work.until_begun(2, 3, 4)
            assert sorted(work.cancelled) == [2, 3, 4]
            assert items.is_closed
            assert not loop.tasks()
            assert results.ready() == [10]  # it had ended
            await results.aclose()
            assert [value async for value in results] == []

        threads = NewThreads()
        loop.run(main)
        assert not threads.running()

    def test_a_loop_that_is_left_stops_everything(self, loop: Adapter) -> None:
        async def main() -> None:
            work, items = Work(loop), Items(loop)
            work.release(0)
            async for _ in work.map(items.iterate(), concurrent=3):
                break
            gc.collect()
            await work.until(lambda: items.is_closed and work.at_once == len(work.cancelled))
            await loop.until(lambda: not loop.tasks(), "the tasks to end")
            await loop.until(lambda: not threads.running(), "the threads to end")

        threads = NewThreads()
        loop.run(main)

    def test_a_map_that_was_not_begun_closes_its_items_too(self, loop: Adapter) -> None:
        class Closable:
            is_closed = False

            def __iter__(self) -> Any:
                return self

            def __next__(self) -> int:
                raise AssertionError("nobody asked for an item")

            def close(self) -> None:
                self.is_closed = True

        async def main() -> None:
            items = Closable()
            async with Work(loop).map(items, concurrent=1) as results:
                pass
            assert items.is_closed
            assert [value async for value in results] == []
            Work(loop).map(Closable(), concurrent=1)  # and may be forgotten

        loop.run(main)

    def test_an_error_in_the_block_closes(self, loop: Adapter) -> None:
        async def main() -> None:
            work, items = Work(loop), Items(loop)
            work.release(0)
            results = work.map(items.iterate(), concurrent=2)

            async def fail() -> None:
                async with results:
                    await anext(results)
                    raise ZeroDivisionError

            with pytest.raises(ZeroDivisionError):
                await fail()
            assert items.is_closed
            assert work.at_once == len(work.cancelled)

        loop.run(main)

    def test_what_was_taken_is_not_kept(self, loop: Adapter) -> None:
        class Item:
            def __init__(self, number: int) -> None:
                self.number = number

            def __mul__(self, other: int) -> int:
                return self.number * other

            def __hash__(self) -> int:
                return self.number

        async def main() -> None:
            work = Work(loop, is_free=True)
            kept = []

            def items() -> Iterator[Item]:
                for number in range(2):
                    item = Item(number)
                    kept.append(weakref.ref(item))
                    yield item
                    del item

            results = work.map(items(), concurrent=1)
            assert [value async for value in results] == [0, 10]
            work.begun.clear()
            work.ended.clear()
            gc.collect()
            assert [item() for item in kept] == [None, None]

        loop.run(main)


def test_closing_does_not_wait_long_for_items_that_cannot_be_interrupted() -> None:
    loop = BACKENDS[0]
    work, items = Work(loop, is_free=True), Items(loop, waits_before=1)
    threads = NewThreads()
    with ConcurrentMap(lambda item, running: item, items.iterate(), concurrent=2) as results:
        assert next(results) == 0
    assert not items.is_closed  # a second later
    assert len(threads.running()) == 1
    items.gate.set()

    async def ends() -> None:
        await work.until(lambda: items.is_closed and not threads.running())

    loop.run(ends)
    assert items.count == 2


def test_another_thread_closes_a_map_that_is_waited_for() -> None:
    work = Work(BACKENDS[0])
    results = work.map(range(3), concurrent=2).sync
    closing = threading.Thread(target=lambda: (work.loop.run(work.until_begun, 1), results.close()))
    closing.start()
    assert list(results) == []
    closing.join()
    assert sorted(work.cancelled) == [0, 1]


def test_ctrl_c_ends_a_wait_at_once() -> None:
    threads = NewThreads()
    work, items = Work(BACKENDS[0]), Items(BACKENDS[0])
    work.release(0)
    main = threading.get_ident()

    def waits_for_a_result() -> bool:
        frame = sys._current_frames()[main]
        callers = {frame.f_code.co_name}
        while frame.f_back is not None:
            frame = frame.f_back
            callers.add(frame.f_code.co_name)
        return {"wait", "__next__"} <= callers

    def interrupt() -> None:
        work.loop.run(work.until_begun, 1, 2, 3)
        work.loop.run(work.until, waits_for_a_result)
        os.kill(os.getpid(), signal.SIGINT)

    previous = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        results = work.map(items.iterate(), concurrent=3).sync
        assert next(results) == 0
        thread = threading.Thread(target=interrupt)
        thread.start()
        with pytest.raises(KeyboardInterrupt):
            next(results)
        thread.join()
    finally:
        signal.signal(signal.SIGINT, previous)
    assert sorted(work.cancelled) == [1, 2, 3]
    assert items.is_closed
    BACKENDS[0].run(work.until, lambda: not threads.running())


@each_async_loop
class TestCancellation:
    def test_a_task_that_is_cancelled_leaves_nothing(self, loop: Adapter) -> None:
        async def main() -> None:
            work, items = Work(loop), Items(loop)
            work.release(0)
            results = work.map(items.iterate(), concurrent=3)

            async def take() -> None:
                async for _ in results:
                    pass

            await loop.cancelled_after(0.05, take)
            assert items.is_closed
            assert work.at_once == len(work.cancelled)
            assert not loop.tasks()
            assert [value async for value in results] == []

        loop.run(main)

    def test_a_map_may_be_left_when_the_event_loop_ends(self, loop: Adapter) -> None:
        async def main() -> Any:
            work.release(0)
            results = work.map(items.iterate(), concurrent=3)
            assert await anext(results) == 0
            await work.until_begun(1, 2, 3)
            return results

        work, items = Work(loop), Items(loop)
        results = asyncio.run(main()) if loop.name == "asyncio" else loop.run(main)
        assert items.is_closed
        assert sorted(work.cancelled) == [1, 2, 3]
        del results
        gc.collect()

    def test_a_generator_keeps_to_its_task(self, loop: Adapter) -> None:
        """A cancel scope or a task group that it has open belongs to the task."""
        anyio = pytest.importorskip("anyio")

        async def items() -> Any:
            async with anyio.create_task_group():
                for item in range(20):
                    await anyio.sleep(0)
                    yield item

        async def main() -> None:
            work = Work(loop, is_free=True)
            async with work.map(items(), concurrent=3) as results:
                assert [await anext(results) for _ in range(5)] == [0, 10, 20, 30, 40]
            results = work.map(items(), concurrent=3)
            assert len([value async for value in results]) == 20

        loop.run(main)

    def test_what_is_raised_elsewhere_does_not_hold_the_map_up(self, loop: Adapter) -> None:
        async def fails(item: int, running: Any) -> int:
            raise asyncio.CancelledError("by the function itself")

        async def main() -> None:
            results = AsyncConcurrentMap(fails, range(3), concurrent=2)
            with pytest.raises(asyncio.CancelledError):
                await anext(results)

        loop.run(main)


def test_one_that_is_dropped_while_a_worker_starts(monkeypatch: pytest.MonkeyPatch) -> None:
    """A finalizer may run at any moment, so before the worker is known, too."""
    asked: list[int] = []
    go_on, interrupted = threading.Event(), threading.Event()

    def work(item: int, running: Any) -> int:
        asked.append(item)
        if item == 1:
            running.interruptible(interrupted.set)
            interrupted.wait(20)
        return item

    def items() -> Iterator[int]:
        yield 0
        go_on.wait(20)
        yield from (1, 2, 3)

    start = threading.Thread.start

    def start_and_drop(thread: threading.Thread) -> None:
        start(thread)
        if go_on.is_set():  # the second worker, as the first one has an item
            held.clear()

    threads = NewThreads()
    held = [ConcurrentMap(work, items(), concurrent=3)]
    assert next(held[0]) == 0
    monkeypatch.setattr(threading.Thread, "start", start_and_drop)
    go_on.set()
    for _ in range(2):  # the reader, and then the last worker that it has started
        for thread in threads.running():
            thread.join(20)
    assert not threads.running()
    assert not held
    assert not {2, 3} & set(asked)
