"""The testing module itself: its fragmentations are what they say, and its check can fail."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sansio_moondream import Completed, ConnectionLost, IncompleteStream, ResponseStream, TextDelta
from sansio_moondream.testing import (
    EOF,
    BreakAt,
    at_offsets,
    check_fragmentations,
    each_byte,
    every_fragmentation,
    in_two,
    record_ends,
    run,
    with_empty_chunks,
)
from tests.helpers import END, QUERY, delta


def test_fragmentations():
    assert each_byte(b"abc") == [b"a", b"b", b"c"]
    assert at_offsets(b"abcdef", [4, 2, 2, 0, 6, 99, -1]) == [b"ab", b"cd", b"ef"]
    assert list(in_two(b"abc")) == [[b"a", b"bc"], [b"ab", b"c"]]
    assert with_empty_chunks([b"a", b"b"]) == [b"", b"a", b"", b"b", b""]
    assert [name for name, _ in every_fragmentation(b"abc")] == [
        "whole",
        "split at 1",
        "split at 2",
        "byte by byte",
        "byte by byte with empty chunks",
    ]


@given(st.binary(max_size=30))
def test_every_fragmentation_has_all_the_bytes(data: bytes):
    assert all(b"".join(chunks) == data for _, chunks in every_fragmentation(data))


def test_some_of_the_fragmentations_of_long_data():
    data = (delta("x" * 100) + "月\r\n".encode()) * 9
    names = [name for name, _ in every_fragmentation(data, max_offsets=120)]
    assert [*names[:1], *names[-2:]] == [name for name, _ in every_fragmentation(b"")]
    offsets = [int(name.removeprefix("split at ")) for name in names[1:-2]]
    assert offsets == sorted(set(offsets))
    assert 100 < len(offsets) <= 120
    assert data.index("月".encode()) + 1 in offsets
    assert (
        max(after - before for before, after in pairwise([0, *offsets, len(data)]))
        < 3 * len(data) / 120
    )
    assert list(every_fragmentation(data, max_offsets=len(data))) == list(every_fragmentation(data))
    assert [chunks for _, chunks in every_fragmentation(b"abcd", max_offsets=1)][1:-2] == [
        [b"a", b"bcd"]
    ]


def test_record_ends():
    assert record_ends(b"a\n\nbc\n\n\nd\n") == [3, 7]
    assert record_ends(delta("a") + END) == [len(delta("a")), len(delta("a") + END)]


RECORDS = b": hi\r\rdata: a\r\n\r\n\r\n:x\ndata: b\n\n\n: ping\n\ndata: c"


@pytest.mark.parametrize(
    ("count", "before"),
    [
        (0, b""),
        (1, b": hi\r\rdata: a\r\n\r\n"),
        (2, b": hi\r\rdata: a\r\n\r\n\r\n:x\ndata: b\n\n"),
        (3, RECORDS),
        (4, RECORDS),
    ],
)
def test_breaks_after_events(count: int, before: bytes):
    plan = BreakAt(EOF, after_events=count)
    assert plan.apply(RECORDS) == (before, EOF)
    for _, chunks in every_fragmentation(RECORDS):
        found, find = b"", plan.finder()
        for chunk in chunks:
            end = find(chunk)
            found += chunk[:end]
            if end is not None:
                break
        # A CR ends a line before its LF has come.
        assert before.removesuffix(b"\n") in (found, found.removesuffix(b"\n"))
    assert not plan.before_head


def test_breaks_at_bytes():
    assert BreakAt(EOF, after_bytes=3).apply(b"abcd") == (b"abc", EOF)
    assert BreakAt(EOF, after_bytes=9).apply(b"abcd") == (b"abcd", EOF)
    find = BreakAt(EOF, after_bytes=3).finder()
    assert [find(b"a"), find(b""), find(b"bcd")] == [None, None, 2]


def test_breaks_at_the_head():
    error = ConnectionLost("gone")
    plan = BreakAt(error)
    assert (plan.before_head, plan.apply(b"abc")) == (True, (b"", error))


@pytest.mark.parametrize(
    ("numbers", "words"),
    [
        ({}, "a break at the head needs an error; an empty body is after_bytes=0"),
        (
            {"after_bytes": 1, "after_events": 1},
            "after_bytes or after_events, at least 0, not both",
        ),
        ({"after_bytes": -1}, "after_bytes or after_events, at least 0, not both"),
        ({"after_events": -1}, "after_bytes or after_events, at least 0, not both"),
    ],
)
def test_breaks_that_are_refused(numbers: dict[str, int], words: str):
    with pytest.raises(ValueError, match=words):
        BreakAt(EOF, **numbers)


@pytest.mark.parametrize("error", ["gone", ConnectionLost, KeyboardInterrupt()])
def test_break_with_what_is_no_exception(error: Any):
    with pytest.raises(TypeError, match="error should be an exception or EOF, not"):
        BreakAt(error, after_bytes=1)


@pytest.mark.parametrize("error", [EOF, ConnectionLost("gone"), OSError("gone")])
def test_breaks(error: Exception | None):
    data = delta("a") + delta("b") + END
    body, ending = BreakAt(error, after_bytes=record_ends(data)[1]).apply(data)
    outcome = check_fragmentations(QUERY, body, ending=ending)
    assert outcome.events == [TextDelta("a"), TextDelta("b")]
    assert type(outcome.error) is (IncompleteStream if error is EOF else ConnectionLost)
    assert getattr(error, "partial", None) is None  # the plan can be used again


def test_the_check_fails_for_a_decoder_that_depends_on_the_fragmentation(
    monkeypatch: pytest.MonkeyPatch,
):
    receive_data = ResponseStream[Any].receive_data

    def receive_stripped(stream: ResponseStream[Any], data: bytes) -> None:
        receive_data(stream, data.strip(b"\n"))

    monkeypatch.setattr(ResponseStream, "receive_data", receive_stripped)
    with pytest.raises(AssertionError, match=r"split at \d+ gives another outcome than whole"):
        check_fragmentations(QUERY, delta("a") + END)


def test_outcomes_of_streams_that_end_by_themselves_ignore_what_follows():
    outcome = check_fragmentations(QUERY, delta("a") + END)
    assert outcome.events[-1] == Completed(outcome.snapshot)


def test_run_lets_other_errors_out():
    with pytest.raises(TypeError):
        run(QUERY, [1])  # type: ignore[list-item]
