"""`ResponseStream`: the head of a response, and bodies that are one JSON object."""

from __future__ import annotations

import json
from typing import Any

import pytest

from sansio_moondream import (
    APIError,
    Completed,
    ConnectionLost,
    IncompleteStream,
    RemoteProtocolError,
    ResponseStream,
    SegmentResult,
    ServerError,
    State,
    TextDelta,
)
from sansio_moondream.testing import each_byte, run
from tests.core.streams import AB
from tests.helpers import DETECT, END, QUERY, SEGMENT, record


class TestHead:
    def test_informational_ones_come_before(self):
        stream = ResponseStream(QUERY)
        for status_code in (100, 103, 199):
            stream.receive_response(status_code)
            assert stream.state is State.AWAITING_RESPONSE
        stream.receive_response(200, {"content-type": "text/event-stream"})
        assert stream.state is State.READING_EVENTS

    @pytest.mark.parametrize(
        "content_type",
        ["text/event-stream", "text/event-stream; charset=iso-8859-1", "Text/Event-Stream ;x=y"],
    )
    def test_event_streams(self, content_type: str):
        assert (
            run(
                QUERY,
                ['data: {"chunk": "é"}\n\n'.encode() + END],
                headers={"Content-Type": content_type},
            ).snapshot.text
            == "é"
        )

    @pytest.mark.parametrize(
        "types",
        [
            ["text/event-stream", "text/event-stream"],
            ["text/event-stream", "Text/Event-Stream; charset=utf-8", ""],
            ["text/event-stream, text/event-stream;x"],
            ['text/event-stream; title="a, text/html"; x="\\", b"'],
        ],
    )
    def test_one_media_type_several_times(self, types: list[str]):
        headers = [("content-type", value) for value in types]
        assert run(QUERY, [AB + END], headers=headers).snapshot.text == "ab"

    @pytest.mark.parametrize(
        "headers", [[], {"content-type": "application/octet-stream"}, [(b"Content-Type", b"")]]
    )
    @pytest.mark.parametrize("lead", [b"", b"\n", b" \r\n\t", b"\xef\xbb\xbf"])
    def test_a_body_that_the_head_does_not_name(self, headers: Any, lead: bytes):
        whole = run(QUERY, [AB + END]).events[:-1]
        for chunks in ([lead + AB + END], each_byte(lead + AB + END)) if lead != b" \r\n\t" else []:
            outcome = run(QUERY, chunks, headers=headers)
            assert (outcome.events[:-1], outcome.error) == (whole, None)
        for chunks in ([lead + b'{"answer": "x"}'], each_byte(lead + b'{"answer": "x"}')):
            outcome = run(QUERY, chunks, headers=headers)
            assert (outcome.snapshot.text, outcome.error) == ("x", None)

    @pytest.mark.parametrize("body", [b"", b"\n", b"\xef\xbb"])
    def test_no_body_at_all(self, body: bytes):
        outcome = run(QUERY, [body], headers=[])
        assert type(outcome.error) is RemoteProtocolError
        assert "without a body" in str(outcome.error)
        lost = run(QUERY, [body], headers=[], ending=OSError("x"))
        assert type(lost.error) is ConnectionLost

    def test_an_empty_event_stream_is_incomplete(self):
        assert type(run(QUERY, []).error) is IncompleteStream

    @pytest.mark.parametrize(
        ("status_code", "headers", "words"),
        [
            (
                200,
                {"content-type": "application/json, text/event-stream"},
                "answered 200 with 'application/json, text/event-stream'",
            ),
            (
                200,
                [("content-type", "application/json"), ("content-type", "application/x+json")],
                "answered 200 with 'application/json, application/x+json'",
            ),
            (
                200,
                {"content-type": "text/event-stream", "content-encoding": "Gzip, none, x-gzip"},
                "the content coding 'gzip, gzip'",
            ),
            (200, {"content-type": "text/html; charset=utf-8"}, "answered 200 with 'text/html'"),
            (201, {"content-type": "image/png"}, "answered 201 with 'image/png'"),
            (204, {}, "answered 204, which has no body"),
            (205, {}, "answered 205, which has no body"),
            (
                200,
                {"content-type": "text/event-stream", "content-encoding": "br"},
                "the content coding 'br'",
            ),
            (
                200,
                {"content-type": "text/event-stream", "content-encoding": "gzip, deflate"},
                "the content coding 'gzip, deflate'",
            ),
        ],
    )
    def test_heads_that_are_no_answer(self, status_code: int, headers: dict[str, str], words: str):
        outcome = run(QUERY, [AB], status_code=status_code, headers=headers)
        assert outcome.events == []
        assert type(outcome.error) is RemoteProtocolError
        assert words in str(outcome.error)


