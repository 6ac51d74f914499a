"""`send` and the shorthands of a client: the request that leaves, and the result."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from moondream_transports import Client
from sansio_moondream import (
    BBox,
    CaptionResult,
    ChatRequest,
    ChatResult,
    DetectResult,
    Point,
    PointResult,
    QueryResult,
    Settings,
)
from tests.helpers import PIXEL, QUERY
from tests.transports.fakes import (
    ENDPOINT,
    JSONFakeStream,
    client,
)


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
