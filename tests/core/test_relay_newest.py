"""`Newest`: which frames of a video are asked, and which answers are given."""

from __future__ import annotations

import heapq
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from sansio_moondream import LocalProtocolError
from sansio_moondream.relay import Newest, Turn


def begun(newest: Newest[Any]) -> list[Any]:
    """Begin what may begin, and return the turns."""
    return list(iter(newest.begin, None))


def test_one_runs_and_only_the_newest_of_the_others_waits():
    newest: Newest[str] = Newest()
    assert newest.is_idle
    assert newest.begin() is None
    assert newest.offer("a") is None
    assert not newest.is_idle
    (first,) = begun(newest)
    assert (first.number, first.frame) == (1, "a")
    for frame in "bcd":
        assert newest.offer(frame) is None
        assert newest.begin() is None
    assert newest.skipped(first) == 0
    assert newest.end(first) is True
    assert not newest.is_idle
    (second,) = begun(newest)
    assert (second.number, second.frame) == (4, "d")
    assert newest.skipped(second) == 2
    assert newest.end(second) is True
    assert newest.is_idle


def test_a_newer_frame_cancels_the_one_that_runs():
    newest: Newest[str] = Newest(cancel=True)
    assert newest.offer("a") is None
    (first,) = begun(newest)
    assert newest.offer("b") == first
    assert begun(newest) == []  # "a" is still closing its connection
    assert newest.offer("c") is None  # it is cancelled already
    assert newest.end(first) is False
    (third,) = begun(newest)
    assert newest.skipped(third) == 2
    assert newest.offer("d") == third
    assert newest.end(third) is False
    (fourth,) = begun(newest)
    assert newest.skipped(fourth) == 3
    assert newest.end(fourth) is True
    assert newest.is_idle


def test_without_need_nothing_is_cancelled():
    newest: Newest[str] = Newest(concurrent=2, cancel=True)
    assert newest.offer("a") is None
    assert len(begun(newest)) == 1
    assert newest.offer("b") is None


def test_only_one_is_cancelled_for_the_one_that_waits():
    newest: Newest[str] = Newest(concurrent=2, cancel=True)
    newest.offer("a")
    newest.offer("b")  # without `begin` in between: "a" is replaced
    (b,) = begun(newest)
    newest.offer("c")
    (c,) = begun(newest)
    assert newest.offer("d") == b
    assert newest.end(c) is True  # the other place is free first
    (d,) = begun(newest)
    assert newest.offer("e") is None  # "b" still ends
    assert newest.end(b) is False
    (e,) = begun(newest)
    assert newest.offer("f") == d
    assert newest.end(e) is True
    assert newest.end(d) is False


def test_an_answer_that_is_older_than_one_before_it_is_dropped():
    newest: Newest[str] = Newest(concurrent=3)
    turns: list[Turn[str]] = []
    for frame in "abcd":
        newest.offer(frame)
        turns += begun(newest)
    a, b, c = turns
    assert newest.end(b) is True
    assert newest.skipped(c) == 0
    assert newest.end(a) is False
    assert newest.end(c) is True
    (d,) = begun(newest)
    assert (d.number, newest.skipped(d)) == (4, 0)


@pytest.mark.parametrize("concurrent", [0, -1, 1.0, True, "1", None])
def test_how_many_run_is_a_whole_number(concurrent: Any):
    with pytest.raises(ValueError, match=f"whole number of at least 1, not {concurrent!r}"):
        Newest(concurrent=concurrent)


def test_a_turn_ends_once():
    newest: Newest[str] = Newest()
    newest.offer("a")
    (a,) = begun(newest)
    other: Newest[str] = Newest()
    with pytest.raises(LocalProtocolError, match="frame 1 does not run"):
        other.end(a)
    other.offer("a")
    (same,) = begun(other)
    with pytest.raises(LocalProtocolError, match="frame 1 does not run"):
        newest.end(same)
    assert newest.end(a) is True
    with pytest.raises(LocalProtocolError, match="frame 1 does not run"):
        newest.end(a)


def test_turns_are_not_compared_by_their_frames_and_stay_as_they_are():
    class Pixels:
        """As an array of NumPy: it can be compared, and the outcome is no truth value."""

        def __eq__(self, other: object) -> Any:
            raise ValueError("ambiguous")

        __hash__ = None  # type: ignore[assignment]

    newest: Newest[Pixels] = Newest(cancel=True)
    newest.offer(Pixels())
    (turn,) = begun(newest)
    assert newest.offer(Pixels()) == turn
    assert newest.end(turn) is False
    other: Newest[Pixels] = Newest()
    other.offer(Pixels())
    assert begun(other) != [turn]
    with pytest.raises(AttributeError):
        setattr(turn, "number", 2)  # noqa: B010 - no type checker permits it


