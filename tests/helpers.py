"""What several test modules need: requests of every skill, and the captured responses."""

from __future__ import annotations

import base64
import copy
import json
import threading
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import cycle
from pathlib import Path
from typing import Any

import h11

from sansio_moondream import (
    CaptionRequest,
    ChatMessage,
    ChatRequest,
    ConnectionLost,
    DetectRequest,
    Dialect,
    Endpoint,
    Headers,
    Limits,
    MoondreamError,
    PointRequest,
    QueryRequest,
    Request,
    SegmentRequest,
    SocketStream,
    encode_image,
    testing,
)
from sansio_moondream.testing import EOF, EVENT_STREAM, Outcome, at_offsets, each_byte, run

LOCAL = Endpoint("http://localhost:2020/v1")
DATA = Path(__file__).parent / "data"
PIXEL = encode_image(
    base64.b64decode("R0lGODlhAQABAIAAAP///////yH5BAEKAAEALAAAAAABAAEAAAICTAEAOw==")
)

QUERY = QueryRequest(question="What is in this image?")
CAPTION = CaptionRequest(image=PIXEL)
SEGMENT = SegmentRequest(image=PIXEL, object="moon")
DETECT = DetectRequest(image=PIXEL, object="moon")
POINT = PointRequest(image=PIXEL, object="moon")
CHAT = ChatRequest(messages=[ChatMessage("user", [PIXEL, "What is in this image?"])])
REQUESTS: dict[str, Request[Any]] = {
    request.skill: request for request in (QUERY, CAPTION, SEGMENT, DETECT, POINT, CHAT)
}
OWN = {skill: request for skill, request in REQUESTS.items() if skill != "chat"}
"""The skills with answers in the form of Moondream."""
PAIRS = [
    (skill, dialect)
    for skill in REQUESTS
    for dialect in Dialect
    if (skill == "chat") == (dialect is Dialect.CHAT)
]
"""Each skill with each of its dialects."""


class NewThreads:
    """The threads that were started since this was made. Those of earlier tests may end meanwhile,
    so their number says nothing."""

    def __init__(self) -> None:
        self._before = set(threading.enumerate())

    def running(self) -> set[threading.Thread]:
        return set(threading.enumerate()) - self._before


def record(message: object) -> bytes:
    """Encode one record as the servers write it."""
    return b"data: " + json.dumps(message).encode() + b"\n\n"


def delta(text: str, token_index: int | None = None) -> bytes:
    """Encode one usual record of the engine dialect."""
    return record({"chunk": text, "completed": False, "token_index": token_index})


END = record({"chunk": "", "completed": True})


@dataclass(frozen=True)
class Trace:
    """A captured response without the framing of HTTP. See tests/data/traces/README.md."""

    name: str
    request: Request[Any]
    raw: list[bytes]
    status_code: int
    headers: list[tuple[str, str]]
    chunks: list[bytes]
    ending: ConnectionLost | None

    @property
    def body(self) -> bytes:
        return b"".join(self.chunks)


def load_trace(path: Path) -> Trace:
    recorded = json.loads(path.read_text())
    raw = [base64.b64decode(chunk) for chunk in recorded["response_chunks_b64"]]
    skill = recorded["request"]["path"].rpartition("/")[2]
    connection = h11.Connection(h11.CLIENT)
    connection.send(h11.Request(method="POST", target="/", headers=[("host", "localhost")]))
    connection.send(h11.EndOfMessage())
    head: h11.Response | None = None
    chunks: list[bytes] = []
    ending: ConnectionLost | None = None
    try:
        for chunk in [*raw, *([b""] if recorded["end"] == "server_eof" else [])]:
            connection.receive_data(chunk)
            while not isinstance(
                event := connection.next_event(),
                h11.EndOfMessage | h11.ConnectionClosed | type(h11.NEED_DATA),
            ):
                if isinstance(event, h11.Response):
                    head = event
                elif isinstance(event, h11.Data):
                    chunks.append(bytes(event.data))
            if isinstance(event, h11.EndOfMessage):
                break
    except h11.RemoteProtocolError as error:
        ending = ConnectionLost(str(error))
    assert head is not None, f"{path.name} has no response head"
    headers = [(name.decode(), value.decode()) for name, value in head.headers]
    return Trace(
        path.stem, REQUESTS.get(skill, QUERY), raw, head.status_code, headers, chunks, ending
    )


TRACES = [load_trace(path) for path in sorted((DATA / "traces").glob("*.json"))]


