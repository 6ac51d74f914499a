"""Ask a `FakeServer`: with our client, and with httpx alone."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
from msgspec.structs import replace

from moondream_tools import FakeServer
from moondream_transports import (
    Client,
    Timeouts,
)
from sansio_moondream import (
    BBox,
    Endpoint,
    Event,
    MoondreamError,
    Request,
    ResponseStream,
    TextDelta,
)
from sansio_moondream.recording import Ending, Recording
from tests.helpers import QUERY
from tests.tools.serving import RECORDED

BOX = BBox(0.25, 0.5, 0.75, 1.0)
PATH = "M0 0L.5 1Z"


def client(server: FakeServer, timeouts: Timeouts | None = None, **endpoint: Any) -> Client:
    return Client(endpoint=Endpoint(server.url, **endpoint), timeouts=timeouts or Timeouts())


def streamed(
    server: FakeServer, request: Request[Any] = QUERY, timeouts: Timeouts | None = None
) -> tuple[list[Event], Any]:
    """Return the events of a stream, and its result or the error that ended it."""
    events: list[Event] = []
    try:
        with client(server, timeouts) as moon, moon.stream(request) as stream:
            events.extend(stream)
            return events, stream.result()
    except MoondreamError as error:
        return events, error


def whole(server: FakeServer, request: Request[Any] = QUERY) -> Any:
    with client(server) as moon:
        return moon.send(request)


def texts(events: list[Event]) -> list[str]:
    return [event.text for event in events if isinstance(event, TextDelta)]


def post(server: FakeServer, skill: str, **body: Any) -> httpx.Response:
    with httpx.Client(trust_env=False) as http:
        return http.post(f"{server.url}/{skill}", json=body)


def in_seconds(seconds: float) -> Recording:
    """Return a recording that takes so many seconds to its head, and to its only chunk."""
    recorded = RECORDED["query"]
    chunk = replace(recorded.chunks[0], seconds=seconds)
    return Recording(replace(recorded.header, seconds=seconds), (chunk,), Ending(0))


def raw_chunks(server: FakeServer) -> list[bytes]:
    with (
        httpx.Client(trust_env=False) as http,
        http.stream(
            "POST", f"{server.url}/query", json={"question": "?", "stream": True}
        ) as answer,
    ):
        return [*answer.iter_raw()]


def failed(server: FakeServer, request: Request[Any] = QUERY) -> Any:
    with pytest.raises(MoondreamError) as caught:
        whole(server, request)
    return caught.value


def streamed_text(recording: Recording) -> str:
    stream = ResponseStream(QUERY)
    stream.receive_response(200, recording.header.response_headers)
    for chunk in recording.chunks:
        stream.receive_data(chunk.data)
    stream.receive_eof()
    return stream.result().text
