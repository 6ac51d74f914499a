"""Errors of the wrong class, pictures and paths: numbers 20 to 23 of "What broke in trials"."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from email.message import Message
from http.client import HTTPMessage
from typing import Any

import httpx
import pytest
from multidict import CIMultiDict
from PIL import Image
from requests.structures import CaseInsensitiveDict
from urllib3 import HTTPHeaderDict

from moondream_transports import Client, RetryPolicy
from sansio_moondream import (
    APIError,
    BBox,
    ChatMessage,
    ChatRequest,
    EncodedImage,
    MoondreamError,
    RateLimitError,
    ResponseStream,
    SegmentResult,
    ServerError,
    encode_image,
)
from sansio_moondream.paths import PathError, PathParser, parse_path
from sansio_moondream.testing import check_fragmentations, run
from tests.helpers import CHAT, END, LOCAL, PIXEL, QUERY, SEGMENT, delta, record
from tests.transports.fakes import ENDPOINT, FakeStream, JSONFakeStream

JSON = (("content-type", "application/json"),)
AT_ONCE = RetryPolicy(initial_backoff=0, max_backoff=0)
GATEWAYS: dict[str, tuple[dict[str, Any], type[APIError]]] = {
    "litellm": ({"message": "broke", "type": None, "param": None, "code": "500"}, ServerError),
    "vLLM": ({"message": "broke", "type": "InternalServerError", "code": 500}, ServerError),
    "OpenRouter": ({"message": "broke", "code": 502}, ServerError),
    "too many": ({"message": "slow down", "type": None, "code": 429}, RateLimitError),
}
each_gateway = pytest.mark.parametrize(
    ("error", "kind"),
    GATEWAYS.values(),
    ids=GATEWAYS.keys(),
)
BOX = {"x_min": 0.0, "y_min": 0.0, "x_max": 1.0, "y_max": 1.0}
OUTLINE = "M 0 0.5 L 1 0.5 C 1 1 0.5 1 0 0.5 Z"


@each_gateway
@pytest.mark.parametrize("streamed", [True, False], ids=["stream", "JSON"])
def test_code_of_an_error_does_not_decide_the_class(
    streamed: bool,
    error: dict[str, Any],
    kind: type[APIError],
) -> None:
    """Number 20. The status stays the real one."""
    if streamed:
        seen = check_fragmentations(QUERY, delta("a") + record({"error": error})).error
    else:
        seen = check_fragmentations(
            QUERY, json.dumps({"error": error}).encode(), headers=JSON
        ).error
    assert type(seen) is kind
    assert isinstance(seen, APIError)
    assert (seen.status_code, seen.message) == (200, error["message"])


@each_gateway
def test_code_of_an_error_is_not_retried(error: dict[str, Any], kind: type[APIError]) -> None:
    """Number 20."""
    transport = JSONFakeStream(
        json.dumps({"error": error}).encode(), b"", b'{"answer": "a moon"}', b""
    )
    assert Client(transport, ENDPOINT, retries=AT_ONCE).send(QUERY).text == "a moon"
    assert len(transport.requests) == 2


def test_type_of_an_error_comes_before_its_code() -> None:
    """Number 20: "where `type` names none"."""
    error = {"message": "slow down", "type": "rate_limit_error", "code": 500}
    assert type(check_fragmentations(QUERY, record({"error": error})).error) is RateLimitError


@pytest.mark.parametrize("status_code", [408, 504, 524])
def test_gateway_timeout_is_retried(status_code: int) -> None:
    """Number 20."""
    transport = FakeStream(*[b"too late", b""] * 3, status_code=status_code)
    with pytest.raises(APIError) as caught:
        Client(transport, ENDPOINT, retries=AT_ONCE).send(QUERY)
    assert caught.value.status_code == status_code
    assert len(transport.requests) == 1


def test_retry_after_in_milliseconds_is_ignored() -> None:
    """Number 20."""
    headers = (("content-type", "text/plain"), ("retry-after-ms", "1500"))
    error = run(QUERY, [b"slow down"], status_code=429, headers=headers).error
    assert isinstance(error, RateLimitError)
    assert error.retry_after == 1.5


def test_late_empty_usage_replaces_the_earlier_one() -> None:
    """Number 20."""
    choice = {"index": 0, "delta": {"content": "a moon"}, "finish_reason": "stop"}
    usage = {"prompt_tokens": 7, "completion_tokens": 2, "total_tokens": 9}
    messages: list[dict[str, Any]] = [
        {"choices": [choice], "usage": usage},
        {"choices": [], "usage": {}},
    ]
    outcome = check_fragmentations(CHAT, b"".join(map(record, messages)) + b"data: [DONE]\n\n")
    assert outcome.error is None
    seen = outcome.snapshot.metadata.usage
    assert (seen.prompt_tokens, seen.completion_tokens, seen.total_tokens) == (7, 2, 9)


@pytest.mark.parametrize(
    "data_url",
    [
        "data:image/png;base64,!!",
        PIXEL.data_url[:60] + "\n" + PIXEL.data_url[60:],
        f"data:image/gif;base64,{PIXEL.data_url.partition(',')[2].encode()!r}",
        "data:image/svg+xml;base64,PHN2ZyB4bWxucz0iaHR0cDovL3d3dy53My5vcmcvMjAwMC9zdmciLz4=",
    ],
    ids=["no base64", "a line break", "the repr of bytes", "SVG"],
)
def test_encoded_image_takes_what_no_server_takes(data_url: str) -> None:
    """Number 21."""
    with pytest.raises(ValueError, match="data URL|picture"):
        EncodedImage(data_url)


def test_detail_of_a_picture_in_a_chat_is_refused() -> None:
    """Number 21."""
    part = {"type": "image_url", "image_url": {"url": PIXEL.data_url, "detail": "high"}}
    request = ChatRequest(messages=[ChatMessage("user", [part, "What is in this image?"])])
    sent = json.loads(request.to_http(LOCAL).body)
    assert sent["messages"][0]["content"][0] == part


def test_headers_of_http_client_are_refused() -> None:
    """Number 21: the `headers` of an `http.client.HTTPResponse` are an `email.message.Message`."""
    headers = Message()
    headers["Content-Type"] = "text/event-stream"
    headers["X-Request-Id"] = "7"
    stream = ResponseStream(QUERY)
    stream.receive_response(200, headers)
    stream.receive_data(delta("a moon") + END)
    assert stream.result().text == "a moon"
    assert stream.result().metadata.request_id == "7"


@pytest.mark.parametrize(
    "kind", [httpx.Headers, CIMultiDict, CaseInsensitiveDict, HTTPHeaderDict, HTTPMessage, dict]
)
def test_headers_of_http_libraries_are_read(kind: Callable[[], Any]) -> None:
    """Number 21, the others: httpx, aiohttp, requests, urllib3, http.client."""
    headers = kind()
    headers["Content-Type"] = "text/event-stream"
    headers["X-Request-Id"] = "7"
    if hasattr(headers, "add"):  # those that keep repeated fields apart
        headers.add("Content-Type", "text/event-stream")
    stream = ResponseStream(QUERY)
    stream.receive_response(200, headers)
    stream.receive_data(delta("a moon") + END)
    assert stream.result().text == "a moon"
    assert stream.result().metadata.request_id == "7"


def test_message_of_a_path_error_does_not_depend_on_the_chunks() -> None:
    """Number 22."""
    text = "M1e5e5 1"
    with pytest.raises(PathError) as whole:
        parse_path(text)
    path = PathParser()

    def by_character() -> None:
        for character in text:
            path.append(character)
        path.end()

    with pytest.raises(PathError) as apart:
        by_character()
    assert str(apart.value) == str(whole.value)
    assert apart.value.position == whole.value.position


def test_overlay_of_a_turned_jpeg_sent_as_bytes_is_in_the_wrong_place() -> None:
    """Number 22. The server finds the white half in the pixels that it was sent."""
    photo = Image.new("RGB", (64, 32))
    photo.paste("white", (0, 0, 32, 32))
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned to the right: shown, its upper half is white
    file = io.BytesIO()
    photo.save(file, "JPEG", exif=exif)

    sent = Image.open(io.BytesIO(encode_image(file.getvalue()).data))
    found = sent.convert("L").point(lambda value: 255 * (value > 127)).getbbox()
    assert found is not None
    left, top, right, bottom = found
    width, height = sent.size
    box = BBox(left / width, top / height, right / width, bottom / height)
    drawn = SegmentResult("M0 0H1V1H0Z", box).overlay(Image.open(file), color="red", opacity=1)

    red, green, _ = drawn.split()
    assert red.point(lambda value: 255 * (value > 127)).getbbox() == (0, 0, 32, 32)
    assert green.point(lambda value: 255 * (value > 127)).getbbox() is None


def test_segmentation_cut_by_max_tokens_cannot_be_drawn() -> None:
    """Number 23. What is whole of the path is drawn, as in a partial result."""
    for end in range(len("M 0 0.5 L"), len(OUTLINE)):
        path = OUTLINE[:end]
        coarse = record({"type": "bbox", "bbox": BOX})
        coarse += record({"type": "path_delta", "chunk": path, "completed": False})
        final = {"type": "final", "completed": True, "finish_reason": "length"}
        whole = run(SEGMENT, [coarse + record({**final, "path": path, "bbox": BOX})])
        partial = run(SEGMENT, [coarse])
        assert whole.error is None
        assert isinstance(partial.error, MoondreamError)
        size = (64, 64)
        assert whole.snapshot.polygons(size) == partial.snapshot.polygons(size), path
        assert whole.snapshot.svg(size) == partial.snapshot.svg(size), path
