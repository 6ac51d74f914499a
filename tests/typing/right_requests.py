"""Requests, errors and retries that type checkers should understand without a hint.

Never run: mypy and pyright read it, in `make lint`.
"""

from __future__ import annotations

import time
from typing import Any, assert_type

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
    APIError,
    BBox,
    CaptionRequest,
    ChatMessage,
    ChatRequest,
    ChatResult,
    DecodedRequest,
    Dialect,
    EncodedImage,
    Endpoint,
    ErrorResponse,
    Event,
    Grounding,
    Headers,
    IdleTimeout,
    Metrics,
    MoondreamError,
    PathChunk,
    Point,
    PointRequest,
    QueryRequest,
    QueryResult,
    Reasoning,
    Request,
    Result,
    SegmentRequest,
    SegmentResult,
    Settings,
    Stats,
    TextDelta,
    Unknown,
    Usage,
    decode_request,
    decode_result,
    encode_error,
    encode_events,
    encode_image,
    encode_stream_error,
)


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


def serving(body: bytes, request: QueryRequest, error: APIError) -> None:
    decoded = decode_request("POST", "/v1/query", {"Host": "localhost"}, body, Dialect.STATION)
    assert_type(decoded, DecodedRequest)
    assert_type(decoded.request, Request[Any])
    assert_type(decoded.stream, bool)
    decoded.request.to_http(Endpoint(), decoded.stream, decoded.extra_body)
    assert_type(decode_result(request, body), QueryResult)
    assert_type(decode_result(request, body, status_code=200, headers=()), QueryResult)
    assert_type(encode_error(error, Dialect.CLOUD), ErrorResponse)
    status_code, headers, encoded = encode_error(error)
    assert_type(status_code, int)
    assert_type(headers, tuple[tuple[str, str], ...])
    assert_type(encoded, bytes)
    assert_type(encode_stream_error(error), bytes)


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
    with Client(endpoint=endpoint) as client:
        assert_type(client, Client)
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
