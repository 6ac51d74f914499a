"""`latest`, about a source that is async."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from moondream_transports import Client
from moondream_transports.relay import latest
from tests.transports.adapters import Adapter
from tests.transports.fakes import FakeStream

from .videos import BACKENDS, Model, Source, ask, seen

EVENT_LOOPS = BACKENDS[1:]
each_event_loop = pytest.mark.parametrize("loop", EVENT_LOOPS, ids=lambda loop: loop.name)


class TestAsyncSource:
    """The source is async, so it is read in a task."""

    @each_event_loop
    def test_it_is_read_at_its_own_pace(self, loop: Adapter) -> None:
        model = Model(loop)
        ended: list[str] = []

        async def frames() -> AsyncIterator[int]:
            try:
                yield 1
                await loop.until(lambda: model.asked, "the first to be asked")
                for frame in range(2, 100):  # without waiting
                    yield frame
                model.release(1)
                model.release(99)
            finally:
                ended.append("closed")

        async def main() -> None:
            answers = [seen(answer) async for answer in model.latest(frames())]
            assert answers == [(1, "1", 0), (99, "99", 97)]

        loop.run(main)
        assert ended == ["closed"]

    @each_event_loop
    def test_one_that_never_waits_stops_nobody(self, loop: Adapter) -> None:
        model = Model(loop)
        ended: list[str] = []

        async def frames() -> AsyncIterator[int]:
            try:
                while True:
                    yield 1
            finally:
                await loop.sleep(0)
                ended.append("closed")

        async def main() -> None:
            model.release(1)
            async with model.latest(frames()) as answers:
                assert seen(await anext(answers))[:2] == (1, "1")
            assert ended == ["closed"]

        loop.run(main)

    @each_event_loop
    def test_its_error_comes_behind_the_answers(self, loop: Adapter) -> None:
        model = Model(loop)

        class Frames:
            """An async iterator that cannot be closed."""

            count = 0

            def __aiter__(self) -> Frames:
                return self

            async def __anext__(self) -> int:
                self.count += 1
                if self.count > 1:
                    raise ZeroDivisionError("camera")
                return self.count

        async def main() -> None:
            model.release(1)
            answers = model.latest(Frames())
            assert seen(await anext(answers)) == (1, "1", 0)
            with pytest.raises(ZeroDivisionError, match="camera"):
                await anext(answers)

        loop.run(main)

    @each_event_loop
    @pytest.mark.parametrize("is_async", [True, False])
    def test_cancellation_closes_and_passes(self, loop: Adapter, is_async: bool) -> None:
        model = Model(loop)
        source = Source(range(1, 10**9), model)

        async def frames() -> AsyncIterator[int]:
            try:
                yield 1
                await loop.forever()
            finally:
                source.close()

        async def main() -> None:
            async def read() -> None:
                async for _ in model.latest(frames() if is_async else source):
                    raise AssertionError("nothing was answered")

            async def read_and_cancel(cancel: Callable[[], object]) -> None:
                async def cancel_later() -> None:
                    await loop.until(lambda: model.asked, "a frame to be asked")
                    cancel()

                await loop.all_of([read, cancel_later])

            await loop.cancelled(read_and_cancel)
            await loop.until(lambda: not loop.tasks(), "`gather` to end its tasks")
            assert source.is_closed
            assert model.closed == ["1"]

        loop.run(main)

    @each_event_loop
    def test_the_source_of_a_loop_that_ended_is_closed(self, loop: Adapter) -> None:
        model = Model(loop)
        source = Source(range(1, 10**9), model)
        kept: list[Any] = []

        async def main() -> None:
            kept.append(model.latest(source))
            model.release(1)
            await anext(kept[0])

        asyncio.run(main()) if loop.name == "asyncio" else loop.run(main)
        deadline = time.monotonic() + 10
        while not source.is_closed:
            assert time.monotonic() < deadline
            time.sleep(0.001)

    def test_a_for_loop_with_a_sync_client(self) -> None:
        model = Model(BACKENDS[0])
        model.release(1)
        answers = model.latest([1]).sync
        with answers:
            assert [seen(answer) for answer in answers] == [(1, "1", 0)]

    def test_a_sync_client_takes_no_async_source(self) -> None:
        async def frames() -> AsyncIterator[int]:
            yield 1

        with Client(FakeStream()) as client, pytest.raises(TypeError, match="no AsyncClient"):
            latest(client, frames(), ask)  # type: ignore[call-overload]
        with pytest.raises(TypeError, match="client should be a Client or an AsyncClient, not str"):
            latest("client", [1], ask)  # type: ignore[call-overload]
