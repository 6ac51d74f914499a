"""The ideal schedule of a bulk run, in cases that can be computed by hand."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from moondream_tools._faults import HTTPFault
from moondream_transports import RetryPolicy
from sansio_moondream import ConnectionLost, RateLimitError, ServerError
from sansio_moondream.limiter import RateLimit
from tests.tools.ideal_schedule import IdealSchedule, ideal_schedule

Faults = Mapping[tuple[str, int], str]


def ideal(requests: str, faults: Faults | None = None, **options: Any) -> IdealSchedule:
    """Simulate a run of requests with names of one letter, and a latency of 0.25 seconds."""

    def fault(digest: str, number: int) -> HTTPFault | None:
        kind = (faults or {}).get((digest, number))
        return None if kind is None else HTTPFault.parse(kind)

    return ideal_schedule(requests, **{"concurrent": 1, "latency": 0.25, "fault": fault, **options})


class TestWithoutFaults:
    @pytest.mark.parametrize(
        ("count", "concurrent", "seconds"),
        [(0, 1, 0.0), (1, 1, 0.25), (4, 1, 1.0), (4, 2, 0.5), (5, 2, 0.75), (5, 9, 0.25)],
    )
    def test_as_many_rounds_as_needed(self, count: int, concurrent: int, seconds: float) -> None:
        run = ideal("abcdefgh"[:count], concurrent=concurrent)
        assert run.seconds == seconds
        assert run.errors == dict.fromkeys("abcdefgh"[:count])
        assert set(run.attempts.values()) <= {1}

    def test_the_limit_is_kept(self) -> None:
        assert ideal("abcd", concurrent=4, limit=RateLimit(concurrent=2)).seconds == 0.5

    def test_the_rate_is_kept(self) -> None:
        run = ideal("abcde", concurrent=4, limit=RateLimit(per_second=2))
        assert run.seconds == pytest.approx(4 / 2 + 0.25)  # the last begins after 4 intervals

    def test_a_slow_server_is_no_faster_than_its_answers(self) -> None:
        run = ideal("abcde", limit=RateLimit(per_second=100))
        assert run.seconds == pytest.approx(5 * 0.25)


class TestWithFaults:
    def test_a_pause_and_another_attempt(self) -> None:
        run = ideal("a", {("a", 1): "429"})
        assert (run.seconds, run.errors, run.attempts) == (0.25 + 1 + 0.25, {"a": None}, {"a": 2})

    @pytest.mark.parametrize("kind", ["429", "503"])
    def test_a_pause_is_for_all(self, kind: str) -> None:
        # a and b end at 0.25. c may begin at 1.25 together with a's second attempt; d follows.
        run = ideal("abcd", {("a", 1): kind}, concurrent=2)
        assert run.seconds == 0.25 + 1 + 0.25 + 0.25
        assert run.attempts == {"a": 2, "b": 1, "c": 1, "d": 1}

    def test_pauses_at_the_same_time_are_one(self) -> None:
        run = ideal("abc", {("a", 1): "429", ("b", 1): "503", ("c", 1): "429"}, concurrent=3)
        assert run.seconds == 1.5

    @pytest.mark.parametrize(("kind", "error"), [("429", RateLimitError), ("503", ServerError)])
    def test_the_attempts_end(self, kind: str, error: type[Exception]) -> None:
        policy = RetryPolicy(max_attempts=3)
        run = ideal("a", {("a", number): kind for number in (1, 2, 3)}, retries=policy)
        assert (run.seconds, run.attempts) == (3 * 0.25 + 2, {"a": 3})
        assert type(run.errors["a"]) is error

    def test_a_broken_answer_is_final(self) -> None:
        run = ideal("ab", {("a", 1): "close"})
        assert (run.seconds, run.attempts) == (0.5, {"a": 1, "b": 1})
        assert type(run.errors["a"]) is ConnectionLost
        assert run.errors["b"] is None

    def test_a_longer_backoff_counts(self) -> None:
        policy = RetryPolicy(initial_backoff=3.0, jitter=0.0)
        assert ideal("a", {("a", 1): "503"}, retries=policy).seconds == 0.25 + 3 + 0.25


class TestSpread:
    def test_answers_differ_by_it(self) -> None:
        run = ideal("abcdefgh", spread=0.01)
        assert 8 * 0.25 < run.seconds < 8 * 0.26
        assert run.seconds == ideal("abcdefgh", spread=0.01).seconds
        assert run.seconds != ideal("abcdefgh", spread=0.01, seed=1).seconds

    def test_what_begins_before_a_pause_is_answered_in_it(self) -> None:
        # If a ends before b, its pause stops c, and d begins at 1.5. If b ends first, c begins
        # before the pause, and d begins at 1.25 together with the second attempt of a.
        runs = [
            ideal("abcd", {("a", 1): "429"}, concurrent=2, spread=0.001, seed=seed)
            for seed in range(20)
        ]
        assert {round(run.seconds, 2) for run in runs} == {1.5, 1.75}
