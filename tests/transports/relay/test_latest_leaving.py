"""`latest`: a video that is left, closed or given up, and what the user's code raises."""

from __future__ import annotations

import gc
import threading
import weakref
from collections.abc import Iterator
from typing import Any

import pytest

from moondream_transports.conformance._backend import run_without_a_loop
from tests.helpers import NewThreads
from tests.transports.adapters import Adapter

from .videos import BACKENDS, Frame, Model, Source, ask, seen

each_loop = pytest.mark.parametrize("loop", BACKENDS, ids=lambda loop: loop.name)


@each_loop
class TestLeaving:
    @pytest.mark.parametrize("is_frame", [True, False])
    def test_what_the_users_code_raises_comes_behind_the_answers(
        self, loop: Adapter, is_frame: bool
    ) -> None:
        model = Model(loop)

        def frames() -> Iterator[int]:
            yield 1
            model.wait_until_asked(1)
            yield 2
            model.release(1)
            if is_frame:
                model.release(2)
                raise ZeroDivisionError("camera")
            model.wait_until_closed(1)

        def request(frame: int) -> Any:
            if frame == 2 and not is_frame:
                raise ZeroDivisionError("encoder")
            return ask(frame)

        async def main() -> None:
            answers = model.latest(frames(), request)
            assert seen(await anext(answers)) == (1, "1", 0)
            if is_frame:
                assert seen(await anext(answers)) == (2, "2", 0)
            with pytest.raises(ZeroDivisionError, match="camera" if is_frame else "encoder"):
                await anext(answers)
            assert [answer async for answer in answers] == []

        loop.run(main)

    def test_leaving_cancels_and_closes(self, loop: Adapter) -> None:
        model = Model(loop)
        source = Source(range(1, 10**9), model)
        model.release(1)

        async def main() -> None:
            async with model.latest(source) as answers:
                assert seen(await anext(answers))[:2] == (1, "1")
                await loop.until(lambda: len(model.asked) == 2, "the next frame to be asked")
            assert source.is_closed
            assert model.closed == model.asked
            assert not loop.tasks()
            await answers.aclose()
            assert [answer async for answer in answers] == []

        threads = NewThreads()
        loop.run(main)
        if loop.name == "sync":
            assert not threads.running()

    def test_a_loop_that_is_left_stops_everything(self, loop: Adapter) -> None:
        model = Model(loop)
        source = Source(range(1, 10**9), model)
        model.release(1)

        async def main() -> None:
            async for answer in model.latest(source):
                assert answer.frame == 1
                break
            await loop.until(lambda: source.is_closed, "the source to be closed")
            await loop.until(lambda: model.closed == model.asked, "the streams to be closed")
            await loop.until(lambda: not loop.tasks(), "the tasks to end")

        loop.run(main)

    def test_what_was_never_begun_leaves_nothing(self, loop: Adapter) -> None:
        model = Model(loop)
        source = Source([1], model)

        async def main() -> None:
            answers = model.latest(source)
            await answers.aclose()
            assert [answer async for answer in answers] == []
            del answers
            async with model.latest(source):
                pass

        loop.run(main)
        assert not source.is_closed
        assert model.asked == []

    def test_a_source_that_waits_for_ever_is_left_alone(self, loop: Adapter) -> None:
        model = Model(loop)
        frame_comes = threading.Event()
        is_closed = threading.Event()

        def frames() -> Iterator[int]:
            try:
                yield 1
                assert frame_comes.wait(60)
                yield 2
            finally:
                is_closed.set()

        async def main() -> None:
            async with model.latest(frames()) as answers:
                model.release(1)
                await anext(answers)
            assert not is_closed.is_set()

        loop.run(main)
        frame_comes.set()
        assert is_closed.wait(10)
        assert model.asked == ["1"]

    def test_frames_are_not_kept(self, loop: Adapter) -> None:
        model = Model(loop)
        alive: weakref.WeakSet[Frame] = weakref.WeakSet()
        most = 0

        def frames() -> Iterator[Frame]:
            nonlocal most
            for number in range(200):
                frame = Frame(number)
                alive.add(frame)
                model.release(number)
                yield frame
                most = max(most, len(alive))

        async def main() -> None:
            count = 0
            async for answer in model.latest(frames()):
                count += 1 + answer.skipped
                del answer
            assert count == 200

        gc.disable()  # what is freed only by it is kept too long
        try:
            loop.run(main)
        finally:
            gc.enable()
        # One in the generator, one in the reader, one waits, one runs, one is ready, one is used.
        # Two threads may be about to end.
        assert most <= 8

    def test_closing_from_elsewhere_ends_the_loop(self, loop: Adapter) -> None:
        model = Model(loop)

        async def main() -> None:
            answers = model.latest(Source([1], model))

            async def close() -> None:
                await loop.until(lambda: model.asked, "a frame to be asked")
                await answers.aclose()

            async def read() -> None:
                assert [answer async for answer in answers] == []

            if loop.is_async:
                await loop.all_of([read, close])
            else:
                closer = threading.Thread(target=run_without_a_loop, args=(close(),))
                closer.start()
                await read()
                closer.join()

        loop.run(main)
        assert model.closed == ["1"]

    def test_arguments(self, loop: Adapter) -> None:
        model = Model(loop)
        ones: Any = [1]

        async def asynchronous(frame: int) -> Any:
            raise AssertionError

        cases: list[tuple[dict[str, Any], type[Exception], str]] = [
            ({"concurrent": 0}, ValueError, "at least 1, not 0"),
            ({"concurrent": 2, "partial": True}, ValueError, "partial=True needs concurrent=1"),
            ({"request": asynchronous}, TypeError, "called in a thread"),
            ({"request": ask(1)}, TypeError, "function that makes a request"),
            ({"frames": 7}, TypeError, "frames should be an iterable.*, not int"),
        ]
        for wrong, error, match in cases:
            with pytest.raises(error, match=match):
                model.latest(**{"frames": ones, **wrong})
