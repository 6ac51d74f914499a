"""The rules of `ResponseStream`: what its calls promise, in and out of order."""

from __future__ import annotations

import gc
import json
import pickle
import time
import weakref
from typing import Any

import pytest

from sansio_moondream import (
    FINISHED,
    NEED_DATA,
    TRANSITIONS,
    APIError,
    BBox,
    Completed,
    ConnectionLost,
    FirstEventTimeout,
    IdleTimeout,
    IncompleteStream,
    Limits,
    LocalProtocolError,
    PathChunk,
    QueryResult,
    RateLimitError,
    RemoteProtocolError,
    Request,
    ResponseStream,
    SegmentResult,
    ServerError,
    State,
    TextDelta,
    Trigger,
    Unknown,
)
from sansio_moondream.testing import EVENT_STREAM, each_byte, run
from tests.helpers import (
    DETECT,
    END,
    QUERY,
    REQUESTS,
    SEGMENT,
    check_fragmentations,
    delta,
    record,
)

A, B = TextDelta("a", 1), TextDelta("b", 2)
AB = delta("a", 1) + delta("b", 2)


def opened(data: bytes = b"") -> ResponseStream[QueryResult]:
    stream = ResponseStream(QUERY)
    stream.receive_response(200, EVENT_STREAM)
    stream.receive_data(data)
    return stream


def drain(stream: ResponseStream[Any]) -> list[Any]:
    return list(stream.events())


class TestPulling:
    def test_receiving_decodes_at_once_and_raises_nothing(self):
        stream = opened(AB + b"data: nonsense\n\n")
        assert stream.state is State.FAILED
        assert stream.snapshot is not None
        assert stream.snapshot.text == "ab"
        assert [stream.next_event(), stream.next_event()] == [A, B]
        with pytest.raises(RemoteProtocolError):
            stream.next_event()

    def test_events_before_a_fault_come_before_it(self):
        stream = opened(AB + b"data: nonsense\n\n" + END)
        taken: list[Any] = []
        with pytest.raises(RemoteProtocolError):
            taken.extend(stream.events())
        assert taken == [A, B]

    @pytest.mark.parametrize(
        "chunks",
        [[AB], [delta("a", 1), delta("b", 2)], each_byte(AB)],
        ids=["whole", "each", "bytes"],
    )
    def test_leaving_events_early_loses_nothing(self, chunks: list[bytes]):
        stream = opened()
        for chunk in chunks:
            stream.receive_data(chunk)
        for event in stream.events():
            assert event == A
            break
        stream.receive_data(delta("c", 3))
        assert drain(stream) == [B, TextDelta("c", 3)]

    def test_an_event_left_lies_before_the_next_chunk(self):
        stream = opened(delta("a", 1))
        left = stream.events()
        stream.receive_data(delta("b", 2))
        assert drain(stream) == [A, B]
        assert list(left) == []

    def test_two_iterators_share_what_is_ready(self):
        stream = opened(AB + delta("c", 3))
        first, second = stream.events(), stream.events()
        assert [next(first), next(second), next(first)] == [A, B, TextDelta("c", 3)]
        assert list(second) == []

    def test_next_event(self):
        stream = opened()
        assert stream.next_event() is NEED_DATA
        stream.receive_data(AB)
        assert [stream.next_event(), stream.next_event(), stream.next_event()] == [A, B, NEED_DATA]
        stream.receive_data(END)
        assert stream.next_event() == Completed(stream.result())
        assert [stream.next_event(), stream.next_event()] == [FINISHED, FINISHED]
        stream.receive_eof()
        assert stream.next_event() is FINISHED

    def test_events_and_next_event_mix(self):
        stream = opened(AB + END)
        assert stream.next_event() == A
        for event in stream.events():
            assert event == B
            break
        assert stream.next_event() == Completed(stream.result())
        assert drain(stream) == []

    def test_nothing_is_ready_before_the_head(self):
        stream = ResponseStream(QUERY)
        assert (stream.next_event(), drain(stream), stream.snapshot, stream.request_id) == (
            NEED_DATA,
            [],
            None,
            None,
        )

    @pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
    def test_bytes_of_any_kind_are_copied(self, kind: Any):
        source = bytearray(AB)
        stream = opened()
        stream.receive_data(kind(source))
        source[:] = b"x" * len(source)
        assert drain(stream) == [A, B]

    def test_text_is_no_data(self):
        with pytest.raises(TypeError):
            opened().receive_data("data: {}")  # type: ignore[arg-type]

    def test_ready_as_soon_as_the_last_byte_is_in(self):
        box = b'data: {"type": "bbox", "bbox": {"x_min": 0, "y_min": 0, "x_max": 1, "y_max": 1}}'
        for end in (b"\n\n", b"\r\r", b"\r\n\r\n", b"\n\r"):
            data = box + end
            stream = ResponseStream(SEGMENT)
            stream.receive_response(200, EVENT_STREAM)
            needed = len(data) - (end == b"\r\n\r\n")  # the blank line ends with its CR
            stream.receive_data(data[: needed - 1])
            assert drain(stream) == []
            stream.receive_data(data[needed - 1 : needed])
            assert drain(stream) == [BBox(0, 0, 1, 1)]

    def test_an_iterator_that_has_events_left_gives_later_ones_too(self):
        stream = opened(AB)
        events = stream.events()
        assert next(events) == A
        stream.receive_data(delta("c", 3))
        assert stream.next_event() == B
        stream.receive_data(delta("d", 4))
        assert drain(stream) == [TextDelta("c", 3), TextDelta("d", 4)]
        assert list(events) == []

    def test_taking_one_event_a_chunk_from_a_backlog_is_linear(self):
        def seconds(count: int) -> float:
            stream = opened(delta("a") * count)
            start = time.process_time()
            for _ in range(count):
                stream.receive_data(delta("b"))
                assert isinstance(stream.next_event(), TextDelta)
            taken = time.process_time() - start
            assert len(drain(stream)) == count
            return taken

        few, many = (min(seconds(count) for _ in range(5)) for count in (500, 8000))
        assert many < 64 * few  # 16 is linear, 256 is quadratic


