"""Client and ClientStream over a transport that plays a script."""

from __future__ import annotations

import gc
from typing import Any

import pytest

from moondream_transports import Timeouts
from sansio_moondream import (
    APIError,
    CaptionRequest,
    Completed,
    ConnectionLost,
    HTTPRequest,
    LocalProtocolError,
    QueryResult,
    Request,
    TextDelta,
)
from tests.helpers import DETECT, END, PIXEL, POINT, QUERY, SEGMENT, delta, record
from tests.transports.fakes import (
    ENDPOINT,
    EVENTS,
    WHOLE,
    FakeStream,
    JSONFakeStream,
    client,
)


def test_events_as_they_come() -> None:
    transport = FakeStream(*WHOLE)
    with client(transport).stream(QUERY) as stream:
        assert next(stream) == TextDelta("A")
        assert len(transport.reads) == 1
        assert (
            stream.snapshot == QueryResult("A", None, stream.snapshot.metadata, partial=True)
            if stream.snapshot
            else False
        )
        assert list(stream) == [TextDelta(" moon"), Completed(stream.result())]
        assert list(stream) == []
    assert stream.result().text == "A moon"
    assert transport.closed == 1


def test_several_events_in_a_chunk() -> None:
    with client(FakeStream(b"".join(WHOLE), b"")).stream(QUERY) as stream:
        assert [next(stream), next(stream)] == EVENTS
        assert isinstance(next(stream), Completed)


def test_events_that_arrived_together() -> None:
    transport = FakeStream(delta("A"), delta(" moon") + END, b"")
    with client(transport).stream(QUERY) as stream:
        assert stream.next_events() == [TextDelta("A")]
        assert stream.next_events() == [TextDelta(" moon"), Completed(stream.result())]
        assert stream.next_events() == []
        assert stream.next_events() == []


def test_an_error_comes_after_the_events_that_arrived_with_it() -> None:
    transport = FakeStream(delta("A") + delta(" moon") + record({"error": {"message": "slowly"}}))
    with client(transport).stream(QUERY) as stream:
        assert stream.next_events() == EVENTS
        for _ in range(2):
            with pytest.raises(APIError, match="slowly"):
                stream.next_events()
    assert transport.closed == 1


def test_the_request_is_known_until_it_is_sent() -> None:
    with client(FakeStream(*WHOLE)) as moon, moon.stream(QUERY) as stream:
        assert moon.stream(QUERY).request == QUERY
        assert moon.stream_query(question=QUERY.question).request == QUERY
        assert stream.request is None


def test_a_stream_that_was_closed_while_it_waited_for_its_head() -> None:
    """A thread that waits for a head cannot be interrupted. It does not read on."""

    class Slow(FakeStream):
        def send(self, request: HTTPRequest, timeouts: Timeouts) -> FakeStream:
            stream.close()  # by another thread
            return super().send(request, timeouts)

    transport = Slow(*WHOLE)
    stream = client(transport).stream(QUERY)
    with pytest.raises(LocalProtocolError, match="the stream is not open"), stream:
        pass
    assert (transport.closed, transport.reads) == (1, [])


def test_the_request_leaves_when_the_stream_is_opened() -> None:
    transport = FakeStream(*WHOLE)
    stream = client(transport).stream(QUERY, extra_body={"variant": "x"})
    assert transport.requests == []
    with stream:
        assert transport.requests == [QUERY.to_http(ENDPOINT, extra_body={"variant": "x"})]


def test_text_only() -> None:
    with client(FakeStream(*WHOLE)).stream(QUERY) as stream:
        assert list(stream.text()) == ["A", " moon"]


def test_result_alone() -> None:
    with client(FakeStream(*WHOLE)).stream(QUERY) as stream:
        assert stream.result().text == "A moon"
        assert stream.result() is stream.result()


def test_result_waits_for_nothing_after_the_answer() -> None:
    transport = FakeStream(delta("A") + END, AssertionError("nobody asked for this"))
    with client(transport).stream(QUERY) as stream:
        assert stream.result().text == "A"
        assert len(transport.reads) == 1
        transport.steps = [b""]


def test_events_that_were_not_taken_stay() -> None:
    with client(FakeStream(b"".join(WHOLE), b"")).stream(QUERY) as stream:
        assert next(stream) == EVENTS[0]
        assert stream.result().text == "A moon"


