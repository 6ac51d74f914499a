"""`ResponseStream`: what is in other fields, other messages or other lines is not lost silently."""

from __future__ import annotations

import json
from typing import Any

import pytest

from sansio_moondream import (
    APIError,
    BBox,
    Completed,
    ConnectionLost,
    IncompleteStream,
    LimitExceeded,
    Limits,
    Metrics,
    PathChunk,
    Point,
    RateLimitError,
    RemoteProtocolError,
    Request,
    Stats,
    TextDelta,
    Unknown,
)
from sansio_moondream.testing import EVENT_STREAM, each_byte, run
from tests.helpers import (
    CAPTION,
    CHAT,
    DETECT,
    END,
    POINT,
    QUERY,
    SEGMENT,
    check_fragmentations,
    delta,
    record,
)

BOX = {"x_min": 0, "y_min": 0.5, "x_max": 1, "y_max": 1}


class TestOnlyMessage:
    """A stream whose last message is its first."""

    @pytest.mark.parametrize(
        ("message", "texts", "match"),
        [
            ({"answer": "A moon"}, ["A moon"], True),
            ({"answer": "A moon", "chunk": ""}, ["A moon"], True),
            ({"answer": "A moon", "chunk": "A "}, ["A "], False),
            ({"answer": ""}, [], True),
            ({"answer": None}, [], None),
            ({"chunk": "A moon"}, ["A moon"], None),
            ({"chunk": "", "text": "A moon"}, ["A moon"], None),
            ({"answer": "\ud83c\udf19 \ud83c"}, ["\U0001f319 \ufffd"], True),
        ],
    )
    def test_text(self, message: dict[str, Any], texts: list[str], match: bool | None):
        outcome = check_fragmentations(QUERY, record(message | {"completed": True}))
        assert outcome.events == [*map(TextDelta, texts), Completed(outcome.snapshot)]
        assert outcome.snapshot.metadata.deltas_match is match

    def test_text_after_a_delta_is_no_second_one(self):
        for first in (delta("A"), delta("\ud83c")):
            end = record({"completed": True, "answer": "A moon"})
            outcome = check_fragmentations(QUERY, first + end)
            assert len(outcome.events) == 2
            assert outcome.snapshot.text == "A moon"

    def test_text_with_its_token_index(self):
        message = {"completed": True, "caption": "A moon", "token_index": 0}
        assert run(CAPTION, [record(message)]).events[0] == TextDelta("A moon", 0)

    def test_its_text_counts_for_the_limit(self):
        body = record({"completed": True, "answer": "A moon"})
        for limit, error in ((6, None), (5, LimitExceeded)):
            outcome = run(QUERY, [body], limits=Limits(max_text_bytes=limit))
            assert type(outcome.error) is (error or type(None))

    def test_outline(self):
        """The refined path is no chunk of the coarse one."""
        message = {"type": "final", "completed": True, "path": "M0 0z", "bbox": BOX}
        outcome = check_fragmentations(SEGMENT, record(message))
        assert outcome.events == [Completed(outcome.snapshot)]
        assert (outcome.snapshot.path, outcome.snapshot.bbox) == ("M0 0z", BBox(0, 0.5, 1, 1))

    def test_places(self):
        boxes = run(DETECT, [record({"completed": True, "objects": [BOX]})])
        assert boxes.snapshot.objects == (BBox(0, 0.5, 1, 1),)
        points = run(POINT, [record({"completed": True, "points": [{"x": 0, "y": 1}]})])
        assert points.snapshot.points == (Point(0, 1),)
        assert points.events == [Completed(points.snapshot)]


