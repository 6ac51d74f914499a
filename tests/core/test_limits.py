"""Every buffer has a limit, which is exceeded at the same byte in every fragmentation.

test_records.py tests `max_record_bytes` of lines.
"""

from __future__ import annotations

from typing import Any

import pytest

from sansio_moondream import (
    APIError,
    Completed,
    IncompleteStream,
    LimitExceeded,
    Limits,
    NotFoundError,
    PathChunk,
    RemoteProtocolError,
    TextDelta,
)
from sansio_moondream.testing import EVENT_STREAM, run
from tests.helpers import CHAT, END, QUERY, SEGMENT, check_fragmentations, delta, record

JSON = {"content-type": "application/json"}


def test_defaults():
    assert Limits() == Limits(
        max_record_bytes=2**24,
        max_record_lines=20_000,
        max_error_body_bytes=2**16,
        max_text_bytes=2**26,
        max_json_depth=64,
        max_json_values=20_000,
        max_inflate_ratio=50,
    )


@pytest.mark.parametrize("field", Limits.__struct_fields__)
@pytest.mark.parametrize("value", [0, -1, 1.5, "1", True, None])
def test_bad_limits(field: str, value: Any):
    with pytest.raises(ValueError, match=f"Limits.{field} must be a whole number of at least 1"):
        Limits(**{field: value})


class TestValues:
    """They are counted as commas and opening brackets outside strings."""

    @pytest.mark.parametrize(
        ("value", "count"),
        [
            ("[[],[[],{}]]", 10),
            ('[1,"a",{"b":2}]', 7),
            (r'["[,{\"[,{\\",",[{",1,2,3]', 8),
            ("[[[[[],1]]]]", 9),
        ],
    )
    @pytest.mark.parametrize("headers", [EVENT_STREAM, JSON])
    def test_to_the_limit_and_not_beyond(self, value: str, count: int, headers: Any):
        body = f'{{"answer": "x", "completed": true, "note": {value}}}'.encode()
        data = b"data: " + body + b"\n\n" if headers is EVENT_STREAM else body
        within, beyond = Limits(max_json_values=count), Limits(max_json_values=count - 1)
        assert check_fragmentations(QUERY, data, headers=headers, limits=within).error is None
        outcome = check_fragmentations(QUERY, data, headers=headers, limits=beyond)
        assert type(outcome.error) is LimitExceeded
        assert f"of more values than Limits.max_json_values ({count - 1})" in str(outcome.error)

    def test_of_twenty_thousand(self):
        for items, whole in ((19_997, True), (19_998, False)):
            data = record({"chunk": "x", "note": [1] * items, "completed": True})
            assert (run(QUERY, [data]).error is None) is whole

    def test_more_quotes_than_so_many_values_have(self):
        """So many strings are no JSON, but would take much memory before that is found out."""
        for quotes, error in ((24, RemoteProtocolError), (25, LimitExceeded)):
            data = b"data: [,[,[" + b'"' * quotes + b"\n\n" + END
            limits = Limits(max_json_values=5, max_json_depth=2)
            outcome = check_fragmentations(QUERY, data, limits=Limits(max_json_values=5))
            assert type(outcome.error) is RemoteProtocolError
            data = b"data: {" + b'"[[["' + b'"' * (quotes - 2) + b"\n\n" + END
            outcome = check_fragmentations(QUERY, data, limits=limits)
            assert type(outcome.error) is error

    def test_in_an_error_body_it_is_text(self):
        outcome = run(QUERY, [b"[[],[]]"], status_code=404, limits=Limits(max_json_values=3))
        assert type(outcome.error) is NotFoundError
        assert outcome.error.message == "[[],[]]"

    def test_only_the_first_hundred_errors_of_a_list_are_told(self):
        data = record({"detail": [f"e{number}" for number in range(200)]})
        error = run(QUERY, [data]).error
        assert isinstance(error, APIError)
        assert error.message.endswith("; e99")

    def test_groundings_of_a_chat_and_their_points_count_together(self):
        grounding = {"start_idx": 0, "end_idx": 1, "points": [[0, 0], [1, 1]]}
        delta = {"reasoning": {"text": "a", "grounding": [grounding]}}
        one = record({"choices": [{"index": 0, "delta": delta}]})
        assert type(run(CHAT, [3 * one], limits=Limits(max_json_values=30)).error) is (
            IncompleteStream
        )
        outcome = run(CHAT, [11 * one], limits=Limits(max_json_values=30))
        assert type(outcome.error) is LimitExceeded
        assert "more groundings, their points included, than Limits.max_json_values (30)" in str(
            outcome.error
        )
        assert len(outcome.events) == 10
        assert len(outcome.snapshot.reasoning.grounding) == 10