# --- Through HTTP/1.1


def check_fragmentations(
    request: Request[Any],
    data: bytes,
    *,
    ending: Exception | None = EOF,
    status_code: int = 200,
    headers: Any = EVENT_STREAM,
    limits: Limits | None = None,
) -> Outcome:
    """Do the same as `testing.check_fragmentations`, and read the same body in each framing of
    HTTP/1.1 through a `SocketStream`.

    Fragments of a long body end at its line ends, inside its characters, and at a few other
    offsets. Reading it byte by byte meets all other borders. Heads are cut at every offset in the
    tests of HTTP/1.1, so here they are not.
    """
    outcome = testing.check_fragmentations(
        request,
        data,
        ending=ending,
        status_code=status_code,
        headers=headers,
        limits=limits,
        max_offsets=MOST,
    )
    fields = [
        field
        for field in Headers(headers).multi_items()
        if field[0] not in ("content-length", "transfer-encoding")
    ]
    for name, more, head, body in framings(data, status_code, fields, whole=ending is EOF):
        expected = run(
            request,
            [data],
            ending=ending,
            status_code=status_code,
            headers=[*fields, *more],
            limits=limits,
            sent=request.to_http(LOCAL),
        )
        raw = head + body
        steps = (len(head) - 2, len(head), len(head) + 1, len(raw) - 1)
        fragmentations = [[raw], at_offsets(raw, steps)]
        if name == "chunked":  # the other framings have no borders in the body
            fragmentations.append(at_offsets(raw, range(0, len(raw), 7)))
            fragmentations.append([head, *each_byte(body)])
        for chunks in fragmentations:
            seen = run_socket(request, chunks, ending=ending, limits=limits)
            assert seen.key == expected.key, (
                f"{name} in {len(chunks)} chunks gives another outcome than the body alone"
            )
    return outcome


MOST = 40
Field = tuple[str, str]


def framings(
    data: bytes, status_code: int, headers: list[Field], *, whole: bool
) -> Iterator[tuple[str, list[Field], bytes, bytes]]:
    """Encode a body in each framing of HTTP/1.1.

    Each has a name, the header fields that it adds, the head, and the framed body. If the body is
    not `whole`, its end is missing.
    """
    if status_code < 200 or status_code in (204, 304):
        return
    for name, more, body in (
        ("chunked", [("transfer-encoding", "chunked")], chunked(data, last=whole)),
        ("with its length", [("content-length", str(len(data) + (not whole)))], data),
        ("until the connection closes", [], data),
    ):
        yield name, more, head(status_code, [*headers, *more]), body


def head(status_code: int, headers: Iterable[Field]) -> bytes:
    """Encode the head of a response."""
    lines = [
        f"HTTP/1.1 {status_code} Some Words",
        *(f"{name}: {value}" for name, value in headers),
        "",
        "",
    ]
    return "\r\n".join(lines).encode("latin-1")


def chunked(
    data: bytes, sizes: Iterable[int] = (1, 2, 3, 5, 8, 13, 21, 64), *, last: bool = True
) -> bytes:
    """Encode a body in chunks of these sizes, repeated, with size lines in several spellings."""
    out, at = b"", 0
    spellings = cycle((b"%x\r\n", b"%X;name=value\r\n", b"00%x\r\n"))
    for size in cycle(sizes):
        if at >= len(data):
            return out + b"0\r\nX-Trailer: at the end\r\n\r\n" * last
        chunk = data[at : at + size]
        out += next(spellings) % len(chunk) + chunk + b"\r\n"
        at += size
    raise ValueError("no sizes")


def run_socket(
    request: Request[Any],
    chunks: Iterable[bytes],
    *,
    ending: Exception | None = EOF,
    eof: bool = True,
    limits: Limits | None = None,
) -> Outcome:
    """Do the same as `testing.run`, with the bytes of a socket.

    Without `eof` the socket stays open at the end.
    """
    stream = SocketStream(request, LOCAL, limits=limits)
    assert stream.data_to_send().startswith(b"POST /v1/")
    events: list[Any] = []
    error: MoondreamError | None = None
    try:
        for chunk in chunks:
            stream.receive_data(chunk)
            events += stream.events()
        if ending is not EOF:
            stream.receive_error(copy.copy(ending))
        elif eof:
            stream.receive_eof()
        events.extend(stream.events())
    except MoondreamError as caught:
        error = caught
    return Outcome(events, error, stream.snapshot)
