"""The trace of a recording: each item, its time and its place."""

from __future__ import annotations

import gzip
from typing import Any

import pytest

from moondream_tools.trace import (
    Trace,
    TraceChunk,
    TraceDeadlines,
    TraceEnding,
    TraceEvent,
    TraceMessage,
    TraceRecord,
    TraceRequest,
    TraceResponse,
    TraceState,
    TraceTimes,
)
from sansio_moondream import TextDelta
from sansio_moondream.recording import Chunk, Ending, RecordedTimeouts, Recording, RecordingHeader
from tests.helpers import END, delta, record
from tests.tools.trace.traces import JSON, STREAM, texts, traced


def places(trace: Trace) -> list[tuple[int | None, int | None]]:
    """Return the chunk and the record of each event."""
    return [(event.chunk, event.record) for event in trace.events]


def test_all_of_it() -> None:
    picture = {"sha256": "1c", "media_type": "image/png", "bytes": 9, "width": 96, "height": 64}
    header = RecordingHeader(
        "POST",
        "/v1/query",
        (("accept", "text/event-stream"),),
        {"question": "What?", "image_url": picture},
        200,
        STREAM,
        0.25,
        connected=0.125,
        timeouts=RecordedTimeouts(10, 60, None, 600),
    )
    first, second = delta("A", 1), b": ping\n\nevent: message\r\ndata: " + END[6:]
    body = first + second
    chunks = Chunk(0.5, body[:7]), Chunk(0, body[7:-1]), Chunk(0.125, body[-1:] + b"\n")
    trace = Trace.of(Recording(header, chunks, Ending(0.0625)), "moon.jsonl")
    assert trace == Trace(
        name="moon.jsonl",
        skill="query",
        request=TraceRequest(
            "POST", "/v1/query", header.request_headers, {"question": "What?", "image_url": picture}
        ),
        response=TraceResponse(200, STREAM),
        times=TraceTimes(connected=0.125, head=0.25, first_event=0.75),
        deadlines=TraceDeadlines(10, 60, None, 600),
        ending=TraceEnding(0.9375, "eof", ""),
        body=body + b"\n",
        inflated=None,
        chunks=(
            TraceChunk(0.75, 0, 7, 7, 0),
            TraceChunk(0.75, 7, len(body) - 1, len(body) - 1, 0),
            TraceChunk(0.875, len(body) - 1, len(body) + 1, len(body) + 1, 0),
        ),
        records=(
            TraceRecord(0.75, 1, 0, len(first), "", 0),
            TraceRecord(0.875, 2, len(first), len(body), "message", 1),
        ),
        messages=(
            TraceMessage(0, {"chunk": "A", "completed": False, "token_index": 1}),
            TraceMessage(1, {"chunk": "", "completed": True}),
        ),
        events=(
            TraceEvent(0.75, 1, 0, TextDelta("A", 1).to_dict()),
            TraceEvent(0.875, 2, 1, trace.events[-1].value),
        ),
        states=(
            TraceState(0.0, None, "AWAITING_RESPONSE", None),
            TraceState(0.25, None, "READING_EVENTS", "EVENT_STREAM"),
            TraceState(0.875, 2, "COMPLETED", "END_OF_ANSWER"),
        ),
        error=None,
        result=trace.result,
        size=(96, 64),
    )
    assert trace.result is not None and trace.result["text"] == "A"
    assert trace.events[-1].value["result"]["text"] == "A"
    assert repr(trace) == "<Trace POST /v1/query: 200, 3 chunks, 2 events, eof>"


