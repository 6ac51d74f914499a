"""Clients and pictures that type checkers should understand without a hint.

Never run: mypy and pyright read it, in `make lint`.
"""

from __future__ import annotations

from collections.abc import AsyncIterable
from pathlib import Path
from typing import assert_type

from PIL import Image

from moondream_transports import (
    AsyncClient,
    AsyncClientStream,
    AsyncConcurrentMap,
    Client,
    ClientStream,
    ConcurrentMap,
    Outcome,
    read_image,
)
from moondream_transports.relay import Answer, latest
from sansio_moondream import (
    CaptionRequest,
    CaptionResult,
    ChatMessage,
    ChatResult,
    DetectResult,
    EncodedImage,
    Endpoint,
    MoondreamError,
    PointResult,
    QueryRequest,
    QueryResult,
    Request,
    SegmentRequest,
    SegmentResult,
    encode_image,
)


def pictures(client: Client, path: Path, photo: Image.Image) -> None:
    for image in (path, photo, b"GIF89a", "data:image/gif;base64,", encode_image(b"GIF89a")):
        client.caption(image=image)
    assert_type(read_image("moon.jpg"), EncodedImage)
    assert_type(read_image(path, quality=80, max_side=2000), EncodedImage)
    assert_type(encode_image(photo, max_side=2000).note, str | None)
    with path.open("rb") as file:
        assert_type(read_image(file), EncodedImage)
    Client(endpoint=Endpoint(model="moondream3-preview"))


def shorthands(client: Client, path: Path) -> None:
    assert_type(client.query(question="?", image=path), QueryResult)
    assert_type(client.detect(image=path, object="moon"), DetectResult)
    assert_type(client.point(image=path, object="moon"), PointResult)
    assert_type(client.stream_query(question="?", image=path), ClientStream[QueryResult])
    assert_type(client.stream_caption(image=path, length="short"), ClientStream[CaptionResult])
    assert_type(client.stream_segment(image=path, object="moon"), ClientStream[SegmentResult])
    chat = client.stream_chat(messages=[ChatMessage("user", "Hi")])
    assert_type(chat, ClientStream[ChatResult])
    with client.stream_query(question="?") as stream:
        assert_type(stream.result(), QueryResult)


async def async_shorthands(client: AsyncClient, path: Path) -> None:
    assert_type(await client.query(question="?", image=path), QueryResult)
    assert_type(await client.detect(image=path, object="moon"), DetectResult)
    assert_type(client.stream_query(question="?", image=path), AsyncClientStream[QueryResult])
    async with client.stream_segment(image=path, object="moon") as stream:
        assert_type(await stream.result(), SegmentResult)


def videos(client: Client, frames: list[bytes]) -> None:
    def request(frame: bytes) -> SegmentRequest:
        return SegmentRequest(image=encode_image(frame), object="moon")

    for answer in latest(client, frames, request, cancel=True):
        assert_type(answer, Answer[bytes, SegmentResult])
        assert_type(answer.frame, bytes)
        assert_type(answer.result, SegmentResult | None)


async def async_videos(client: AsyncClient, paths: AsyncIterable[Path]) -> None:
    def request(path: Path) -> SegmentRequest:
        return SegmentRequest(image=read_image(path), object="moon")

    async with latest(client, paths, request) as answers:
        async for answer in answers:
            assert_type(answer, Answer[Path, SegmentResult])
    async for answer in latest(client, [Path("moon.jpg")], request, partial=True):
        assert_type(answer, Answer[Path, SegmentResult])


def many(client: Client, picture: EncodedImage) -> None:
    requests = (QueryRequest(question=name) for name in ("a", "b"))
    outcomes = client.map(requests)
    assert_type(outcomes, ConcurrentMap[Outcome[QueryResult]])
    for outcome in outcomes:
        assert_type(outcome, Outcome[QueryResult])
        assert_type(outcome.request, Request[QueryResult])
        assert_type(outcome.result, QueryResult | None)
        assert_type(outcome.error, MoondreamError | None)
        assert_type(outcome.unwrap(), QueryResult)
    with client.map([CaptionRequest(image=picture)], ordered=False) as captions:
        assert_type(next(captions), Outcome[CaptionResult])
        assert_type(captions.ready(), list[Outcome[CaptionResult]])
    assert_type(client.outcome(QueryRequest(question="?")), Outcome[QueryResult])


def many_of_several_kinds(client: Client, picture: EncodedImage) -> None:
    query, caption = QueryRequest(question="?"), CaptionRequest(image=picture)
    requests: list[Request[QueryResult | CaptionResult]] = [query, caption]
    for outcome in client.map(requests):
        assert_type(outcome, Outcome[QueryResult | CaptionResult])
        assert_type(outcome.unwrap(), QueryResult | CaptionResult)


async def many_async(client: AsyncClient, requests: AsyncIterable[QueryRequest]) -> None:
    outcomes = client.map(requests)
    assert_type(outcomes, AsyncConcurrentMap[Outcome[QueryResult]])
    async for outcome in outcomes:
        assert_type(outcome.unwrap(), QueryResult)
    async with client.map([QueryRequest(question="?")], concurrent=4, stream=True) as few:
        assert_type(await anext(few), Outcome[QueryResult])
    assert_type(await client.outcome(QueryRequest(question="?")), Outcome[QueryResult])