def test_data_lines_of_a_record():
    lines = b"".join(b"data: " + part + b"\n" for part in (b"{", b'"chunk":', b'"a"', b"}"))
    data = lines + b"\n" + END
    whole = check_fragmentations(QUERY, data, limits=Limits(max_record_lines=4))
    assert (whole.events[0], whole.error) == (TextDelta("a"), None)
    outcome = check_fragmentations(QUERY, data, limits=Limits(max_record_lines=3))
    assert (outcome.events, type(outcome.error)) == ([], LimitExceeded)
    assert "a record of more data lines than Limits.max_record_lines (3)" in str(outcome.error)


@pytest.mark.parametrize("text", ["abcd", "é", "月", "🌙"])
def test_text_is_counted_in_bytes_of_utf8(text: str):
    size = len(text.encode())
    data = delta(text) * 3 + END
    assert check_fragmentations(QUERY, data, limits=Limits(max_text_bytes=3 * size)).error is None
    outcome = check_fragmentations(QUERY, data, limits=Limits(max_text_bytes=3 * size - 1))
    assert outcome.events == [TextDelta(text)] * 2
    assert type(outcome.error) is LimitExceeded
    assert f"Limits.max_text_bytes ({3 * size - 1} bytes)" in str(outcome.error)
    assert outcome.snapshot.text == 2 * text


def test_text_just_within_its_limit_is_not_refused_for_the_json_around_it():
    data = delta("x") * 1000 + END
    for limit, whole in ((999, False), (1000, True)):
        for size in (len(data), 1460, 70, 1):
            chunks = [data[at : at + size] for at in range(0, len(data), size)]
            outcome = run(QUERY, chunks, limits=Limits(max_text_bytes=limit))
            assert (outcome.error is None) is whole
            assert sum(isinstance(event, TextDelta) for event in outcome.events) == limit


def test_path_chunks_count_as_text():
    data = record({"type": "path_delta", "chunk": "M 0 0"}) * 2
    outcome = check_fragmentations(SEGMENT, data, limits=Limits(max_text_bytes=9))
    assert outcome.events == [PathChunk("M 0 0")]
    assert type(outcome.error) is LimitExceeded


def test_a_held_surrogate_counts_when_it_is_a_character():
    data = b'data: {"chunk": "a\\ud83c"}\n\ndata: {"chunk": "\\udf19"}\n\n' + END
    assert (
        check_fragmentations(QUERY, data, limits=Limits(max_text_bytes=5)).snapshot.text
        == "a\U0001f319"
    )
    assert (
        type(check_fragmentations(QUERY, data, limits=Limits(max_text_bytes=4)).error)
        is LimitExceeded
    )


def test_a_last_message_beyond_the_limit_leaves_all_its_text_out():
    data = delta("a") + b'data: {"chunk": "x\\ud83c", "completed": true}\n\n'
    assert (
        check_fragmentations(QUERY, data, limits=Limits(max_text_bytes=5)).snapshot.text
        == "ax\ufffd"
    )
    outcome = check_fragmentations(QUERY, data, limits=Limits(max_text_bytes=4))
    assert type(outcome.error) is LimitExceeded
    assert (outcome.events, outcome.snapshot.text) == ([TextDelta("a")], "a")