class TestResult:
    def test_needs_the_end(self):
        stream = opened(AB)
        with pytest.raises(
            LocalProtocolError,
            match="result\\(\\) came while reading events: feed the response to its end first",
        ):
            stream.result()
        assert drain(stream) == [A, B]

    def test_before_anything(self):
        with pytest.raises(LocalProtocolError, match="awaiting response"):
            ResponseStream(QUERY).result()

    def test_leaves_the_events(self):
        stream = opened(AB)
        stream.next_event()
        stream.receive_data(END)
        result = stream.result()
        assert result.text == "ab"
        assert drain(stream) == [B, Completed(result)]
        assert stream.result() is result

    def test_is_the_whole_text_where_it_differs(self):
        stream = opened(AB + record({"completed": True, "answer": "AB", "chunk": "c"}))
        assert drain(stream)[2:] == [TextDelta("c"), Completed(stream.result())]
        assert (stream.result().text, stream.result().metadata.deltas_match) == ("AB", False)

    def test_raises_the_fault(self):
        stream = opened(AB)
        stream.receive_eof()
        for _ in range(2):
            with pytest.raises(IncompleteStream) as caught:
                stream.result()
            assert caught.value.partial == stream.snapshot
            assert isinstance(stream.snapshot, QueryResult)
            assert stream.snapshot.text == "ab"
        taken: list[Any] = []
        with pytest.raises(IncompleteStream):
            taken.extend(stream.events())
        assert taken == [A, B]

    def test_snapshot_covers_what_is_decoded_taken_or_not(self):
        stream = opened(AB)
        snapshot = stream.snapshot
        assert snapshot is not None
        assert snapshot == QueryResult("ab", metadata=snapshot.metadata, partial=True)
        stream.next_event()
        assert stream.snapshot == snapshot
        stream.receive_data(END)
        assert stream.result() is stream.snapshot
        assert (stream.result().text, stream.result().partial) == ("ab", False)

    @pytest.mark.parametrize("request_", REQUESTS.values(), ids=REQUESTS)
    def test_what_is_not_complete_is_partial(self, request_: Request[Any]):
        stream = ResponseStream(request_)
        stream.receive_response(200, EVENT_STREAM)
        assert stream.snapshot.partial
        stream.receive_eof()
        with pytest.raises(IncompleteStream) as caught:
            stream.result()
        assert caught.value.partial is not None
        assert caught.value.partial.partial

    def test_request_id_as_soon_as_it_is_known(self):
        stream = opened(record({"chunk": "a", "completed": False, "request_id": "r1"}))
        assert drain(stream) == [TextDelta("a")]
        assert stream.request_id == "r1"
        stream.receive_eof()
        with pytest.raises(IncompleteStream) as caught:
            drain(stream)
        assert caught.value.request_id == "r1"

    def test_request_id_from_the_header_where_the_body_has_none(self):
        headers = {"content-type": "text/event-stream", "X-Request-Id": "h1"}
        assert run(QUERY, [AB + END], headers=headers).snapshot.metadata.request_id == "h1"
        assert (
            run(
                QUERY, [record({"completed": True, "request_id": 7})], headers=headers
            ).snapshot.metadata.request_id
            == "7"
        )