class TestUnknown:
    @pytest.mark.parametrize(
        ("request_", "message"),
        [
            (QUERY, {"completed": False, "answer": "a"}),
            (QUERY, {"chunk": None, "delta": "a"}),
            (QUERY, {"chunk": "", "text": "", "completed": False, "delta": "a"}),
            (QUERY, {"stats": {}, "delta": "a"}),
            (QUERY, {"completed": False, "reasoning": ["a"]}),
            (CAPTION, {"completed": False, "answer": "a"}),
            (SEGMENT, {"completed": False, "path": "M0 0"}),
            (SEGMENT, {"type": "bbox", "bbox": None, "text": "a"}),
            (SEGMENT, {"type": "thinking", "chunk": 5}),
            (DETECT, {"stats": None, "objects": [BOX]}),
            (DETECT, {"completed": False}),
        ],
        ids=str,
    )
    def test_message_whose_known_fields_say_nothing(
        self, request_: Request[Any], message: dict[str, Any]
    ):
        outcome = check_fragmentations(request_, record(message))
        assert outcome.events == [Unknown(message)]

    @pytest.mark.parametrize(
        ("request_", "message"),
        [
            (QUERY, {"completed": False}),
            (QUERY, {"chunk": None, "text": None, "token_index": 7, "request_id": "r"}),
            (QUERY, {"completed": False, "delta": "", "error": {}, "more": None}),
            (QUERY, {"stats": {"tokens": 1}, "delta": "a"}),
            (SEGMENT, {"completed": False}),
            (SEGMENT, {"type": "path_delta", "chunk": ""}),
            (SEGMENT, {"type": "bbox", "bbox": None}),
            (DETECT, {"stats": {}}),
        ],
        ids=str,
    )
    def test_message_that_says_nothing_more(self, request_: Request[Any], message: dict[str, Any]):
        assert check_fragmentations(request_, record(message)).events == []

    def test_half_of_a_character_waits(self):
        outcome = check_fragmentations(QUERY, record({"chunk": "\ud83c", "more": "a"}) + END)
        assert outcome.events[:-1] == [TextDelta("\ufffd")]

    @pytest.mark.parametrize("message", [{"chunk": False, "delta": "a"}, {"chunk": 0}])
    def test_wrong_type_is_no_silence(self, message: dict[str, Any]):
        for request in (QUERY, SEGMENT):
            assert type(run(request, [record(message)]).error) is RemoteProtocolError


class TestQuoted:
    """The words of the server in what was no message."""

    def quoted(self, body: bytes, request: Request[Any] = QUERY) -> str:
        error = check_fragmentations(request, body).error
        assert type(error) is IncompleteStream
        before, _, after = str(error).partition("; the server also sent ")
        assert before.endswith("what arrived until then is in .partial")
        return after

    @pytest.mark.parametrize(
        ("body", "quoted"),
        [
            (b"", ""),
            (delta("a"), ""),
            (b": ping\nid: 5\nid:\nretry: 1\nevent\nevent: x\ndata\n\n", ""),
            (record({"note": "x"}), '{"note": "x"}'),
            (record({"note": "x"}) + delta("a"), '{"note": "x"}'),
            (record({"note": "x"}) + record({"note": "y"}), '{"note": "y"}'),
            (b"upstream error\n\n", "upstream error"),
            (b"upstream error", "upstream error"),
            (b"upstream: error\r\rid: 5\r\r", "upstream: error"),
            (b"id\n", "id"),
            (b" data: x\n\n", "data: x"),
            (b"one\n\ntwo\n\n", "two"),
            (b"two\n" + record({"note": "x"}), '{"note": "x"} … two'),
            (b"x" * 201, "x" * 200 + "…"),
            (b"x" * 200, "x" * 200),
            (b"\xe6\x9c\x88" * 400, "月" * 200 + "…"),
        ],
    )
    def test_at_the_end(self, body: bytes, quoted: str):
        assert self.quoted(body) == quoted

    def test_of_a_chat(self):
        note = record({"choices": None, "note": "x"})
        assert self.quoted(note, CHAT) == '{"choices": null, "note": "x"}'
        assert self.quoted(note + b"data: [DONE]\n\n", CHAT) == '{"choices": null, "note": "x"}'
        assert self.quoted(b"data: [DONE]\n\n", CHAT) == ""

    def test_an_error_of_the_transport_stays_as_it_is(self):
        lost = ConnectionLost("reset")
        outcome = run(QUERY, [record({"note": "x"})], ending=lost)
        assert str(outcome.error) == "reset"

    def test_a_json_body_that_was_cut(self):
        for headers in (EVENT_STREAM, [("content-type", "application/json")], []):
            outcome = check_fragmentations(QUERY, b'{"error": "no cred', headers=headers)
            assert type(outcome.error) is IncompleteStream
            assert str(outcome.error).endswith(': the answer was cut short: {"error": "no cred')