class AnyOrder(RuleBasedStateMachine):
    """Offer frames and end turns in any order, against a list with the fate of each frame."""

    @initialize(concurrent=st.integers(1, 4), cancel=st.booleans())
    def open(self, concurrent: int, cancel: bool) -> None:
        self.concurrent, self.cancel = concurrent, cancel
        self.newest: Newest[str] = Newest(concurrent=concurrent, cancel=cancel)
        self.fates: list[str] = []  # waits, runs, cancelled, given, skipped; by number - 1
        self.turns: dict[int, Turn[str]] = {}
        self.given: list[int] = []
        self.skips = 0

    def numbers(self, *fates: str) -> list[int]:
        return [number for number, fate in enumerate(self.fates, 1) if fate in fates]

    @rule()
    def offer(self) -> None:
        for number in self.numbers("waits"):
            self.fates[number - 1] = "skipped"
        running, cancelled = self.numbers("runs", "cancelled"), self.numbers("cancelled")
        is_full = len(running) == self.concurrent
        expected = running[0] if self.cancel and is_full and not cancelled else None
        self.fates.append("waits")
        turn = self.newest.offer(f"frame {len(self.fates)}")
        assert (turn.number if turn else None) == expected
        if turn:
            assert turn is self.turns[turn.number]
            self.fates[turn.number - 1] = "cancelled"
        self.begin()

    @precondition(lambda self: bool(getattr(self, "turns", None)))
    @rule(data=st.data())
    def end(self, data: st.DataObject) -> None:
        turn = self.turns.pop(data.draw(st.sampled_from(sorted(self.turns))))
        is_wanted = self.fates[turn.number - 1] == "runs"
        if is_given := is_wanted and turn.number > max(self.given, default=0):
            skipped = self.newest.skipped(turn)
            assert skipped == turn.number - max(self.given, default=0) - 1
            self.skips += skipped
            self.given.append(turn.number)
        assert self.newest.end(turn) is is_given
        self.fates[turn.number - 1] = "given" if is_given else "skipped"
        self.begin()

    def begin(self) -> None:
        for turn in begun(self.newest):
            assert self.numbers("waits") == [turn.number]
            assert turn.frame == f"frame {turn.number}"
            self.fates[turn.number - 1] = "runs"
            self.turns[turn.number] = turn

    @invariant()
    def the_rules_hold(self) -> None:
        if not hasattr(self, "fates"):
            return
        waiting, running = self.numbers("waits"), self.numbers("runs", "cancelled")
        assert len(running) <= self.concurrent
        assert waiting in ([], [len(self.fates)]), "only the newest waits"
        assert not waiting or len(running) == self.concurrent, "nothing waits while it may run"
        assert self.given == sorted(set(self.given)), "answers never go back in time"
        assert self.newest.is_idle == (not waiting and not running)
        if self.fates and self.newest.is_idle:
            assert self.given[-1] == len(self.fates), "the last frame is answered"
            assert len(self.given) + self.skips == len(self.fates), "each frame counts once"


TestAnyOrder = AnyOrder.TestCase
TestAnyOrder.settings = settings(stateful_step_count=30)


def simulate(
    seconds: float, latencies: list[float], *, rate: float = 30, **choices: Any
) -> tuple[list[tuple[float, int]], int]:
    """Play a video on a clock of its own. The answers take these latencies, in turn.

    Returns the time and frame of each answer, and how many frames there were.
    """
    newest: Newest[int] = Newest(**choices)
    answers: list[tuple[float, int]] = []
    count = round(seconds * rate)
    queue: list[tuple[float, int, Any]] = [(frame / rate, -1, frame) for frame in range(count)]
    asked = 0
    while queue:
        now, _, what = heapq.heappop(queue)
        if isinstance(what, Turn):
            if newest.end(what):
                answers.append((now, what.frame))
        elif (cancelled := newest.offer(what)) is not None:
            queue = [entry for entry in queue if entry[2] is not cancelled]
            heapq.heapify(queue)
            newest.end(cancelled)
        for turn in begun(newest):
            asked += 1
            heapq.heappush(queue, (now + latencies[asked % len(latencies)], asked, turn))
    assert newest.is_idle
    return answers, count


def test_thirty_frames_a_second_against_300_milliseconds():
    answers, count = simulate(60, [0.3])
    assert count == 1800
    assert len(answers) == 201  # 3.33 a second; one more behind the end
    ages = [now - frame / 30 for now, frame in answers]
    assert max(ages) < 0.3 + 1 / 30 + 1e-9  # in which the newest frame waited
    assert answers[-1][1] == count - 1


def test_several_at_once_give_more_answers_and_none_goes_back():
    answers, _ = simulate(60, [0.3], concurrent=3)
    assert len(answers) > 590
    answers, _ = simulate(60, [0.1, 0.7, 0.2, 0.4], concurrent=3)
    frames = [frame for _, frame in answers]
    assert 200 < len(frames) < 590
    assert frames == sorted(set(frames))


def test_cancelling_answers_nothing_while_frames_are_faster():
    answers, count = simulate(60, [0.3], cancel=True)
    assert [frame for _, frame in answers] == [count - 1]
    answers, count = simulate(60, [0.3], rate=2, cancel=True)
    assert len(answers) == count
