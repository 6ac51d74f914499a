"""What several test modules need: requests of every skill, and the captured responses."""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h11

from sansio_moondream import (
    CaptionRequest,
    ConnectionLost,
    DetectRequest,
    PointRequest,
    QueryRequest,
    Request,
    SegmentRequest,
    encode_image,
)

DATA = Path(__file__).parent / "data"
PIXEL = encode_image(base64.b64decode("R0lGODlhAQABAIAAAP///////yH5BAEKAAEALAAAAAABAAEAAAICTAEAOw=="))

QUERY = QueryRequest(question="What is in this image?")
CAPTION = CaptionRequest(image=PIXEL)
SEGMENT = SegmentRequest(image=PIXEL, object="moon")
DETECT = DetectRequest(image=PIXEL, object="moon")
POINT = PointRequest(image=PIXEL, object="moon")
REQUESTS: dict[str, Request[Any]] = {request.skill: request for request in (QUERY, CAPTION, SEGMENT, DETECT, POINT)}


def record(message: object) -> bytes:
    """One record as the servers write it."""
    return b"data: " + json.dumps(message).encode() + b"\n\n"


def delta(text: str, token_index: int | None = None) -> bytes:
    """An ordinary record of the engine dialect."""
    return record({"chunk": text, "completed": False, "token_index": token_index})


END = record({"chunk": "", "completed": True})


@dataclass(frozen=True)
class Trace:
    """A captured response (see tests/data/traces/README.md) with the HTTP framing taken off, as an HTTP client does."""

    name: str
    request: Request[Any]
    raw: list[bytes]
    status_code: int
    headers: list[tuple[str, str]]
    pieces: list[bytes]
    ending: ConnectionLost | None

    @property
    def body(self) -> bytes:
        return b"".join(self.pieces)


def load_trace(path: Path) -> Trace:
    recorded = json.loads(path.read_text())
    raw = [base64.b64decode(chunk) for chunk in recorded["response_chunks_b64"]]
    skill = recorded["request"]["path"].rpartition("/")[2]
    connection = h11.Connection(h11.CLIENT)
    connection.send(h11.Request(method="POST", target="/", headers=[("host", "localhost")]))
    connection.send(h11.EndOfMessage())
    head: h11.Response | None = None
    pieces: list[bytes] = []
    ending: ConnectionLost | None = None
    try:
        for chunk in [*raw, *([b""] if recorded["end"] == "server_eof" else [])]:
            connection.receive_data(chunk)
            while not isinstance(event := connection.next_event(), h11.EndOfMessage | h11.ConnectionClosed | type(h11.NEED_DATA)):
                if isinstance(event, h11.Response):
                    head = event
                elif isinstance(event, h11.Data):
                    pieces.append(bytes(event.data))
            if isinstance(event, h11.EndOfMessage):
                break
    except h11.RemoteProtocolError as error:
        ending = ConnectionLost(str(error))
    assert head is not None, f"{path.name} has no response head"
    headers = [(name.decode(), value.decode()) for name, value in head.headers]
    return Trace(path.stem, REQUESTS.get(skill, QUERY), raw, head.status_code, headers, pieces, ending)


TRACES = [load_trace(path) for path in sorted((DATA / "traces").glob("*.json"))]