class TestWrongLabel:
    """JSON that is labelled as an event stream."""

    @pytest.mark.parametrize("lead", [b"", b"\n", b"\r\n \t", b"\xef\xbb\xbf", b"\xef\xbb\xbf\n"])
    @pytest.mark.parametrize("request_", [QUERY, CHAT], ids=["query", "chat"])
    def test_json(self, request_: Request[Any], lead: bytes):
        answer: dict[str, Any] = {"answer": "A moon"}
        if request_ is CHAT:
            answer = {"choices": [{"message": {"content": "A moon"}}]}
        body = lead + json.dumps(answer, indent=1).encode() + b"\n\n"
        outcome = check_fragmentations(request_, body)
        assert outcome.events == [TextDelta("A moon"), Completed(outcome.snapshot)]

    def test_json_with_a_record_in_a_text(self):
        """The chunk looks like an ordinary record, and the body is JSON all the same."""
        head, tail = b'{"note": "\n', b'", "answer": "A moon"}'
        chunks = [head.replace(b"\n", b""), b'data: {"chunk": "b"}\n\n', tail]
        outcome = run(QUERY, chunks)
        assert type(outcome.error) is RemoteProtocolError
        assert outcome.events == []
        assert run(QUERY, [b"".join(chunks)]).key == outcome.key

    def test_places(self):
        outcome = check_fragmentations(DETECT, b'{"objects": []}')
        assert outcome.events == [Completed(outcome.snapshot)]

    def test_errors(self):
        slow = b'{"error": {"message": "slow down", "type": "rate_limit_error"}}'
        assert type(check_fragmentations(QUERY, slow).error) is RateLimitError
        assert type(check_fragmentations(QUERY, b'{"message": "no"}').error) is APIError

    @pytest.mark.parametrize("lead", [b"\n", b" \n", b"\xef\xbb\xbf", b"\xef\xbb\xbf\r\n"])
    def test_event_stream_behind_blanks(self, lead: bytes):
        outcome = check_fragmentations(QUERY, lead + delta("a") + END)
        assert outcome.events[:-1] == [TextDelta("a")]

    @pytest.mark.parametrize("body", [b"", b"\n", b" ", b"\xef", b"\xef\xbb", b"\xef\xbb\xbf \n"])
    def test_no_byte_that_decides(self, body: bytes):
        assert type(check_fragmentations(QUERY, body).error) is IncompleteStream
        assert type(check_fragmentations(DETECT, body).error) is IncompleteStream

    def test_brace_in_a_later_line_is_ignored(self):
        outcome = check_fragmentations(QUERY, b":\n" + b'{"answer": "x"}\n\n' + delta("a") + END)
        assert outcome.events[:-1] == [TextDelta("a")]
        outcome = check_fragmentations(QUERY, delta("a") + b'{"answer": "x"}' + b"\n\n" + END)
        assert outcome.events[:-1] == [TextDelta("a")]

    def test_two_byte_order_marks(self):
        mark = b"\xef\xbb\xbf"
        outcome = check_fragmentations(QUERY, mark + b"\n" + mark + b'{"answer": "x"}')
        assert type(outcome.error) is IncompleteStream

    @pytest.mark.parametrize("headers", [EVENT_STREAM, ()], ids=["labelled", "not named"])
    def test_blanks_up_to_the_limit(self, headers: Any):
        limits = Limits(max_record_bytes=24)
        for size, error in ((24, type(None)), (25, LimitExceeded)):
            body = b"\n" * size + b'data:{"completed":true}'
            outcome = check_fragmentations(QUERY, body, headers=headers, limits=limits)
            assert type(outcome.error) is error


class TestLateMetadata:
    """What a later message does not say keeps its earlier value."""

    def about(self, *messages: dict[str, Any]) -> Any:
        body = b"".join(map(record, [*messages, {"completed": True}]))
        return check_fragmentations(QUERY, body).snapshot.metadata

    @pytest.mark.parametrize("late", [{}, {"input_tokens": None, "ttft_ms": "x"}, [], None])
    def test_metrics(self, late: Any):
        first = {"chunk": "a", "metrics": {"input_tokens": 7, "ttft_ms": 1.5}}
        about = self.about(first, {"chunk": "b", "metrics": late})
        assert about.metrics == Metrics(input_tokens=7, ttft_ms=1.5)

    def test_metrics_in_two_messages(self):
        first, late = {"input_tokens": 7, "ttft_ms": 1.5}, {"input_tokens": 0, "output_tokens": 2}
        about = self.about({"chunk": "a", "metrics": first}, {"chunk": "b", "metrics": late})
        assert about.metrics == Metrics(0, 2, ttft_ms=1.5)

    def test_stats_under_two_names(self):
        about = self.about({"_stats": {"tokens": 7}, "stats": {"duration": 2.0}}, {"stats": {}})
        assert about.stats == Stats(7, 2.0)

    @pytest.mark.parametrize("late", ["", None, [], 1.5])
    def test_texts(self, late: Any):
        first = {"chunk": "a", "request_id": "r", "finish_reason": "stop"}
        about = self.about(first, {"chunk": "b", "request_id": late, "finish_reason": late})
        assert (about.request_id, about.finish_reason) == ("r", "stop")


def test_path_chunks_and_boxes_are_no_unknown_messages():
    messages = [{"chunk": "M0 0", "more": "x"}, {"bbox": BOX, "more": "x"}]
    outcome = check_fragmentations(SEGMENT, b"".join(map(record, messages)))
    assert outcome.events == [PathChunk("M0 0"), BBox(0, 0.5, 1, 1)]
    assert run(SEGMENT, each_byte(record(messages[0]))).events == [PathChunk("M0 0")]
