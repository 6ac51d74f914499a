"""`latest`, on threads and on both event loops: which frames are asked, and what is answered."""

from __future__ import annotations

import asyncio
import gc
import threading
import time
import weakref
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest

from moondream_transports import Client
from moondream_transports.conformance._backend import run_without_a_loop
from moondream_transports.relay import latest
from sansio_moondream import ConnectionLost, ServerError
from tests.helpers import END, delta
from tests.transports.adapters import Adapter
from tests.transports.fakes import FakeStream

from .videos import BACKENDS, Model, ask

EVENT_LOOPS = BACKENDS[1:]
each_loop = pytest.mark.parametrize("loop", BACKENDS, ids=lambda loop: loop.name)
each_event_loop = pytest.mark.parametrize("loop", EVENT_LOOPS, ids=lambda loop: loop.name)


def seen(answer: Any) -> tuple[Any, Any, int]:
    return answer.frame, getattr(answer.result, "text", None), answer.skipped


@each_loop
class TestLatest:
    def test_only_the_newest_of_those_that_wait_is_asked(self, loop: Adapter) -> None:
        model = Model(loop)
        encoded: list[int] = []

        def frames() -> Iterator[int]:
            yield 1
            model.wait_until_asked(1)
            yield from (2, 3, 4)
            model.release(1)
            model.wait_until_asked(4)
            yield 5
            model.release(4)
            model.release(5)

        def request(frame: int) -> Any:
            encoded.append(frame)
            return ask(frame)

        async def main() -> None:
            answers = [answer async for answer in model.latest(frames(), request)]
            assert [seen(answer) for answer in answers] == [(1, "1", 0), (4, "4", 2), (5, "5", 0)]
            assert all(answer.error is None and answer.seconds >= 0 for answer in answers)

        loop.run(main)
        assert model.asked == ["1", "4", "5"] == model.closed
        assert encoded == [1, 4, 5]

    def test_without_frames_there_is_no_answer(self, loop: Adapter) -> None:
        model = Model(loop)

        async def main() -> None:
            answers = model.latest([])
            assert [answer async for answer in answers] == []
            assert [answer async for answer in answers] == []

        loop.run(main)
        assert model.asked == []

    def test_a_failed_request_does_not_end_the_video(self, loop: Adapter) -> None:
        model = Model(loop)

        def frames() -> Iterator[int]:
            yield 1
            model.wait_until_asked(1)
            yield 2
            model.release(1, delta("A"), ConnectionLost("reset"))
            model.release(2)

        async def main() -> None:
            first, second = [answer async for answer in model.latest(frames())]
            assert seen(first) == (1, None, 0)
            assert isinstance(first.error, ConnectionLost)
            result: Any = first.error.partial
            assert result.text == "A"
            assert seen(second) == (2, "2", 0)

        loop.run(main)

    def test_an_error_is_raised_by_choice(self, loop: Adapter) -> None:
        model = Model(loop)
        source = Source(range(1, 10), model)
        model.release(1, ServerError("hot"))

        async def main() -> None:
            answers = model.latest(source, raise_errors=True)
            with pytest.raises(ServerError, match="hot"):
                await anext(answers)
            assert source.is_closed
            assert [answer async for answer in answers] == []

        loop.run(main)
        assert model.asked[0] == "1"

    def test_several_at_once_and_late_ones_are_dropped(self, loop: Adapter) -> None:
        model = Model(loop)

        def frames() -> Iterator[int]:
            for frame in (1, 2, 3):
                yield frame
                model.wait_until_asked(frame)
            yield from (4, 5)
            model.release(2)
            model.wait_until_asked(5)
            model.release(1)
            model.wait_until_closed(1)
            model.release(3)
            model.wait_until_closed(3)
            model.release(5)

        async def main() -> None:
            answers = [seen(answer) async for answer in model.latest(frames(), concurrent=3)]
            assert answers == [(2, "2", 1), (3, "3", 0), (5, "5", 1)]

        loop.run(main)
        assert model.asked == ["1", "2", "3", "5"]

    def test_a_newer_frame_cancels_by_choice(self, loop: Adapter) -> None:
        model = Model(loop)

        def frames() -> Iterator[int]:
            yield 1
            model.wait_until_asked(1)
            yield 2
            model.wait_until_closed(1)
            model.wait_until_asked(2)
            model.release(2)

        async def main() -> None:
            answers = [seen(answer) async for answer in model.latest(frames(), cancel=True)]
            assert answers == [(2, "2", 1)]

        loop.run(main)
        assert model.closed == ["1", "2"]

    def test_what_is_cancelled_while_it_is_encoded_is_not_asked(self, loop: Adapter) -> None:
        model = Model(loop)
        encodes, newer_came = threading.Event(), threading.Event()
        running: list[int] = []

        def request(frame: int) -> Any:
            running.append(frame)
            assert len(running) == 1, "there are no more threads than turns"
            encodes.set()
            assert newer_came.wait(10)
            running.remove(frame)
            return ask(frame)

        def frames() -> Iterator[int]:
            yield 1
            assert encodes.wait(10)
            yield from (2, 3)
            newer_came.set()
            model.wait_until_asked(3)
            model.release(3)

        async def main() -> None:
            answers = [
                seen(answer) async for answer in model.latest(frames(), request, cancel=True)
            ]
            assert answers == [(3, "3", 2)]

        loop.run(main)
        assert model.asked == ["3"]

    def test_what_is_cancelled_before_its_head_came_is_not_read(self, loop: Adapter) -> None:
        model = Model(loop)
        model.heads_come.clear()

        def frames() -> Iterator[int]:
            yield 1
            model.wait_until_asked(1)
            yield 2
            model.heads_come.set()
            model.wait_until_asked(2)
            model.release(2)

        async def main() -> None:
            answers = [seen(answer) async for answer in model.latest(frames(), cancel=True)]
            assert answers == [(2, "2", 1)]

        loop.run(main)
        assert model.closed in (["1", "2"], ["2"])  # the task is cancelled, or the thread closes it

    def test_partial_answers_and_only_their_newest_state(self, loop: Adapter) -> None:
        model = Model(loop)
        taken = threading.Semaphore(0)

        def frames() -> Iterator[str]:
            yield "a"
            model.release("a", delta("The"))
            assert taken.acquire(timeout=10)
            model.release("a", delta(" full"), delta(" moon"), ConnectionLost("reset"))
            yield "b"
            model.release("b", delta("Sun"), END, b"")

        async def main() -> None:
            answers: list[Any] = []
            async for answer in model.latest(frames(), partial=True):
                answers.append(answer)
                taken.release()
            assert (answers[0].result.text, answers[0].result.partial) == ("The", True)
            texts = [answer.result.text for answer in answers if answer.result]
            assert texts == sorted(texts, key=["The", "The full", "The full moon", "Sun"].index)
            assert texts[-1] == "Sun"
            assert answers[-1].result.partial is False
            assert sum(not getattr(answer.result, "partial", False) for answer in answers) == 2
            assert [answer.frame for answer in answers] == sorted(
                answer.frame for answer in answers
            )
            (failed,) = [answer for answer in answers if answer.error]
            assert failed.error.partial.text == "The full moon"

        loop.run(main)

    def test_while_an_answer_is_not_taken_nothing_is_asked(self, loop: Adapter) -> None:
        model = Model(loop)
        all_came = threading.Event()

        def frames() -> Iterator[int]:
            yield 1
            model.wait_until_asked(1)
            yield 2
            model.release(1)
            model.wait_until_asked(2)
            model.release(2)
            model.wait_until_closed(2)
            yield from range(3, 50)
            all_came.set()

        async def main() -> None:
            answers = model.latest(frames())
            assert seen(await anext(answers)) == (1, "1", 0)
            await loop.until(all_came.is_set, "all frames")
            assert model.asked == ["1", "2"]
            assert seen(await anext(answers)) == (2, "2", 0)
            await loop.until(lambda: model.asked == ["1", "2", "49"], "the newest to be asked")
            model.release(49)
            assert [seen(answer) async for answer in answers] == [(49, "49", 46)]

        loop.run(main)

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

        before = threading.active_count()
        loop.run(main)
        if loop.name == "sync":
            assert threading.active_count() == before

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


class Frame:
    def __init__(self, number: int) -> None:
        self.number = number

    def __str__(self) -> str:
        return str(self.number)


class Source:
    """An iterator that can be closed. It gives the second frame when the first one was asked."""

    def __init__(self, frames: Any, model: Model) -> None:
        self.frames = iter(frames)
        self.model = model
        self.count = 0
        self.is_closed = False

    def __iter__(self) -> Iterator[Any]:
        return self

    def __next__(self) -> Any:
        self.count += 1
        if self.count == 2:
            self.model.wait_until_asked(1)
        return next(self.frames)

    def close(self) -> None:
        self.is_closed = True