class TestJSON:
    JSON = (("content-type", "application/json; charset=utf-8"),)

    def run(self, body: bytes, request: Any = QUERY, **more: Any) -> Any:
        outcomes = [
            run(request, chunks, headers=self.JSON, **more) for chunks in ([body], each_byte(body))
        ]
        assert outcomes[0].key == outcomes[1].key
        return outcomes[0]

    def test_problem_and_vendor_types_are_json(self):
        assert (
            run(
                QUERY, [b'{"answer": "x"}'], headers={"content-type": "application/vnd.api+json"}
            ).snapshot.text
            == "x"
        )

    def test_a_stream_of_one(self):
        outcome = self.run(
            b'\xef\xbb\xbf {"answer": "caf\xc3\xa9", "request_id": "7", "new": [1]} '
        )
        assert outcome.events == [TextDelta("café"), Completed(outcome.snapshot)]
        assert (outcome.snapshot.metadata.request_id, outcome.snapshot.metadata.extra) == (
            "7",
            {"new": [1]},
        )
        assert outcome.snapshot.metadata.deltas_match is None

    def test_an_empty_answer(self):
        outcome = self.run(b'{"answer": ""}')
        assert outcome.events == [Completed(outcome.snapshot)]

    @pytest.mark.parametrize(
        "body",
        [
            b"{}",
            b'{"answer": null}',
            b'{"caption": "x"}',
            b'{"answer": 1}',
            b"[]",
            b"1",
            b"",
            b"  ",
            b'{"a": }',
            b'{"answer": "x"} {}',
            b'{"answer": 1, "message": "no"}',
            b'{"message": " "}',
            b'{"message": {"text": "no"}}',
        ],
    )
    def test_no_answer(self, body: bytes):
        outcome = self.run(body)
        assert outcome.events == []
        assert type(outcome.error) is RemoteProtocolError

    def test_what_is_said_of_a_body_that_is_not_json(self):
        assert str(self.run(b"A moon.").error).startswith("the server sent a body that is not JSON")

    @pytest.mark.parametrize(
        "body",
        [
            b"{",
            b'{"answer"',
            b'{"answer": "x',
            b'{"answer": "x\\',
            b'{"answer": "x", "metrics": {"a": 1}',
            b'{"a": ["}"',
        ],
    )
    def test_truncated(self, body: bytes):
        assert type(self.run(body).error) is IncompleteStream
        lost = self.run(body, ending=OSError("reset")).error
        assert type(lost) is ConnectionLost

    def test_a_fault_behind_a_whole_answer_is_none(self):
        assert self.run(b'{"answer": "x"}', ending=OSError("reset")).error is None

    def test_a_fault_of_framing_is_one_though_the_answer_looks_whole(self):
        assert (
            type(self.run(b'{"answer": "x"}', ending=RemoteProtocolError("chunk size")).error)
            is RemoteProtocolError
        )

    def test_an_empty_body_of_a_lost_connection(self):
        assert type(self.run(b"", ending=OSError("reset")).error) is ConnectionLost

    def test_segment(self):
        assert self.run(b'{"parse_error": "no path"}', SEGMENT).snapshot == SegmentResult(
            "", None, "no path", self.run(b'{"parse_error": "x"}', SEGMENT).snapshot.metadata
        )
        assert type(self.run(b'{"bbox": null}', SEGMENT).error) is RemoteProtocolError

    @pytest.mark.parametrize(
        "objects",
        [
            "null",
            "{}",
            '"x"',
            "[1]",
            "[[0, 0, 1, 1]]",
            '[{"x_min": true, "y_min": 0, "x_max": 1, "y_max": 1}]',
        ],
    )
    def test_objects_that_are_none(self, objects: str):
        assert (
            type(self.run(f'{{"objects": {objects}}}'.encode(), DETECT).error)
            is RemoteProtocolError
        )

    def test_metadata_of_wrong_types_is_ignored(self):
        body = {
            "answer": "x",
            "request_id": [],
            "finish_reason": 5,
            "metrics": {"input_tokens": "many", "ttft_ms": 5, "decode_time_ms": {}, "new": 1},
            "_stats": 7,
            "reasoning": {"no": "text"},
            "token_index": "x",
        }
        about = self.run(json.dumps(body).encode()).snapshot.metadata
        assert (about.request_id, about.finish_reason, about.stats) == (None, None, None)
        assert (
            about.metrics.input_tokens,
            about.metrics.ttft_ms,
            about.metrics.decode_time_ms,
        ) == (None, 5.0, None)
        assert about.extra == {"reasoning": {"no": "text"}}

    def test_reasoning_as_text(self):
        assert (
            self.run(b'{"answer": "x", "reasoning": "because"}').snapshot.reasoning.text
            == "because"
        )

    def test_errors_in_a_200(self):
        error = self.run(b'{"error": {"message": "busy", "type": "overloaded_error"}}').error
        assert type(error) is ServerError
        assert error.status_code == 200
        refused = self.run(b'{"error": "no"}').error
        assert (type(refused), refused.message) == (APIError, "no")

    @pytest.mark.parametrize(
        ("request_", "body", "message"),
        [
            (QUERY, '{"message": "no credits"}', "no credits"),
            (QUERY, '{"success": false, "message": "no credits", "answer": null}', "no credits"),
            (QUERY, '{"detail": "no credits", "note": 1}', "no credits"),
            (QUERY, '{"msg": "no credits", "data": {}}', "no credits"),
            (SEGMENT, '{"message": "no credits"}', "no credits"),
            (DETECT, '{"message": "no credits", "objects": null}', "no credits"),
        ],
    )
    def test_a_body_without_an_answer_that_says_why(self, request_: Any, body: str, message: str):
        error = self.run(body.encode(), request_).error
        assert type(error) is APIError
        assert (error.message, error.status_code) == (message, 200)

    def test_its_code_decides_the_class(self):
        body = b'{"message": "busy", "code": 503}'
        assert type(self.run(body).error) is ServerError

    @pytest.mark.parametrize("name", ["chunk", "text"])
    def test_a_message_of_a_stream_as_the_whole_body(self, name: str):
        outcome = self.run(f'{{"{name}": "x\\ud83c", "completed": true}}'.encode())
        assert outcome.events == [TextDelta("x\ufffd"), Completed(outcome.snapshot)]

    def test_a_detect_answer_as_a_stream(self):
        data = record({"note": 1}) + record({"completed": True, "objects": []})
        outcome = run(DETECT, [data])
        assert outcome.error is None
        assert outcome.events[-1] == Completed(outcome.snapshot)