class TestErrors:
    def test_the_same_error_again_and_nothing_else(self):
        stream = opened(delta("a", 1) + b"data: 1\n\n")
        assert stream.next_event() == A
        errors = []
        for pull in (stream.next_event, lambda: drain(stream), stream.result, stream.next_event):
            with pytest.raises(RemoteProtocolError) as caught:
                pull()
            errors.append(caught.value)
        assert len({id(error) for error in errors}) == 1
        stream.receive_data(END)
        stream.receive_error(OSError())
        stream.receive_eof()
        with pytest.raises(RemoteProtocolError) as caught:
            drain(stream)
        assert caught.value is errors[0]

    def test_tracebacks_do_not_pile_up(self):
        stream = opened(b"data: 1\n\n")
        lengths = []
        for _ in range(5):
            with pytest.raises(RemoteProtocolError) as caught:
                stream.next_event()
            lengths.append(len(caught.traceback))
        assert len(set(lengths[1:])) == 1

    def test_they_say_what_was_seen_in_short(self):
        outcome = run(QUERY, [b'data: {"chunk": 5, "note": "' + b"x" * 5000 + b'"}\n\n'])
        assert str(outcome.error).startswith(
            'the server sent a message in which "chunk" should be text, not a number: {"chunk": 5, "note"'
        )
        assert len(str(outcome.error)) < 400

    @pytest.mark.parametrize(
        ("payload", "words"),
        [
            ("nonsense", "not JSON"),
            ("[DONE]", "not JSON"),
            ('{"chunk": "a"} x', "not JSON"),
            ('{"chunk": NaN}', "not JSON"),
            ('{"chunk": "\t"}', "not JSON"),
            ("null", "no object"),
            ('"text"', "no object"),
            ("7", "no object"),
            ('[{"chunk": "a"}]', "no object"),
            ('{"chunk": 1}', '"chunk" should be text, not a number'),
            ('{"chunk": ["a"]}', '"chunk" should be text, not an array'),
            ('{"chunk": {}}', '"chunk" should be text, not an object'),
            ('{"chunk": true}', '"chunk" should be text, not true or false'),
            ('{"text": 1.5}', '"text" should be text, not a number'),
            ('{"completed": 1}', '"completed" should be true or false, not a number'),
            ('{"completed": "true"}', '"completed" should be true or false, not text'),
            ('{"completed": true, "answer": 1}', '"answer" should be text, not a number'),
        ],
    )
    def test_contradictions(self, payload: str, words: str):
        outcome = run(QUERY, [AB + f"data: {payload}\n\n".encode() + END])
        assert outcome.events == [A, B]
        assert type(outcome.error) is RemoteProtocolError
        assert words in str(outcome.error)
        assert outcome.error.partial == outcome.snapshot
        assert outcome.snapshot.text == "ab"

    def test_a_contradicting_end_leaves_its_own_text_out(self):
        outcome = run(QUERY, [AB + record({"chunk": "c", "completed": True, "answer": []})])
        assert (outcome.events, outcome.snapshot.text) == ([A, B], "ab")

    def test_done_is_no_fault_after_the_end(self):
        assert run(QUERY, [AB + END + b"data: [DONE]\n\n"]).error is None

    @pytest.mark.parametrize(
        "bbox",
        [
            1,
            "box",
            [0, 0, 1, 1],
            {},
            {"x_min": 0, "y_min": 0, "x_max": 1},
            {"x_min": "0", "y_min": 0, "x_max": 1, "y_max": 1},
        ],
    )
    def test_boxes_that_are_none(self, bbox: Any):
        outcome = run(SEGMENT, [record({"type": "bbox", "bbox": bbox})])
        assert type(outcome.error) is RemoteProtocolError
        assert '"bbox" should hold numbers x_min, y_min, x_max, y_max' in str(outcome.error)

    @pytest.mark.parametrize("number", [b"1e400", b"-1e400", b"9" * 400])
    def test_boxes_that_are_not_finite(self, number: bytes):
        body = b'{"objects": [{"x_min": %s, "y_min": 0, "x_max": 1, "y_max": 1}]}' % number
        outcome = run(DETECT, [body], headers={"content-type": "application/json"})
        assert type(outcome.error) is RemoteProtocolError

    @pytest.mark.parametrize("end", [END, b"", b": a comment"])
    def test_a_dropped_stream_is_freed_at_once(self, end: bytes):
        gc.disable()
        try:
            stream = opened(AB + end)
            drain(stream)
            gone = weakref.ref(stream)
            del stream
            assert gone() is None
        finally:
            gc.enable()

    def test_an_error_of_the_transport_comes_as_it_is(self):
        for fault in (
            IdleTimeout("no byte for 5 s"),
            FirstEventTimeout("x"),
            RemoteProtocolError("bad framing"),
            ServerError("x"),
        ):
            stream = opened(AB)
            stream.receive_error(fault)
            with pytest.raises(type(fault)) as caught:
                drain(stream)
            assert caught.value is fault
            assert isinstance(fault.partial, QueryResult)
            assert fault.partial.text == "ab"

    def test_any_other_is_the_cause_of_a_lost_connection(self):
        fault = ConnectionResetError(104, "Connection reset by peer")
        stream = opened(AB)
        stream.receive_error(fault)
        with pytest.raises(
            ConnectionLost,
            match=r"the connection broke: ConnectionResetError: .*Connection reset by peer",
        ) as caught:
            stream.result()
        assert caught.value.__cause__ is fault

    def test_before_the_head(self):
        for fault in (OSError("x"), None):
            stream = ResponseStream(QUERY)
            stream.receive_eof() if fault is None else stream.receive_error(fault)
            with pytest.raises(ConnectionLost) as caught:
                stream.next_event()
            assert caught.value.partial is None
            assert stream.state is State.FAILED

    def test_errors_pickle_with_all_they_carry(self):
        error = run(QUERY, [AB]).error
        assert error is not None
        again = pickle.loads(pickle.dumps(error))
        assert (type(again), str(again), again.partial) == (
            IncompleteStream,
            str(error),
            error.partial,
        )


