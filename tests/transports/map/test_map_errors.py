"""A map that ends with an error, of its function or of its items."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.transports.adapters import Adapter

from .maps import BACKENDS, Items, Work

each_loop = pytest.mark.parametrize("loop", BACKENDS, ids=lambda loop: loop.name)
each_async_loop = pytest.mark.parametrize("loop", BACKENDS[1:], ids=lambda loop: loop.name)


@each_loop
class TestErrors:
    def test_an_error_of_the_function_comes_at_its_place(self, loop: Adapter) -> None:
        """What runs before it is finished, what runs after it is cancelled at once."""

        async def main() -> None:
            work, items = Work(loop), Items(loop)
            work.fails[2] = ZeroDivisionError("two")
            results = work.map(items.iterate(), concurrent=5)
            work.release(0)
            assert await anext(results) == 0
            await work.until_begun(1, 2, 3, 4, 5)
            work.release(2)
            await work.until(lambda: len(work.cancelled) == 3 and items.is_closed)
            work.release(1)
            assert await anext(results) == 10
            with pytest.raises(ZeroDivisionError, match="two"):
                await anext(results)
            assert [value async for value in results] == []
            assert sorted(work.cancelled) == [3, 4, 5]
            assert sorted(work.begun) == [0, 1, 2, 3, 4, 5]

        loop.run(main)

    def test_the_first_of_several_errors_is_raised(self, loop: Adapter) -> None:
        async def main() -> None:
            work = Work(loop)
            work.fails = {1: ZeroDivisionError("one"), 2: ZeroDivisionError("two")}
            results = work.map(range(3), concurrent=3)
            work.release(2)
            work.release(0)
            assert await anext(results) == 0
            await work.until(lambda: 2 in work.ended)
            work.release(1)
            with pytest.raises(ZeroDivisionError, match="one"):
                await anext(results)

        loop.run(main)

    def test_without_an_order_what_has_ended_comes_first(self, loop: Adapter) -> None:
        async def main() -> None:
            work, items = Work(loop), Items(loop)
            work.fails[1] = ZeroDivisionError("one")
            results = work.map(items.iterate(), concurrent=3, ordered=False)
            work.release(0)
            assert await anext(results) == 0
            await work.until_begun(1, 2, 3)
            work.release(2)
            await work.until(lambda: 2 in work.ended)
            work.release(1)
            await work.until(lambda: 1 in work.ended and 3 in work.cancelled)
            assert await anext(results) == 20
            with pytest.raises(ZeroDivisionError, match="one"):
                await anext(results)
            assert items.is_closed
            assert [value async for value in results] == []

        loop.run(main)

    @pytest.mark.parametrize("ordered", [True, False])
    def test_an_error_of_the_items_comes_after_all_results(
        self, loop: Adapter, ordered: bool
    ) -> None:
        def broken() -> Iterator[int]:
            yield from range(3)
            raise ZeroDivisionError("items")

        async def main() -> None:
            work = Work(loop)
            results = work.map(broken(), concurrent=5, ordered=ordered)
            work.release(0)
            assert await anext(results) == 0
            work.release(1, 2)
            assert sorted([await anext(results), await anext(results)]) == [10, 20]
            with pytest.raises(ZeroDivisionError, match="items"):
                await anext(results)

        loop.run(main)

    def test_a_stray_stop_iteration_does_not_end_the_loop_silently(self, loop: Adapter) -> None:
        async def main() -> None:
            kind = StopAsyncIteration if loop.is_async else StopIteration
            work = Work(loop, is_free=True)
            work.fails[1] = kind()
            results = work.map(range(3), concurrent=1)
            assert await anext(results) == 0
            with pytest.raises(RuntimeError, match=f"{kind.__name__} was raised outside"):
                await anext(results)

        loop.run(main)

    @pytest.mark.parametrize("kind", [KeyboardInterrupt, SystemExit])
    def test_what_ends_a_program_is_raised_where_the_results_are_taken(
        self, loop: Adapter, kind: type[BaseException]
    ) -> None:
        async def main() -> None:
            work = Work(loop, is_free=True)
            work.fails[1] = kind("from a worker")
            results = work.map(range(3), concurrent=1)
            assert await anext(results) == 0
            with pytest.raises(kind, match="from a worker"):
                await anext(results)

        if loop.name != "asyncio":  # there it also ends the event loop, as in any task
            loop.run(main)
