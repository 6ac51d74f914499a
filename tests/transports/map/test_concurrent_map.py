"""A function applied to many items, a few at once: which results come when, and what they cost."""

from __future__ import annotations

import gc
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from moondream_transports import AsyncConcurrentMap, ConcurrentMap
from tests.helpers import NewThreads
from tests.transports.adapters import Adapter

from .maps import BACKENDS, Items, Work

each_loop = pytest.mark.parametrize("loop", BACKENDS, ids=lambda loop: loop.name)


@each_loop
class TestResults:
    @pytest.mark.parametrize("concurrent", [1, 3, 40])
    @pytest.mark.parametrize("count", [0, 1, 20])
    def test_each_item_has_its_result_once(
        self, loop: Adapter, concurrent: int, count: int
    ) -> None:
        async def main() -> None:
            work = Work(loop, is_free=True)
            results = [value async for value in work.map(range(count), concurrent=concurrent)]
            assert results == [item * 10 for item in range(count)]
            items = Items(loop, limit=count)
            many = work.map(items.iterate(), concurrent=concurrent, ordered=False)
            assert sorted([value async for value in many]) == results
            assert items.is_closed
            assert not loop.tasks()

        threads = NewThreads()
        loop.run(main)
        assert not threads.running()

    def test_results_come_in_the_order_of_the_items_or_as_they_end(self, loop: Adapter) -> None:
        async def main() -> None:
            for ordered in (True, False):
                work = Work(loop)
                async with work.map(range(3), concurrent=3, ordered=ordered) as results:
                    work.release(2)
                    if ordered:
                        loop_ends_first = []
                        work.release(0)
                    else:
                        loop_ends_first = [await anext(results)]
                        work.release(0)
                    loop_ends_first.append(await anext(results))
                    work.release(1)
                    rest = [value async for value in results]
                assert [*loop_ends_first, *rest] == ([0, 10, 20] if ordered else [20, 0, 10])

        loop.run(main)

    def test_so_many_are_worked_on_at_once_and_no_more(self, loop: Adapter) -> None:
        async def main() -> None:
            work, items = Work(loop), Items(loop)
            async with work.map(items.iterate(), concurrent=3) as results:
                work.release(0)
                assert await anext(results) == 0
                await work.until(lambda: items.count == 5)
                await work.until_begun(1, 2, 3)
                assert work.begun == [0, 1, 2, 3]
                work.release(1, 2, 3, 4)
                assert await anext(results) == 10
            assert work.most == 3

        loop.run(main)

    @pytest.mark.parametrize("ordered", [True, False])
    def test_nothing_begins_while_many_results_wait(self, loop: Adapter, ordered: bool) -> None:
        async def main() -> None:
            work, items = Work(loop, is_free=True), Items(loop)
            async with work.map(items.iterate(), concurrent=4, ordered=ordered) as results:
                for expected in range(9, 14):
                    await anext(results)
                    await work.until(lambda: len(work.ended) >= expected)  # noqa: B023
                    await loop.sleep(0.01)  # time to begin too much
                    assert items.count == len(work.begun) == len(work.ended) == expected

        loop.run(main)

    def test_an_item_that_takes_long_holds_up_only_a_bounded_number(self, loop: Adapter) -> None:
        async def main() -> None:
            work = Work(loop)
            work.release(*range(1, 100))
            async with work.map(range(100), concurrent=3) as results:
                work.release(0)
                assert await anext(results) == 0
            work = Work(loop)
            work.release(0, *range(2, 100))
            async with work.map(range(100), concurrent=3) as results:
                assert await anext(results) == 0
                await work.until(lambda: len(work.ended) == 6)  # 0, and 2 to 6
                assert sorted(work.begun) == list(range(7))
                work.release(1)
                assert [value async for value in results] == [item * 10 for item in range(1, 100)]

        loop.run(main)

    def test_a_result_does_not_wait_for_the_next_item(self, loop: Adapter) -> None:
        async def main() -> None:
            work, items = Work(loop, is_free=True), Items(loop, waits_before=2, limit=4)
            async with work.map(items.iterate(), concurrent=8) as results:
                assert [await anext(results), await anext(results)] == [0, 10]
                assert items.count == 2
                items.gate.set()
                assert [value async for value in results] == [20, 30]

        loop.run(main)

    def test_what_is_ready_can_be_taken_at_once(self, loop: Adapter) -> None:
        async def main() -> None:
            work = Work(loop)
            async with work.map(range(9), concurrent=3) as results:
                assert results.ready() == []
                work.release(0, 1, 3)
                assert await anext(results) == 0
                await work.until(lambda: len(work.ended) == 3)
                assert results.ready() == [10]
                assert results.ready() == []
                work.release(2)
                assert [await anext(results), *results.ready()] == [20, 30]
                work.release(*range(4, 9))
                assert [value async for value in results] == [40, 50, 60, 70, 80]
                assert results.ready() == []

        loop.run(main)

    def test_many_maps_run_side_by_side(self, loop: Adapter) -> None:
        async def main() -> None:
            work = Work(loop, is_free=True)
            maps = [work.map(range(5), concurrent=2) for _ in range(10)]
            for number in range(5):
                assert [await anext(results) for results in maps] == [number * 10] * 10
            for results in maps:
                assert [value async for value in results] == []

        loop.run(main)

    @pytest.mark.parametrize("concurrent", [0, -1, True, 1.0, "2", None])
    def test_a_number_that_makes_no_sense_is_refused(self, loop: Adapter, concurrent: Any) -> None:
        with pytest.raises(ValueError, match="a whole number of at least 1, not"):
            Work(loop).map([1], concurrent=concurrent)


