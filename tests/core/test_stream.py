"""`ResponseStream`: what its calls promise."""

from __future__ import annotations

import time
from typing import Any

import pytest

from sansio_moondream import (
    FINISHED,
    NEED_DATA,
    BBox,
    Completed,
    IncompleteStream,
    LocalProtocolError,
    QueryResult,
    RemoteProtocolError,
    Request,
    ResponseStream,
    State,
    TextDelta,
)
from sansio_moondream.testing import EVENT_STREAM, each_byte, run
from tests.core.streams import AB, A, B, drain, opened
from tests.helpers import END, QUERY, REQUESTS, SEGMENT, delta, record


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
        assert stream.snapshot is not None
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


def test_the_end_of_input_may_complete_the_stream():
    stream = ResponseStream(QUERY)
    stream.receive_response(200, EVENT_STREAM)
    stream.receive_data(delta("one") + b'data: {"completed": true}')
    stream.receive_eof()
    assert stream.state is State.COMPLETED
    assert len([*stream.events()]) == 2
    assert stream.next_event() is FINISHED
