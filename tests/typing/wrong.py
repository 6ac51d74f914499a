"""Mistakes that type checkers should find.

Each `type: ignore` says so: one that is not needed is an error itself, for both.
"""
# pyright: reportUnnecessaryTypeIgnoreComment=true

from __future__ import annotations

import time
from pathlib import Path
from typing import assert_never

from moondream_transports import AsyncClient, AsyncTransport, Client, RetryPolicy, Transport
from sansio_moondream import (
    BBox,
    CaptionRequest,
    CaptionResult,
    ChatMessage,
    ChatRequest,
    Completed,
    DetectRequest,
    DetectResult,
    EncodedImage,
    Endpoint,
    Event,
    Limits,
    PathChunk,
    PointRequest,
    QueryRequest,
    QueryResult,
    ResponseStream,
    SegmentRequest,
    SegmentResult,
    Settings,
    TextDelta,
    Unknown,
    encode_events,
    encode_image,
)
from sansio_moondream.exports import coco_polygons, yolo_labels


def an_event_forgotten(event: Event) -> None:
    match event:
        case TextDelta() | BBox() | PathChunk() | Completed() | Unknown():
            pass
        case _:
            assert_never(event)  # type: ignore[arg-type]


def a_signal_forgotten(stream: ResponseStream[QueryResult]) -> Event:
    return stream.next_event()  # type: ignore[return-value]


def the_result_of_another_skill(image: EncodedImage) -> QueryResult:
    stream: ResponseStream[CaptionResult] = ResponseStream(QueryRequest(question="?"))  # type: ignore[arg-type]
    assert stream.result().points  # type: ignore[attr-defined]
    return ResponseStream(CaptionRequest(image=image)).result()  # type: ignore[return-value]


def a_snapshot_that_may_not_be_there(stream: ResponseStream[QueryResult]) -> str:
    return stream.snapshot.text  # type: ignore[union-attr]


def an_event_of_another_kind(event: Event) -> str:
    return event.text  # type: ignore[union-attr]


def requests(image: EncodedImage) -> None:
    QueryRequest("?")  # type: ignore[call-arg, arg-type]
    QueryRequest()  # type: ignore[call-arg]
    QueryRequest(question="?", length="short")  # type: ignore[call-arg]
    QueryRequest(question="?", image=b"GIF89a")  # type: ignore[arg-type]
    QueryRequest(question="?", spatial_refs=[0.5, 0.5])  # type: ignore[list-item]
    QueryRequest(question="?", settings={"top_p": 1})  # type: ignore[arg-type]
    CaptionRequest(length="short")  # type: ignore[call-arg]
    CaptionRequest(image=image, length="tiny")  # type: ignore[arg-type]
    SegmentRequest(image=image)  # type: ignore[call-arg]
    DetectRequest(image=image, object="moon", spatial_refs=[(0, 0)])  # type: ignore[call-arg]
    ChatRequest()  # type: ignore[call-arg]
    ChatRequest(messages="Hi")  # type: ignore[arg-type]
    ChatRequest(messages=[image])  # type: ignore[list-item]
    ChatMessage("tool", "x")  # type: ignore[arg-type]
    ChatMessage("user", [b"GIF89a"])  # type: ignore[list-item]
    PointRequest(image=image, object=None)  # type: ignore[arg-type]
    Settings(0.5)  # type: ignore[call-arg]
    Settings(max_tokens=1.5)  # type: ignore[arg-type]
    Limits(max_json_depth="8")  # type: ignore[arg-type]


def values_are_frozen(image: EncodedImage, event: TextDelta, endpoint: Endpoint) -> None:
    image.data_url = ""  # type: ignore[misc]
    event.text = ""  # type: ignore[misc]
    endpoint.api_key = "key"  # type: ignore[misc]
    QueryRequest(question="?").question = "!"  # type: ignore[misc]
    QueryResult().metadata.headers["server"] = "x"  # type: ignore[index]


def other_things(stream: ResponseStream[QueryResult], endpoint: Endpoint, path: Path) -> None:
    encode_image(path)  # type: ignore[arg-type]
    encode_image(b"GIF89a", 95)  # type: ignore[call-arg]
    encode_events([QueryResult()])  # type: ignore[list-item]
    encode_events([TextDelta("x")], "station")  # type: ignore[arg-type]
    stream.receive_data("text")  # type: ignore[arg-type]
    stream.receive_response("200")  # type: ignore[arg-type]
    stream.receive_error("broken")  # type: ignore[arg-type]
    QueryRequest(question="?").to_http("http://localhost:2020/v1")  # type: ignore[arg-type]
    Endpoint(headers=["X-Org: 7"])  # type: ignore[arg-type]
    Endpoint(api_key=b"key")  # type: ignore[arg-type]
    TextDelta(text=None)  # type: ignore[arg-type]


def pictures(segment: SegmentResult, boxes: DetectResult, path: Path) -> None:
    segment.overlay(path)  # type: ignore[arg-type]
    segment.mask((8.0, 4.0))  # type: ignore[arg-type]
    yolo_labels(segment, class_id=0)  # type: ignore[call-overload]
    yolo_labels(boxes)  # type: ignore[call-overload]
    coco_polygons(boxes, (8, 4))  # type: ignore[arg-type]


def clients(client: Client, path: Path) -> None:
    client.stream("x")  # type: ignore[arg-type]
    client.send(QueryRequest)  # type: ignore[arg-type]
    client.map(QueryRequest(question="?"))  # type: ignore[arg-type]
    client.map(["What is this?"])  # type: ignore[arg-type]
    client.stream_query(question="?", stream=True)  # type: ignore[call-arg]
    client.stream_query("?")  # type: ignore[call-arg]
    client.stream_caption(image=path, length="tiny")  # type: ignore[arg-type]
    client.stream_detect(image=path, object="moon")  # type: ignore[attr-defined]
    Endpoint(model=7)  # type: ignore[arg-type]


def retries(transport: Transport, async_transport: AsyncTransport, endpoint: Endpoint) -> None:
    RetryPolicy().max_attempts = 5  # type: ignore[misc]
    RetryPolicy().wait(ValueError(), 1, 0.0)  # type: ignore[arg-type]
    Client(transport, endpoint, retries=3)  # type: ignore[arg-type]
    Client(async_transport, endpoint)  # type: ignore[arg-type]
    Client(endpoint)  # type: ignore[arg-type]
    AsyncClient(transport)  # type: ignore[arg-type]
    AsyncClient(async_transport, endpoint, sleep=time.sleep)  # type: ignore[arg-type]