def test_items_of_the_wrong_kind_are_refused() -> None:
    async def numbers() -> Any:
        yield 1

    with pytest.raises(TypeError, match="is for AsyncClient.map: async_generator"):
        ConcurrentMap(lambda item, running: item, numbers(), concurrent=1)
    for kind in (ConcurrentMap, AsyncConcurrentMap):
        with pytest.raises(TypeError, match="'int' object is not iterable"):
            kind(lambda item, running: item, 5, concurrent=1)  # type: ignore[arg-type]


def test_a_generator_is_read_and_closed_by_one_thread() -> None:
    """What it holds may belong to a thread, such as a connection of sqlite3."""
    loop = BACKENDS[0]
    items = Items(loop)
    with ConcurrentMap(lambda item, running: item, items.iterate(), concurrent=4) as results:
        assert [next(results) for _ in range(100)] == list(range(100))
    assert items.is_closed
    assert len(items.threads) == 1


class Large:
    alive = 0

    def __init__(self) -> None:
        self.bytes = bytes(1000)
        Large.alive += 1

    def __del__(self) -> None:
        Large.alive -= 1


def larges(count: int, seen: list[int]) -> Iterator[Large]:
    for _ in range(count):
        seen[0] = max(seen[0], Large.alive)
        yield Large()


@each_loop
@pytest.mark.parametrize("is_long", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_an_endless_generator_takes_constant_memory(loop: Adapter, is_long: bool) -> None:
    """Items and results are held twice `concurrent` times, and what is at hand a little longer."""
    count = 3_000 if not is_long else 100_000 if loop.is_async else 300_000
    seen = [0]
    blocks: list[int] = []

    def same(item: Large, running: Any) -> Large:
        return item

    async def async_same(item: Large, running: Any) -> Large:
        return item

    async def main() -> None:
        items = larges(count, seen)
        number = 0
        if loop.is_async:
            async for _ in AsyncConcurrentMap(async_same, items, concurrent=8):
                number += 1
                measure(number)
        else:
            for _ in ConcurrentMap(same, items, concurrent=8):
                number += 1
                measure(number)
        assert number == count

    def measure(number: int) -> None:
        if number in (count // 3, count - 100):
            gc.collect()
            blocks.append(sys.getallocatedblocks())

    Large.alive = 0
    loop.run(main, debug=False)
    assert seen[0] <= 2 * 8 + 8 + 3
    assert blocks[1] < blocks[0] + count // 10, blocks
    gc.collect()
    assert Large.alive == 0
