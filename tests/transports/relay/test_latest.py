"""`latest`, on threads and on both event loops: which frames are asked, and what is answered."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import pytest

from sansio_moondream import ConnectionLost, ServerError
from tests.helpers import END, delta
from tests.transports.adapters import Adapter

from .videos import BACKENDS, Model, Source, ask, seen

each_loop = pytest.mark.parametrize("loop", BACKENDS, ids=lambda loop: loop.name)


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