class TestOrder:
    def test_data_before_the_head(self):
        with pytest.raises(LocalProtocolError, match="before receive_response"):
            ResponseStream(QUERY).receive_data(b"")

    def test_two_heads(self):
        stream = opened()
        with pytest.raises(LocalProtocolError, match="a response has one head"):
            stream.receive_response(200)
        stream.receive_data(AB)
        assert drain(stream) == [A, B]

    def test_head_after_the_end(self):
        stream = ResponseStream(QUERY)
        stream.receive_eof()
        with pytest.raises(LocalProtocolError):
            stream.receive_response(200)

    @pytest.mark.parametrize("end", ["eof", "error"])
    def test_data_after_the_end_of_input(self, end: str):
        stream = opened(AB)
        stream.receive_eof() if end == "eof" else stream.receive_error(OSError())
        with pytest.raises(LocalProtocolError, match="after the end of input"):
            stream.receive_data(b"x")
        with pytest.raises((IncompleteStream, ConnectionLost)):
            drain(stream)

    def test_the_first_end_of_input_counts(self):
        stream = opened(AB)
        stream.receive_eof()
        stream.receive_error(OSError())
        stream.receive_eof()
        with pytest.raises(IncompleteStream) as caught:
            drain(stream)
        assert type(caught.value) is IncompleteStream

    def test_data_after_the_answer_is_ignored(self):
        stream = opened(AB + END + delta("more"))
        assert drain(stream)[-1] == Completed(stream.result())
        stream.receive_data(b"\xff" * 100_000)
        assert drain(stream) == []
        stream.receive_error(OSError())
        assert stream.next_event() is FINISHED

    def test_informational_heads_are_skipped(self):
        stream = ResponseStream(QUERY)
        stream.receive_response(100)
        stream.receive_response(103, [("link", "</style.css>")])
        assert stream.state is State.AWAITING_RESPONSE
        stream.receive_response(200, EVENT_STREAM)
        stream.receive_data(END)
        assert stream.result().text == ""

    def test_every_state_and_trigger_is_in_the_table(self):
        assert set(TRANSITIONS) == set(State)
        reached = {state for targets in TRANSITIONS.values() for state in targets.values()}
        assert reached == set(State)
        assert {trigger for targets in TRANSITIONS.values() for trigger in targets} == set(Trigger)
        assert {state for state, targets in TRANSITIONS.items() if not targets} == {
            State.COMPLETED,
            State.FAILED,
        }


