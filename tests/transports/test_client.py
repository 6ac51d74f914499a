"""Client and ClientStream over a transport that plays a script."""

from __future__ import annotations

import gc
import json
from collections.abc import Callable
from typing import Any

import pytest

from moondream_transports import Client, Timeouts
from sansio_moondream import (
    BBox,
    CaptionRequest,
    CaptionResult,
    ChatRequest,
    ChatResult,
    Completed,
    ConnectError,
    ConnectionLost,
    ConnectTimeout,
    DetectResult,
    FirstEventTimeout,
    IdleTimeout,
    IncompleteStream,
    LimitExceeded,
    Limits,
    LocalProtocolError,
    MoondreamError,
    Point,
    PointResult,
    QueryResult,
    Request,
    ServerError,
    Settings,
    TextDelta,
    TotalTimeout,
)
from tests.helpers import CAPTION, DETECT, END, PIXEL, POINT, QUERY, SEGMENT, delta, record

from .fakes import ENDPOINT, EVENTS, WHOLE, FakeStream, JSONFakeStream, TimedFakeStream, client


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


def test_send_does_not_stream() -> None:
    transport = JSONFakeStream(b'{"answer": "A moon"}', b"")
    assert client(transport).send(QUERY, extra_body={"variant": "x"}).text == "A moon"
    assert transport.requests == [
        QUERY.to_http(ENDPOINT, stream=False, extra_body={"variant": "x"})
    ]
    assert transport.closed == 1


def test_shorthands() -> None:
    box, settings = {"x_min": 0, "y_min": 0, "x_max": 1, "y_max": 1}, Settings(max_tokens=9)
    picture = PIXEL.data
    ask: dict[str, tuple[dict[str, Any], Callable[[Client], Any], Any]] = {
        "query": (
            {"answer": "A"},
            lambda c: c.query(
                question="Q",
                image=picture,
                reasoning=True,
                spatial_refs=[(0, 0)],
                settings=settings,
                model="m",
            ),
            {"question": "Q", "reasoning": True, "spatial_refs": [[0, 0]], "stream": False},
        ),
        "caption": (
            {"caption": "A"},
            lambda c: c.caption(image=picture, length="short", settings=settings, model="m"),
            {"length": "short", "stream": False},
        ),
        "segment": (
            {"path": "M0,0z", "bbox": box},
            lambda c: c.segment(
                image=picture, object="o", spatial_refs=[(0, 0)], settings=settings, model="m"
            ),
            {"object": "o", "spatial_refs": [[0, 0]], "stream": False},
        ),
        "detect": (
            {"objects": [box]},
            lambda c: c.detect(image=picture, object="o", settings=settings, model="m"),
            {"object": "o"},
        ),
        "point": (
            {"points": [{"x": 0, "y": 1}]},
            lambda c: c.point(
                image=picture, object="o", spatial_refs=[(0, 0)], settings=settings, model="m"
            ),
            {"object": "o", "spatial_refs": [[0, 0]]},
        ),
    }
    for skill, (answer, call, asked) in ask.items():
        transport = JSONFakeStream(json.dumps(answer).encode(), b"")
        result = call(client(transport))
        (request,) = transport.requests
        assert request.url == f"{ENDPOINT.url}/{skill}"
        common = {"image_url": PIXEL.data_url, "model": "m", "settings": {"max_tokens": 9}}
        assert json.loads(request.body) == asked | common
        match result:
            case QueryResult(text="A") | CaptionResult(text="A"):
                pass
            case DetectResult(objects=(BBox(),)) | PointResult(points=(Point(x=0, y=1),)):
                pass
            case _:
                assert (result.path, result.bbox) == ("M0,0z", BBox(0, 0, 1, 1))


def test_chat() -> None:
    transport = JSONFakeStream(
        b'{"choices": [{"message": {"content": "A"}, "finish_reason": "stop"}]}', b""
    )
    messages: list[dict[str, object]] = [{"role": "user", "content": [PIXEL, "Q"]}]
    result = client(transport).chat(
        messages=messages, reasoning=True, settings=Settings(max_tokens=9), model="m"
    )
    assert isinstance(result, ChatResult)
    assert (result.text, result.metadata.finish_reason) == ("A", "stop")
    asked = ChatRequest(
        messages=messages, reasoning=True, settings=Settings(max_tokens=9), model="m"
    )
    assert transport.requests == [asked.to_http(ENDPOINT, stream=False)]


def test_a_question_needs_no_picture() -> None:
    transport = JSONFakeStream(b'{"answer": "A"}', b"")
    client(transport).query(question="Q")
    assert json.loads(transport.requests[0].body) == {"question": "Q", "stream": False}


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


