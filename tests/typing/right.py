"""What type checkers should understand without a hint.

Never run: `tests/test_typing.py` has mypy and pyright read it.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Literal, TypeVar, assert_never, assert_type

import trio
from PIL import Image

from moondream_transports import (
    AsyncClient,
    AsyncTransport,
    Client,
    Hooks,
    RetryPolicy,
    Timeline,
    Transport,
)
from sansio_moondream import (
    FINISHED,
    NEED_DATA,
    TRANSITIONS,
    APIError,
    BBox,
    CaptionRequest,
    CaptionResult,
    ChatMessage,
    ChatRequest,
    ChatResult,
    Completed,
    DetectRequest,
    DetectResult,
    Dialect,
    EncodedImage,
    Endpoint,
    Event,
    Grounding,
    Headers,
    HTTPRequest,
    IdleTimeout,
    Limits,
    Metadata,
    Metrics,
    MoondreamError,
    PathChunk,
    Point,
    PointRequest,
    PointResult,
    QueryRequest,
    QueryResult,
    Reasoning,
    ReasoningDelta,
    Request,
    ResponseStream,
    Result,
    SegmentRequest,
    SegmentResult,
    Settings,
    Signal,
    State,
    Stats,
    TextDelta,
    Trigger,
    Unknown,
    Usage,
    encode_events,
    encode_image,
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


def fields(query: QueryResult, segment: SegmentResult, chat: ChatResult) -> None:
    assert_type(chat.text, str)
    assert_type(chat.reasoning, Reasoning | None)
    assert_type(chat.metadata.usage, Usage | None)
    assert_type(query.text, str)
    assert_type(query.reasoning, Reasoning | None)
    assert_type(query.metadata.request_id, str | None)
    assert_type(query.metadata.metrics, Metrics | None)
    assert_type(query.metadata.stats, Stats | None)
    assert_type(query.metadata.deltas_match, bool | None)
    assert_type(query.metadata.headers.get("server"), str | None)
    assert_type(query.metadata.headers.multi_items(), tuple[tuple[str, str], ...])
    assert_type(segment.bbox, BBox | None)
    assert_type(segment.parse_error, str | None)
    if query.reasoning is not None:
        assert_type(query.reasoning.grounding, tuple[Grounding, ...])


def requests(picture: Image.Image, points: list[Point], boxes: tuple[BBox, ...]) -> None:
    assert_type(encode_image(b"GIF89a"), EncodedImage)
    assert_type(encode_image(picture, quality=90), EncodedImage)
    assert_type(encode_image("data:image/gif;base64,"), EncodedImage)
    image = encode_image(bytearray())
    QueryRequest(
        question="?",
        image=image,
        reasoning=True,
        settings=Settings(temperature=0, top_p=0.5, max_tokens=7),
        model="m",
    )
    CaptionRequest(image=image, length="short")
    SegmentRequest(image=image, object="moon", spatial_refs=points)
    SegmentRequest(image=image, object="moon", spatial_refs=boxes)
    PointRequest(
        image=image, object="moon", spatial_refs=[(0.5, 0.5), (0, 0, 1, 1), points[0], boxes[0]]
    )
    in_openais_form: list[dict[str, object]] = [
        {"role": "user", "content": [{"type": "text", "text": "What?"}, image]}
    ]
    ChatRequest(
        messages=in_openais_form, reasoning=True, settings=Settings(max_tokens=7), model="m"
    )
    ChatRequest(messages=[ChatMessage("system", "Be brief."), *in_openais_form])
    http = QueryRequest(question="?").to_http(
        Endpoint("http://localhost:2020/v1", headers={"X-Org": "7"})
    )
    assert_type(http.body, bytes)
    assert_type(http.headers, tuple[tuple[str, str], ...])
    Endpoint(api_key=None, headers=(("X-Org", "7"),), user_agent_suffix="mine/1.0")


def errors() -> None:
    try:
        pass
    except APIError as error:
        assert_type(error.status_code, int)
        assert_type(error.retry_after, float | None)
        assert_type(error.headers, Headers | None)
        assert_type(error.partial, Result | None)
    except IdleTimeout as error:
        as_builtin: TimeoutError = error
        as_ours: MoondreamError = error
        assert_type((as_builtin.errno, as_ours.request_id), tuple[int | None, str | None])


def encoding(events: list[Event]) -> None:
    assert_type(encode_events(events, Dialect.STATION), bytes)
    assert_type(
        encode_events(
            [TextDelta("A moon"), PathChunk("M 0 0", token_index=2), Unknown({"mood": 1})]
        ),
        bytes,
    )


def retries(transport: Transport, async_transport: AsyncTransport, endpoint: Endpoint) -> None:
    policy = RetryPolicy(max_attempts=5, initial_backoff=1, max_backoff=20, jitter=0)
    Client(transport, endpoint, retries=policy)
    Client(transport, endpoint, retries=None, sleep=time.sleep)
    AsyncClient(async_transport, endpoint, retries=policy, sleep=trio.sleep)
    assert_type(policy.wait(MoondreamError(), 1, 0.0), float | None)


class Bold(RetryPolicy, frozen=True):
    def wait(
        self, error: MoondreamError, attempt: int, now: float, random: float = 1.0
    ) -> float | None:
        return super().wait(error, attempt, now, random)


class Watching(Hooks):
    def on_retry(self, timeline: Timeline, error: MoondreamError, seconds: float) -> None:
        assert_type(timeline.attempts, int)
