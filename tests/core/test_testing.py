"""The testing module itself: its cuttings are what they say, and its check can fail."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import pytest
from hypothesis import find, given
from hypothesis import strategies as st

from sansio_moondream import Completed, ConnectionLost, IncompleteStream, Request, ResponseStream, TextDelta
from sansio_moondream.testing import (
    EOF,
    Fault,
    at_offsets,
    check_cuttings,
    each_byte,
    every_cutting,
    one_cut,
    record_ends,
    run,
    strategies,
    with_empty_pieces,
)
from tests.helpers import END, QUERY, REQUESTS, delta


def test_cuttings():
    assert each_byte(b"abc") == [b"a", b"b", b"c"]
    assert at_offsets(b"abcdef", [4, 2, 2, 0, 6, 99, -1]) == [b"ab", b"cd", b"ef"]
    assert list(one_cut(b"abc")) == [[b"a", b"bc"], [b"ab", b"c"]]
    assert with_empty_pieces([b"a", b"b"]) == [b"", b"a", b"", b"b", b""]
    assert [name for name, _ in every_cutting(b"abc")] == [
        "whole",
        "byte by byte",
        "byte by byte with empty pieces",
        "cut at 1",
        "cut at 2",
    ]


@given(st.binary(max_size=30))
def test_every_cutting_has_all_the_bytes(data: bytes):
    assert all(b"".join(pieces) == data for _, pieces in every_cutting(data))


def test_record_ends():
    assert record_ends(b"a\n\nbc\n\n\nd\n") == [3, 8]
    assert record_ends(delta("a") + END) == [len(delta("a")), len(delta("a") + END)]


@pytest.mark.parametrize("error", [EOF, ConnectionLost("gone"), OSError("gone")])
def test_faults(error: Exception | None):
    data = delta("a") + delta("b") + END
    body, ending = Fault(record_ends(data)[1], error).apply(data)
    outcome = check_cuttings(QUERY, body, ending=ending)
    assert outcome.events == [TextDelta("a"), TextDelta("b")]
    assert type(outcome.error) is (IncompleteStream if error is EOF else ConnectionLost)
    assert getattr(error, "partial", None) is None  # the plan can be used again


def test_the_check_fails_for_a_decoder_that_depends_on_the_cutting(monkeypatch: pytest.MonkeyPatch):
    class Wrong(ResponseStream[Any]):
        def receive_data(self, data: bytes | bytearray | memoryview) -> None:
            super().receive_data(bytes(data).strip(b"\n"))

    monkeypatch.setattr("sansio_moondream.testing._outcomes.ResponseStream", Wrong)
    with pytest.raises(AssertionError, match="byte by byte gives another outcome than whole"):
        check_cuttings(QUERY, delta("a") + END)


def test_outcomes_of_streams_that_end_by_themselves_ignore_what_follows():
    outcome = check_cuttings(QUERY, delta("a") + END)
    assert outcome.events[-1] == Completed(outcome.snapshot)


@pytest.mark.parametrize("skill", sorted(REQUESTS))
def test_streams_shrink_to_the_smallest(skill: str):
    events = find(strategies.streams(skill), lambda events: True)
    assert len(events) == 1
    assert isinstance(events[0], Completed)


def test_text_streams_shrink_to_what_matters():
    def has_two_deltas(events: Iterable[Any]) -> bool:
        return sum(isinstance(event, TextDelta) for event in events) >= 2

    events = find(strategies.streams("query"), has_two_deltas)
    assert [event.text for event in events if isinstance(event, TextDelta)] == ["0", "0"]


def test_every_request_can_be_drawn():
    def has_skill(skill: str) -> Callable[[Request[Any]], bool]:
        return lambda request: request.skill == skill

    for skill in REQUESTS:
        assert find(strategies.requests(), has_skill(skill)).skill == skill


def test_run_lets_other_errors_out():
    with pytest.raises(TypeError):
        run(QUERY, [1])  # type: ignore[list-item]