class TestHead:
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
        ],
    )
    def test_no_answer(self, body: bytes):
        outcome = self.run(body)
        assert outcome.events == []
        assert type(outcome.error) is RemoteProtocolError

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
    def test_cut_short(self, body: bytes):
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

    def test_a_detect_answer_as_a_stream(self):
        data = record({"note": 1}) + record({"completed": True, "objects": []})
        outcome = run(DETECT, [data])
        assert outcome.error is None
        assert outcome.events[-1] == Completed(outcome.snapshot)


class TestInStreamErrors:
    @pytest.mark.parametrize(
        ("data", "class_", "message"),
        [
            (record({"error": {"message": "boom", "type": "server_error"}}), ServerError, "boom"),
            (record({"error": "boom"}), APIError, "boom"),
            (record({"error": "boom", "detail": "why"}), APIError, "boom: why"),
            (
                record({"error": {"message": "boom", "type": "rate_limit_error"}}),
                RateLimitError,
                "boom",
            ),
            (record({"detail": "boom"}), APIError, "boom"),
            (record({"type": "error", "message": "boom"}), APIError, "boom"),
            (b'event: error\ndata: {"error": {"message": "boom"}}\n\n', APIError, "boom"),
            (b"event: error\ndata: boom\n\n", APIError, "boom"),
            (b'event: error\ndata: {"message": "boom"}\n\n', APIError, "boom"),
            (
                b'event: error\ndata: {"message": "boom", "type": "rate_limit_error"}\n\n',
                RateLimitError,
                "boom",
            ),
            (
                record({"error": {}, "chunk": "x", "completed": True}),
                APIError,
                "(it gave no reason)",
            ),
        ],
    )
    def test_they_end_the_stream(self, data: bytes, class_: type[APIError], message: str):
        outcome = run(QUERY, [AB + data + END])
        assert outcome.events == [A, B]
        assert type(outcome.error) is class_
        assert isinstance(outcome.error, APIError)
        assert (outcome.error.message, outcome.error.status_code) == (message, 200)
        assert outcome.snapshot.text == "ab"

    def test_one_without_its_blank_line_counts(self):
        assert type(run(QUERY, [AB + b'data: {"error": "boom"}']).error) is APIError

    def test_null_is_no_error_and_detail_beside_text_is_none(self):
        data = record({"error": None, "chunk": "a"}) + record({"chunk": "b", "detail": "x"}) + END
        assert run(QUERY, [data]).snapshot.text == "ab"