class TestRecords:
    @pytest.mark.parametrize("end", ["\n", "\r", "\r\n"])
    def test_several_in_a_chunk(self, end: str) -> None:
        body = (delta("A") + b":\n\n" + delta("B") + END).replace(b"\n", end.encode())
        trace = traced(body[:-1], body[-1:])
        last = 1 if end == "\r\n" else 0
        assert [text.strip().rpartition(b"}")[1] for text in texts(trace)] == [b"}"] * 3
        assert b"".join(texts(trace)) == body.removesuffix(b"\n" * last)
        if end != "\r\n":
            assert places(trace) == [(0, 0), (0, 1), (1, 2)]

    def test_a_cr_ends_a_record_and_the_lf_behind_it_is_in_the_next(self) -> None:
        trace = traced(delta("A").replace(b"\n", b"\r\n"), END)
        assert [text[:1] for text in texts(trace)] == [b"d", b"\n"]
        assert places(trace) == [(0, 0), (1, 1)]

    def test_one_over_many_chunks(self) -> None:
        trace = traced(*(bytes((byte,)) for byte in delta("A") + END))
        first = len(delta("A"))
        assert places(trace) == [(first - 1, 0), (first + len(END) - 1, 1)]
        assert [item.end for item in trace.records] == [first, first + len(END)]

    def test_the_last_without_its_blank_line(self) -> None:
        trace = traced(delta("A"), END[:-2], b"\n")
        assert texts(trace) == [delta("A"), END[:-1]]
        assert (trace.records[1].chunk, trace.records[1].at) == (2, 0.55)
        assert places(trace) == [(0, 0), (None, 1)]
        assert trace.events[1].at == 1.05
        assert trace.states[-1] == TraceState(1.05, None, "COMPLETED", "END_OF_ANSWER")

    def test_a_part_of_one_is_none(self) -> None:
        trace = traced(delta("A"), END[:-5])
        assert (texts(trace), places(trace)) == ([delta("A")], [(0, 0)])
        assert trace.error is not None and trace.error["kind"] == "incomplete_stream"
        assert trace.result is not None and trace.result["partial"] is True

    def test_behind_the_end_there_are_chunks_only(self) -> None:
        trace = traced(delta("A") + END + delta("B"), delta("C"))
        assert (len(trace.records), len(trace.messages), len(trace.events)) == (2, 2, 2)
        assert (len(trace.chunks), trace.body[-len(delta("C")) :]) == (2, delta("C"))

    def test_of_a_chat(self) -> None:
        text = record({"choices": [{"delta": {"content": "A"}}]})
        stop = record({"choices": [{"delta": {}, "finish_reason": "stop"}]})
        trace = traced(text + stop, b"data: [DONE]\n\n", path="/v1/chat/completions")
        assert [item.message for item in trace.records] == [0, 1, None]
        assert places(trace) == [(0, 0), (1, 2)]
        done = traced(text + stop + b"data: [DONE]", path="/v1/chat/completions")
        assert places(done) == [(0, 0), (None, 2)]

    def test_one_that_is_too_long(self) -> None:
        long = b"data\n" * 20_001  # Limits.max_record_lines and one more
        for path, errors in (("/v1/query", ["limit_exceeded"]), ("/v1/moo", [])):
            trace = traced(delta("A"), long + b"\n", delta("B"), path=path)
            assert texts(trace) == [delta("A")]
            assert [trace.error["kind"]] if trace.error else errors == []
        assert texts(traced(delta("A"), long[:-1], path="/v1/moo")) == [delta("A")]