def test_text_of_a_whole_answer():
    assert (
        type(
            check_fragmentations(
                QUERY, b'{"answer": "abc"}', headers=JSON, limits=Limits(max_text_bytes=2)
            ).error
        )
        is LimitExceeded
    )


def test_a_json_body():
    body = b'{"answer": "abc"}'
    assert (
        check_fragmentations(
            QUERY, body, headers=JSON, limits=Limits(max_record_bytes=len(body))
        ).error
        is None
    )
    outcome = check_fragmentations(
        QUERY, body, headers=JSON, limits=Limits(max_record_bytes=len(body) - 1)
    )
    assert type(outcome.error) is LimitExceeded
    assert "a JSON body that is longer than Limits.max_record_bytes (16 bytes)" in str(
        outcome.error
    )


class TestBlanksBeforeABodyThatTheHeadDoesNotName:
    @pytest.mark.parametrize("lead", [b"", b"\xef\xbb\xbf"])
    @pytest.mark.parametrize("body", [b'{"answer": "abc"}', b": a comment\n\n" + END])
    def test_are_bounded(self, lead: bytes, body: bytes):
        limits = Limits(max_record_bytes=60)
        within, beyond = lead + b"\n" * (40 - len(lead)) + body, lead + b" \n" * 40 + body
        assert check_fragmentations(QUERY, within, headers={}, limits=limits).error is None
        outcome = check_fragmentations(QUERY, beyond, headers={}, limits=limits)
        assert type(outcome.error) is LimitExceeded
        assert "begins with more blanks than Limits.max_record_bytes (60 bytes)" in str(
            outcome.error
        )

    def test_do_not_wait_for_their_end(self):
        assert (
            type(
                run(
                    QUERY, [b"\n" * 11], headers={}, limits=Limits(max_record_bytes=10), ending=None
                ).error
            )
            is LimitExceeded
        )

    @pytest.mark.parametrize("headers", [{}, EVENT_STREAM])
    @pytest.mark.parametrize("lead", [b"", b"\r\n\r", b"\t\n ", b"\xef\xbb\xbf\n \n  "])
    def test_do_not_shift_the_position_of_an_error(self, lead: bytes, headers: Any):
        outcome = check_fragmentations(QUERY, lead + b'{"answer": "a"}}', headers=headers)
        assert "Extra data: line 1 column 16 (char 15)" in str(outcome.error)

    def test_are_part_of_a_line_of_an_event_stream(self):
        outcome = check_fragmentations(QUERY, b"\n\n " + delta("a") + END, headers=EVENT_STREAM)
        assert [type(event) for event in outcome.events] == [Completed]  # " data" is no field

    def test_a_byte_order_mark_elsewhere_is_none(self):
        assert (
            type(check_fragmentations(QUERY, b"\n\n\n\n\xef\xbb", headers={}).error)
            is IncompleteStream
        )
        for limit in (1, 2, 3):
            for body in (b"\xef\xbb", b"\xef\xbbx", b"\xef\xbb\xbf", b'\xef\xbb\xbf{"answer": ""}'):
                check_fragmentations(QUERY, body, headers={}, limits=Limits(max_record_bytes=limit))


def test_a_long_error_body_is_truncated_and_does_not_wait_for_its_end():
    outcome = check_fragmentations(
        QUERY, b"no such thing", status_code=404, headers={}, limits=Limits(max_error_body_bytes=7)
    )
    assert type(outcome.error) is NotFoundError
    assert (outcome.error.message, outcome.error.body) == ("no such", "no such")
    exact = check_fragmentations(
        QUERY, b"no such", status_code=404, headers={}, limits=Limits(max_error_body_bytes=7)
    )
    assert isinstance(exact.error, NotFoundError)
    assert exact.error.message == "no such"


def test_a_stream_far_longer_than_its_buffers_is_no_problem():
    data = b": keep-alive\n\n" * 10_000 + delta("a") + END
    for size in (len(data), 1000, 3):
        chunks = [data[at : at + size] for at in range(0, len(data), size)]
        assert run(QUERY, chunks, limits=Limits(max_record_bytes=100)).error is None