def test_request_id() -> None:
    with client(FakeStream(record({"chunk": "A", "request_id": "7"}), END, b"")).stream(
        QUERY
    ) as stream:
        assert stream.request_id is None
        next(stream)
        assert stream.request_id == "7"


def test_opened_once() -> None:
    with (
        client(FakeStream(*WHOLE)).stream(QUERY) as stream,
        pytest.raises(LocalProtocolError, match="once"),
    ):
        stream.__enter__()


def test_read_before_it_is_opened() -> None:
    stream = client(FakeStream(*WHOLE)).stream(QUERY)
    with pytest.raises(LocalProtocolError, match="not open"):
        next(stream)
    assert stream.snapshot is None


def test_read_after_it_was_closed() -> None:
    transport = FakeStream(*WHOLE)
    with client(transport).stream(QUERY) as stream:
        next(stream)
    with pytest.raises(LocalProtocolError, match="not open"):
        next(stream)
    with pytest.raises(LocalProtocolError, match="not open"):
        stream.result()
    stream.close()
    assert transport.closed == 1


class TestDrain:
    """What is left of the body when the answer is complete."""

    def test_to_the_end_of_the_body(self) -> None:
        transport = FakeStream(delta("A"), END, b"\n", b"")
        with client(transport).stream(QUERY) as stream:
            for event in stream:
                if isinstance(event, Completed):
                    assert len(transport.reads) == 2  # the result is out first
        assert transport.steps == []
        assert all(0 < (timeout or 0) <= 0.02 for timeout in transport.reads[2:])

    def test_where_the_block_is_left(self) -> None:
        transport = FakeStream(delta("A") + END, b"")
        client(transport).send(QUERY)
        assert transport.steps == []

    def test_not_for_long(self) -> None:
        transport = FakeStream(END, TimeoutError())
        client(transport).send(QUERY)
        assert transport.closed == 1

    def test_not_much(self) -> None:
        transport = FakeStream(END, *[b" " * 3000] * 9)
        client(transport).send(QUERY)
        assert (len(transport.reads), transport.closed) == (3, 1)

    def test_a_fault_there_is_none(self) -> None:
        client(FakeStream(END, ConnectionLost("peer reset"))).send(QUERY)

    def test_not_after_an_error_of_the_user(self) -> None:
        transport = FakeStream(END, b"")
        with pytest.raises(ZeroDivisionError), client(transport).stream(QUERY) as stream:
            raise ZeroDivisionError(next(stream))
        assert (transport.steps, transport.closed) == ([b""], 1)

    def test_not_of_an_answer_that_was_left_early(self) -> None:
        transport = FakeStream(*WHOLE)
        with client(transport).stream(QUERY) as stream:
            next(stream)
        assert (len(transport.reads), transport.closed) == (1, 1)


def test_a_forgotten_stream_warns_and_closes() -> None:
    transport = FakeStream(*WHOLE)
    stream = client(transport).stream(QUERY).__enter__()
    next(stream)
    with pytest.warns(ResourceWarning, match="never closed"):
        del stream
    assert transport.closed == 1


def test_a_stream_that_was_never_opened_says_nothing() -> None:
    client(FakeStream()).stream(QUERY)
    gc.collect()


def test_the_request_is_released() -> None:
    transport = FakeStream(*WHOLE)
    with client(transport).stream(CaptionRequest(image=PIXEL)) as stream:
        transport.requests.clear()
        assert not [
            thing
            for thing in gc.get_referents(stream)
            if callable(thing) and "to_http" in repr(thing)
        ]


def test_reprs_name_no_key() -> None:
    subject = client(FakeStream(*WHOLE))
    assert repr(subject) == "<Client <Endpoint http://localhost:2020/v1, with a key> by FakeStream>"
    with subject.stream(QUERY) as stream:
        assert repr(stream) == "<ClientStream, reading events, open>"
    assert repr(stream) == "<ClientStream, reading events>"


def test_skills_that_do_not_stream() -> None:
    answers: list[tuple[Request[Any], bytes]] = [
        (DETECT, b'{"objects": []}'),
        (POINT, b'{"points": []}'),
        (SEGMENT, b'{"path": "M0,0z"}'),
    ]
    for request, answer in answers:
        with client(JSONFakeStream(answer, b"")).stream(request) as stream:
            assert [type(event) for event in stream] == [Completed]