class TestMessages:
    def test_json_as_a_whole(self) -> None:
        body = b'\xef\xbb\xbf {"answer": "A"}'
        for headers in (JSON, STREAM, ()):  # the first byte decides
            trace = traced(b"\xef", b"\xbb", body[2:4], body[4:], headers=headers)
            assert trace.messages == (TraceMessage(None, {"answer": "A"}),)
            assert trace.records == ()
            assert places(trace) == [(None, None), (None, None)]

    def test_of_an_error(self) -> None:
        body = b'{"error": {"message": "slowly"}}'
        trace = traced(body, headers=JSON, status_code=429)
        assert trace.messages == (TraceMessage(None, {"error": {"message": "slowly"}}),)
        assert trace.error is not None
        assert (trace.error["kind"], trace.result) == ("rate_limit_error", None)
        assert [state.state for state in trace.states[1:]] == ["READING_ERROR", "FAILED"]
        trace = traced(b"slowly", headers=JSON, status_code=429)
        assert (trace.messages, trace.error["message"] if trace.error else "") == ((), "slowly")

    @pytest.mark.parametrize(
        ("data", "value"),
        [
            (b'{"chunk": "\\ud83c"}', {"chunk": "\ufffd"}),
            (b'{"x": 1e999, "y": [-1e999]}', {"x": None, "y": [None]}),
            (b'{"x": ' + b"9" * 400 + b"}", {"x": int("9" * 400)}),
            (b"[1]", [1]),
            (b"null", None),
        ],
    )
    def test_what_json_has_not(self, data: bytes, value: Any) -> None:
        trace = traced(b"data: " + data + b"\n\n")
        assert trace.messages == (TraceMessage(0, value),)
        assert Trace.from_dict(trace.to_dict()).messages == trace.messages

    @pytest.mark.parametrize(
        "data", [b"[DONE]", b"{", b'{"chunk": "\xff"}', b"[" * 65 + b"]" * 65, b" ", b""]
    )
    def test_what_is_none(self, data: bytes) -> None:
        trace = traced(b"data: " + data + b"\n\n")
        assert (trace.messages, [item.message for item in trace.records]) == ((), [None])

    def test_what_a_server_said_is_text(self) -> None:
        said = "</script><script>alert(1)</script>\u2028"
        trace = traced(delta(said), record({"error": said}))
        assert trace.events[0].value["text"] == said
        assert trace.error is not None and said.strip() in trace.error["message"]


class TestChunks:
    def test_cut_characters(self) -> None:
        moon = "月🌙".encode()
        body = b'data: {"chunk": "' + moon + b'"}\n\n' + END
        at = body.index(moon)
        cuts = [at + 1, at + 2, at + 3, at + 5, at + 6]
        chunks = [body[a:b] for a, b in zip([0, *cuts], [*cuts, len(body)], strict=True)]
        assert [chunk.cut for chunk in traced(*chunks).chunks] == [1, 1, 0, 2, 1, 0]

    @pytest.mark.parametrize("data", [b"\xff", b"\x80\x80\x80\x80", b"\xe0\x80", b"\xc3\xa9"])
    def test_what_is_no_character_is_not_cut(self, data: bytes) -> None:
        assert [chunk.cut for chunk in traced(data).chunks] == [0]

    def test_compressed(self) -> None:
        body = delta("月") + END
        packed = gzip.compress(body, mtime=0)
        trace = traced(
            packed[:1], packed[1:30], packed[30:], headers=(*STREAM, ("content-encoding", "gzip"))
        )
        assert (trace.body, trace.decoded, trace.inflated) == (packed, body, body)
        assert [chunk.end for chunk in trace.chunks] == [1, 30, len(packed)]
        assert [chunk.decoded_end for chunk in trace.chunks][::2] == [0, len(body)]
        assert texts(trace) == [delta("月"), END]
        assert [record for _, record in places(trace)] == [0, 1]

    def test_broken_compression(self) -> None:
        packed = bytearray(gzip.compress(delta("A") + delta("B")[:-2], mtime=0))
        packed[-8] ^= 1  # of the checksum
        headers = (*STREAM, ("content-encoding", "gzip"))
        trace = traced(bytes(packed), b"more", headers=headers)
        assert trace.error is not None and "broken gzip body" in trace.error["message"]
        assert places(trace) == [(0, 0), (0, 1)]
        assert trace.states[-1].chunk == 0
        assert [chunk.decoded_end for chunk in trace.chunks] == [len(trace.decoded)] * 2

    def test_inflated_by_the_client(self) -> None:
        trace = traced(delta("A"), END, headers=(*STREAM, ("content-encoding", "gzip")))
        assert (trace.inflated, trace.decoded) == (None, trace.body)