def test_segment_messages():
    box = {"x_min": 0, "y_min": 0.5, "x_max": 1, "y_max": 1}
    data = [
        {"type": "bbox", "bbox": box},
        {"type": "bbox", "bbox": None},
        {"chunk": "M 0 0"},
        {"type": None, "chunk": " L 1 1", "token_index": 3},
        {"type": "path_delta", "chunk": "", "completed": False},
        {"type": "thinking", "chunk": "hm"},
        {"type": "final", "chunk": " z", "completed": True, "bbox": None, "path": None},
    ]
    outcome = run(SEGMENT, [b"".join(map(record, data))])
    coarse = BBox(0, 0.5, 1, 1)
    assert [type(event).__name__ for event in outcome.events] == [
        "BBox",
        "PathChunk",
        "PathChunk",
        "Unknown",
        "PathChunk",
        "Completed",
    ]
    assert outcome.events[:3] == [coarse, PathChunk("M 0 0"), PathChunk(" L 1 1", 3)]
    assert (outcome.snapshot.bbox, outcome.snapshot.path) == (coarse, "")


def test_reading_an_error_body_ends_in_its_error_however_it_ends():
    for ending in (None, OSError("reset"), IdleTimeout("stalled")):
        outcome = run(
            QUERY,
            [b'{"error": "busy"}'],
            status_code=503,
            headers={"content-type": "application/json"},
            ending=ending,
        )
        assert type(outcome.error) is ServerError
        assert outcome.error.message == "busy"
        assert outcome.snapshot is None