class TestFaults:
    def test_no_connection(self) -> None:
        cause = OSError("no route")
        refusal = ConnectError("could not connect")
        refusal.__cause__ = cause
        with (
            pytest.raises(ConnectError) as caught,
            client(FakeStream(refuses=refusal)).stream(QUERY),
        ):
            pass
        assert caught.value is refusal
        assert caught.value.__cause__ is cause

    def test_connection_lost(self) -> None:
        transport = FakeStream(delta("A"), ConnectionLost("peer reset"))
        with client(transport).stream(QUERY) as stream:
            assert next(stream) == TextDelta("A")
            for _ in range(2):  # the same error again
                with pytest.raises(ConnectionLost, match="peer reset") as caught:
                    next(stream)
                assert caught.value.partial == stream.snapshot
            assert transport.closed == 1  # at once

    def test_an_error_behind_events_of_the_same_chunk(self) -> None:
        transport = FakeStream(delta("A") + record({"error": "no"}))
        with client(transport).stream(QUERY) as stream:
            assert next(stream) == TextDelta("A")
            with pytest.raises(MoondreamError, match="no"):
                next(stream)
            assert transport.closed == 1

    def test_a_body_that_ends_too_soon(self) -> None:
        with (
            client(FakeStream(delta("A"), b"")).stream(QUERY) as stream,
            pytest.raises(IncompleteStream),
        ):
            stream.result()

    def test_error_status(self) -> None:
        with pytest.raises(ServerError, match="busy"):
            client(FakeStream(b'{"error": ', b'"busy"}', b"", status_code=503)).send(QUERY)

    def test_limits(self) -> None:
        with pytest.raises(LimitExceeded):
            client(FakeStream(delta("A" * 99), END), limits=Limits(max_text_bytes=9)).send(QUERY)

    @pytest.mark.parametrize("bug", [ValueError("a bug"), KeyboardInterrupt()])
    def test_what_is_no_fault_of_the_exchange_passes(self, bug: BaseException) -> None:
        transport = FakeStream(bug)
        with pytest.raises(type(bug)), client(transport).stream(QUERY) as stream:
            next(stream)
        assert transport.closed == 1


class TestDeadlines:
    def timeouts_seen(
        self, transport: FakeStream, timeouts: Timeouts
    ) -> tuple[type[MoondreamError], str]:
        """Read to the end. Return the class and the message of the timeout."""
        with pytest.raises(TimeoutError) as caught:
            client(transport, timeouts).stream(CAPTION).__enter__().result()
        assert isinstance(caught.value, MoondreamError)
        assert isinstance(caught.value.__cause__, TimeoutError)
        assert not transport.requests or transport.closed or transport.refuses
        return type(caught.value), str(caught.value)

    def test_first_event(self) -> None:
        kind, message = self.timeouts_seen(
            FakeStream(b": comment\n\n", TimeoutError()), Timeouts(first_event=3)
        )
        assert (kind, "3 seconds" in message, "Timeouts.first_event" in message) == (
            FirstEventTimeout,
            True,
            True,
        )

    def test_first_event_before_the_head(self) -> None:
        kind, message = self.timeouts_seen(
            FakeStream(refuses=TimeoutError()), Timeouts(first_event=3)
        )
        assert (kind, "3 seconds" in message) == (FirstEventTimeout, True)

    def test_first_event_counts_from_the_connection(self) -> None:
        transport = TimedFakeStream(TimeoutError(), connected_at=-2)
        self.timeouts_seen(transport, Timeouts(first_event=3))
        assert transport.reads == [1]

    def test_first_event_is_over_before_the_first_read(self) -> None:
        transport = TimedFakeStream(connected_at=-9)
        assert self.timeouts_seen(transport, Timeouts(first_event=3))[0] is FirstEventTimeout
        assert transport.reads == []

    def test_idle(self) -> None:
        transport = FakeStream(delta("A"), b": comment\n\n", TimeoutError())
        kind, message = self.timeouts_seen(transport, Timeouts(idle=3))
        assert (kind, "3 seconds" in message) == (IdleTimeout, True)
        assert transport.reads[1:] == [3, 3]

    def test_idle_in_the_body_of_an_error(self) -> None:
        transport = FakeStream(b"sorry", TimeoutError(), status_code=500)
        with pytest.raises(ServerError, match="sorry") as caught:
            client(transport, Timeouts(idle=3)).send(QUERY)
        assert isinstance(caught.value.__cause__, IdleTimeout)
        assert transport.reads == [3, 3]

    def test_total(self) -> None:
        transport = TimedFakeStream(delta("A"), TimeoutError())
        kind, message = self.timeouts_seen(transport, Timeouts(idle=5, total=4))
        assert (kind, "4 seconds" in message) == (TotalTimeout, True)
        assert transport.reads[1] == 4

    def test_total_is_over_before_a_read(self) -> None:
        def late() -> bytes:
            transport.clock.sleep(5)
            return delta("A")

        transport = TimedFakeStream(late)
        assert self.timeouts_seen(transport, Timeouts(total=5))[0] is TotalTimeout
        assert transport.reads == [5]

    def test_total_bounds_what_the_transport_is_given(self) -> None:
        transport = FakeStream(*WHOLE)
        client(transport, Timeouts(connect=7, first_event=None, idle=2, total=5)).send(QUERY)
        assert transport.timeouts == Timeouts(connect=5, first_event=5, idle=2, total=5)

    def test_total_before_the_connection(self) -> None:
        assert (
            self.timeouts_seen(FakeStream(refuses=ConnectTimeout("slow")), Timeouts(total=1e-9))[0]
            is TotalTimeout
        )

    def test_connect(self) -> None:
        refusal = ConnectTimeout("no connection")
        with pytest.raises(ConnectTimeout) as caught:
            client(FakeStream(refuses=refusal)).send(QUERY)
        assert caught.value is refusal

    def test_none_waits_for_ever(self) -> None:
        transport = FakeStream(*WHOLE)
        client(transport, Timeouts(None, None, None, None)).send(QUERY)
        assert transport.reads[:3] == [None] * 3

    def test_the_time_of_a_slow_reader_does_not_count(self) -> None:
        transport = TimedFakeStream(*WHOLE, connected_at=0)
        with client(transport, Timeouts(first_event=3, idle=3)).stream(QUERY) as stream:
            transport.clock.sleep(5)
            assert next(stream) == EVENTS[0]
            transport.clock.sleep(5)
            assert next(stream) == EVENTS[1]
            assert transport.reads == [3, 3]

    @pytest.mark.parametrize("wrong", [0, -1, float("nan")])
    def test_values(self, wrong: float) -> None:
        with pytest.raises(ValueError, match="idle should be a number of seconds above 0"):
            Timeouts(idle=wrong)


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
