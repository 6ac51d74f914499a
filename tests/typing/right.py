"""Streams, events and results that type checkers should understand without a hint.

Never run: mypy and pyright read it, in `make lint`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal, TypeVar, assert_never, assert_type

from sansio_moondream import (
    FINISHED,
    NEED_DATA,
    TRANSITIONS,
    BBox,
    CaptionRequest,
    CaptionResult,
    ChatMessage,
    ChatRequest,
    ChatResult,
    Completed,
    DetectRequest,
    DetectResult,
    EncodedImage,
    Endpoint,
    Event,
    Headers,
    HTTPRequest,
    IdleTimeout,
    Limits,
    Metadata,
    PathChunk,
    Point,
    PointRequest,
    PointResult,
    QueryRequest,
    QueryResult,
    ReasoningDelta,
    Request,
    ResponseStream,
    Result,
    SegmentRequest,
    SegmentResult,
    Signal,
    State,
    TextDelta,
    Trigger,
    Unknown,
    Value,
    from_dict,
    json_schema,
)

R = TypeVar("R", bound=Result)


def results_of_streams(image: EncodedImage) -> None:
    assert_type(ResponseStream(QueryRequest(question="?")), ResponseStream[QueryResult])
    assert_type(ResponseStream(QueryRequest(question="?")).result(), QueryResult)
    assert_type(ResponseStream(CaptionRequest(image=image)).result(), CaptionResult)
    assert_type(ResponseStream(SegmentRequest(image=image, object="moon")).result(), SegmentResult)
    assert_type(ResponseStream(DetectRequest(image=image, object="moon")).result(), DetectResult)
    assert_type(
        ResponseStream(PointRequest(image=image, object="moon"), Limits(max_json_depth=8)).result(),
        PointResult,
    )
    assert_type(
        ResponseStream(ChatRequest(messages=[ChatMessage("user", ["What?", image])])).result(),
        ChatResult,
    )


def snapshots(image: EncodedImage) -> None:
    assert_type(ResponseStream(QueryRequest(question="?")).snapshot, QueryResult | None)
    assert_type(ResponseStream(CaptionRequest(image=image)).snapshot, CaptionResult | None)
    assert_type(
        ResponseStream(SegmentRequest(image=image, object="moon")).snapshot, SegmentResult | None
    )
    assert_type(
        ResponseStream(DetectRequest(image=image, object="moon")).snapshot, DetectResult | None
    )
    assert_type(
        ResponseStream(PointRequest(image=image, object="moon")).snapshot, PointResult | None
    )


def a_function_of_any_request(request: Request[R], endpoint: Endpoint) -> R:
    assert_type(request.to_http(endpoint, stream=False, extra_body={"variant": "b"}), HTTPRequest)
    return ResponseStream(request).result()


def such_a_function_is_as_exact(image: EncodedImage, endpoint: Endpoint) -> None:
    assert_type(a_function_of_any_request(QueryRequest(question="?"), endpoint), QueryResult)
    assert_type(
        a_function_of_any_request(DetectRequest(image=image, object="moon"), endpoint), DetectResult
    )


def requests_of_any_skill(image: EncodedImage) -> list[Request[QueryResult] | Request[PointResult]]:
    return [QueryRequest(question="?"), PointRequest(image=image, object="moon")]


def events_are_a_closed_union(event: Event) -> str:
    match event:
        case TextDelta(text, token_index):
            assert_type(text, str)
            assert_type(token_index, int | None)
            return text
        case ReasoningDelta(text):
            assert_type(text, str)
            return text
        case BBox(x_min, _, x_max):
            assert_type(x_min, float)
            return str(x_max - x_min)
        case PathChunk(data):
            assert_type(data, str)
            return data
        case Completed(result):
            assert_type(result, Result)
            return "whole"
        case Unknown(data):
            return ", ".join(data)
        case _:
            assert_never(event)


def events_by_isinstance(event: Event) -> None:
    if isinstance(event, TextDelta | PathChunk):
        assert_type(event, TextDelta | PathChunk)
    elif isinstance(event, ReasoningDelta):
        assert_type(event, ReasoningDelta)
    elif isinstance(event, BBox):
        assert_type(event, BBox)
    elif isinstance(event, Completed):
        assert_type(event, Completed)
    elif isinstance(event, Unknown):
        assert_type(event, Unknown)
    else:
        assert_never(event)


def results_are_a_closed_union(result: Result) -> str:
    assert_type(result.metadata, Metadata)
    match result:
        case QueryResult(text) | CaptionResult(text) | ChatResult(text):
            return text
        case SegmentResult(path):
            return path
        case DetectResult(objects):
            assert_type(objects, tuple[BBox, ...])
            return str(len(objects))
        case PointResult(points):
            assert_type(points, tuple[Point, ...])
            return str(len(points))
        case _:
            assert_never(result)


def next_event(stream: ResponseStream[QueryResult]) -> str:
    event = stream.next_event()
    assert_type(event, Event | Signal)
    if event is NEED_DATA:
        assert_type(event, Literal[Signal.NEED_DATA])
        return "more"
    if event is FINISHED:
        return "whole"
    assert_type(event, Event)
    return events_are_a_closed_union(event)


def next_event_by_match(stream: ResponseStream[CaptionResult]) -> str:
    match stream.next_event():
        case Signal.NEED_DATA:
            return "more"
        case Signal.FINISHED:
            return "whole"
        case TextDelta(text):
            return text
        case ReasoningDelta() | BBox() | PathChunk() | Completed() | Unknown():
            return ""


def a_loop_as_people_write_it(
    stream: ResponseStream[SegmentResult], chunks: Iterator[bytes]
) -> SegmentResult:
    stream.receive_response(200, {"content-type": "text/event-stream"})
    stream.receive_response(200, [(b"content-type", b"text/event-stream")])
    stream.receive_response(200, Headers({"content-type": "text/event-stream"}))
    for chunk in chunks:
        stream.receive_data(chunk)
        stream.receive_data(bytearray(chunk))
        stream.receive_data(memoryview(chunk))
        for event in stream.events():
            assert_type(event, Event)
    stream.receive_eof()
    stream.receive_error(OSError())
    assert_type(stream.events(), Iterator[Event])
    assert_type(stream.request_id, str | None)
    assert_type(stream.state, State)
    assert_type(TRANSITIONS[stream.state][Trigger.FAULT], State)
    return stream.result()


def every_state(state: State) -> bool:
    match state:
        case State.AWAITING_RESPONSE:
            return False
        case (
            State.READING_EVENTS | State.READING_JSON | State.READING_UNNAMED | State.READING_ERROR
        ):
            return False
        case State.COMPLETED | State.FAILED:
            return True
        case _:
            assert_never(state)


def as_json(data: dict[str, Any], request: QueryRequest, message: ChatMessage) -> str:
    assert_type(TextDelta.from_dict(data), TextDelta)
    assert_type(QueryRequest.from_dict(data), QueryRequest)
    assert_type(IdleTimeout.from_dict(data).to_dict(), dict[str, Any])
    assert_type(request.to_dict(images=False), dict[str, Any])
    assert_type(message.to_dict(images=False), dict[str, Any])
    assert_type(json_schema("completed"), dict[str, Any])
    value = from_dict(data)
    assert_type(value, Value)
    match value:
        case Completed(QueryResult(text)):
            return text
        case IdleTimeout(message=text):
            return text
        case _:
            return str(value.to_dict()["kind"])