class TestOddMessages:
    """Among ordinary messages, which take the fast path, odd ones come to the same in any
    fragmentation (see test_fast_path.py as well).
    """

    @pytest.mark.parametrize(
        "odd",
        [
            b'data: {"chunk": "x", "completed": true}\n\n',
            b'data: {"chunk": "", "completed": true}\n\n',
            b'data: {"chunk": ""}\n\n',
            b'data: {"chunk": "x", "new": 1}\n\n',
            b'data: {"chunk": null}\n\n',
            b'data: {"chunk": "\\ud83c"}\n\n',
            b'data: {"chunk": "x", "token_index": 1.5}\n\n',
            b'data: {"chunk": "x", "token_index": "7"}\n\n',
            b'data: {"chunk": 1}\n\n',
            b'data: {"chunk": "x"}\r\n\r\n',
            b'data: {"chunk": "x"\n, "token_index": 1}\n\n',
            b'data: {"chunk": "x"}\ndata: \n\n',
            b'data: {"chunk": "x"}\n\n\n',
            b'datum: {"chunk": "x"}\n\n',
            b'{"chunk": "x"}\n\n',
            b"data: \n\n",
            b"\n",
        ],
    )
    @pytest.mark.parametrize("count", [0, 1, 5])
    def test_an_odd_record_among_ordinary_ones(self, odd: bytes, count: int):
        data = delta("a", 1) * count + odd + delta("b", 2) * 2 + END
        records = [*[delta("a", 1)] * count, odd, *[delta("b", 2)] * 2, END]
        expected = run(QUERY, each_byte(data)).key
        assert run(QUERY, [data]).key == expected
        assert run(QUERY, records).key == expected
        assert check_fragmentations(QUERY, data).key == expected

    @pytest.mark.parametrize(
        "odd",
        [
            {"chunk": "x", "completed": False, "request_id": "another"},
            {"chunk": "x", "completed": False, "request_id": None},
            {"chunk": "x", "completed": False},
            {"chunk": "", "completed": False, "request_id": "r"},
            {"chunk": "x", "completed": False, "request_id": "r", "new": 1},
            {"completed": True, "chunk": "x", "request_id": "r"},
            {"error": "boom", "request_id": "r"},
        ],
    )
    def test_in_the_documented_dialect(self, odd: dict[str, Any]):
        ordinary = [
            record({"chunk": f" {at}", "completed": False, "request_id": "r", "token_index": at})
            for at in range(4)
        ]
        end = record({"completed": True, "chunk": "", "org_id": "o", "request_id": "r"})
        for records in (
            [*ordinary, end],
            [*ordinary, record(odd), *ordinary, end],
            [record(odd), *ordinary, delta("y"), *ordinary, end],
        ):
            data = b"".join(records)
            expected = check_fragmentations(QUERY, data)
            assert run(QUERY, records).key == expected.key
            assert run(QUERY, each_byte(data)).key == expected.key
            if records[4] == end:
                assert expected.events[:4] == [TextDelta(f" {at}", at) for at in range(4)]
                assert (expected.snapshot.text, expected.snapshot.metadata.request_id) == (
                    " 0 1 2 3",
                    "r",
                )

    def test_text_up_to_its_limit_and_beyond(self):
        data = delta("abcdefgh") * 3000 + END
        for limit in (len("abcdefgh") * 3000, len("abcdefgh") * 3000 - 1):
            outcomes = [
                run(
                    QUERY,
                    [data[at : at + size] for at in range(0, len(data), size)],
                    limits=Limits(max_text_bytes=limit),
                )
                for size in (len(data), 1460, len(delta("abcdefgh")))
            ]
            assert len({len(outcome.events) for outcome in outcomes}) == 1
            assert (outcomes[0].error is None) == (limit == 24000)

    def test_path_chunks(self):
        chunks = [
            record(
                {"type": "path_delta", "chunk": f" L {at} 0", "completed": False, "token_index": at}
            )
            for at in range(9)
        ]
        data = b"".join(chunks) + record({"type": "final", "completed": True, "path": "M 0 0"})
        outcome = check_fragmentations(SEGMENT, data)
        assert outcome.events[:9] == [PathChunk(f" L {at} 0", at) for at in range(9)]
        assert run(SEGMENT, chunks).key == run(SEGMENT, [b"".join(chunks)]).key

    def test_text_for_a_skill_that_has_none(self):
        outcome = check_fragmentations(DETECT, delta("a") * 3)
        assert [type(event).__name__ for event in outcome.events] == ["Unknown"] * 3


def test_an_error_that_knows_more_keeps_it():
    known = IdleTimeout("x", partial=QueryResult("from elsewhere"), request_id="r9")
    stream = opened(AB)
    stream.receive_error(known)
    with pytest.raises(IdleTimeout) as caught:
        stream.result()
    assert caught.value.partial == QueryResult("from elsewhere")
    assert caught.value.request_id == "r9"


def test_numbers_and_surrogates_that_msgspec_refuses():
    data = (
        b'data: {"chunk": "a", "note": [1e400, "\\ud83c", {"\\udf19": "\\ud83c\\udf19"}]}\n\n'
        + record({"completed": True})
    )
    assert check_fragmentations(QUERY, data).snapshot.text == "a"
    outcome = check_fragmentations(
        QUERY, b'data: {"note": [1e400, "\\ud83c", {"\\udf19": "\\ud83c\\udf19"}]}\n\n'
    )
    assert outcome.events == [Unknown({"note": [float("inf"), "\ufffd", {"\ufffd": "\U0001f319"}]})]
    for text in (
        b"chunk",
        b"text",
    ):  # a surrogate waits for its pair only in the answer's text
        outcome = check_fragmentations(DETECT, b'data: {"%s": "a\\ud83c"}\n\n' % text)
        assert outcome.events == [Unknown({text.decode(): "a\ufffd"})]
    assert check_fragmentations(
        SEGMENT, b'data: {"completed": true, "text": "\\ud83c"}\n\n'
    ).snapshot.metadata.extra == {"text": "\ufffd"}
    refused = check_fragmentations(QUERY, b'data: ["\\ud83c"]\n\n')
    assert type(refused.error) is RemoteProtocolError
