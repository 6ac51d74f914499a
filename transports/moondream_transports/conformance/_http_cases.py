"""Rows 7, 20 and 34 of the table of faults, and the request and the events on the wire."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

from sansio_moondream import (
    APIError,
    BBox,
    Completed,
    ConnectionLost,
    EncodedImage,
    Endpoint,
    PathChunk,
    QueryResult,
    RemoteProtocolError,
    SegmentRequest,
    SegmentResult,
)

from ._backend import Backend
from ._case import Case
from ._expect import describe, expect, shortened
from ._fault_cases import exchange
from ._fault_server import CHUNKED, EVENT_STREAM, LAST_CHUNK, Peer, Script, chunk, head
from ._faults import DELTAS, END, EVENTS, F1, QUERY, TEXT, WHOLE_BODY, answers, record, sized, wait
from ._secrets import KEY

_SEGMENT = SegmentRequest(
    image=EncodedImage("data:image/gif;base64,R0lGODlhAQABAAAAACw="), object="moon"
)


def http_cases() -> Iterator[Case]:
    """Rows 7, 20 and 34, and what is on the wire."""
    yield Case("wire: the request has no header too many and none too few", _request_on_the_wire)
    yield Case(
        "wire: each event is out before the next byte is sent", _each_event_before_the_next_byte
    )
    yield Case(
        "wire: each chunk of a path is out before the next byte is sent", _each_chunk_of_a_path
    )
    for name, broken in {
        "zz": b"zz\r\n" + DELTAS[0],
        "-5": b"-5\r\n" + END,
        "an empty line": b"\r\n" + END,
        "200,000 digits": b"5" * 200_000,
    }.items():
        yield Case(f"7: server sends {name} as the size of a chunk", partial(_broken_chunk, broken))
    for status_code in (301, 302, 303, 307, 308):
        for where in ("the same", "another"):
            yield Case(
                f"20: server redirects with {status_code} to {where} host",
                partial(_redirect, status_code, where),
            )
    for name, segments in _REFUSED.items():
        yield Case(
            f"34: server sends {name}, to be refused",
            partial(_doubtful_head, RemoteProtocolError, segments),
        )
    for name, segments in _ACCEPTED.items():
        yield Case(
            f"34: server sends {name}, to be accepted",
            partial(_doubtful_head, QueryResult, segments),
        )


async def _outcome_of(
    backend: Backend, script: Script, request: Any = QUERY
) -> tuple[list[Any], Any]:
    async with backend.server(script) as server, backend.transport() as transport:
        outcome = await exchange(backend, transport, server, request)
        await backend.expect_closed(server)
        return outcome


async def _request_on_the_wire(backend: Backend) -> str:
    """It has the given headers and those of HTTP, no header of the library, and no cookie."""
    requests: list[tuple[bytes, bytes]] = []

    def script(peer: Peer) -> None:
        for _ in range(2):
            requests.append(peer.read_request())
            peer.send(sized(WHOLE_BODY, Set_Cookie="moon=full; Path=/"))

    kept = ""
    async with backend.server(script) as server, backend.transport() as transport:
        endpoint = Endpoint(url=server.url, api_key=KEY, headers={"X-Team": "vision"})
        http = QUERY.to_http(endpoint, stream=False)
        asked = [
            *http.headers,
            ("Host", f"localhost:{server.port}"),
            ("Content-Length", str(len(http.body))),
        ]
        expected = sorted((name.lower(), value) for name, value in asked)
        for turn in range(2):
            await backend.client(transport, endpoint).send(QUERY)
            line, *lines = requests[turn][0].decode("latin-1").split("\r\n")
            expect(
                line == "POST /v1/query HTTP/1.1",
                "the request line 'POST /v1/query HTTP/1.1'",
                repr(line),
            )
            sent = [
                (name.lower(), value)
                for name, _, value in (field.partition(": ") for field in lines)
            ]
            kept = dict(sent).get("connection", "keep-alive")
            expect(
                kept in ("keep-alive", "close"),
                "Connection: keep-alive, or close, or no such header",
                kept,
            )
            received = sorted(field for field in sent if field[0] != "connection")
            more, less = (
                [field for field in one if field not in other]
                for one, other in ((received, expected), (expected, received))
            )
            differs = (
                f"more: {more}; less: {less}" if more or less else f"one of them twice: {received}"
            )
            expect(
                received == expected,
                f"these headers: {expected}",
                f"{differs}{', in the second request' * turn}",
            )
            expect(
                requests[turn][1] == http.body,
                f"the body {shortened(http.body)}",
                shortened(requests[turn][1]),
            )
    return f"Connection: {kept}"


async def _each_chunk_of_a_path(backend: Backend) -> None:
    box = record({"type": "bbox", "bbox": {"x_min": 0, "y_min": 0, "x_max": 1, "y_max": 1}})
    path = [
        record({"type": "path_delta", "chunk": data, "completed": False})
        for data in ("M 0 0", " L 1 1")
    ]

    def segment(peer: Peer) -> None:
        peer.answer(head())
        for message in (box, *path):
            peer.send(chunk(message)[:-2])  # without the line end that closes the chunk
            peer.wait_for_event()
            peer.send(b"\r\n")
        peer.send(chunk(record({"type": "final", "completed": True, "path": "M0,0z"})) + LAST_CHUNK)

    events, outcome = await _outcome_of(backend, segment, _SEGMENT)
    right = [type(event) for event in events] == [
        BBox,
        PathChunk,
        PathChunk,
        Completed,
    ] and isinstance(outcome, SegmentResult)
    expect(
        right and outcome.path == "M0,0z",
        "a BBox, two PathChunks and the path 'M0,0z'",
        f"{shortened(events)}, then {describe(outcome)}",
    )


async def _each_event_before_the_next_byte(backend: Backend) -> None:
    def query(peer: Peer) -> None:
        peer.answer(head(headers=EVENT_STREAM))
        for message in DELTAS:
            peer.send(message)
            peer.wait_for_event()
        peer.send(END)
        peer.wait_for_event()
        peer.wait_until_closed()

    events, outcome = await _outcome_of(backend, query)
    right = isinstance(outcome, QueryResult) and events == [*EVENTS, Completed(outcome)]
    expect(
        right,
        "5 events, each at once, then the whole answer",
        f"{shortened(events)}, then {describe(outcome)}",
    )


def _fields(count: int) -> bytes:
    return head(headers=[*EVENT_STREAM, *((f"X-{number}", "1") for number in range(count - 1))])


_TWO_LENGTHS = [*EVENT_STREAM, ("Content-Length", str(len(WHOLE_BODY))), ("Content-Length", "7")]
_BOTH = [*CHUNKED, ("Content-Length", "7")]
# These could smuggle in a second response.
_REFUSED: dict[str, tuple[bytes, ...]] = {
    "both Content-Length and chunked": (head(headers=_BOTH), chunk(WHOLE_BODY), LAST_CHUNK),
    "two different lengths, the right one first": (head(headers=_TWO_LENGTHS), WHOLE_BODY),
    "two different lengths, the wrong one first": (head(headers=_TWO_LENGTHS[::-1]), WHOLE_BODY),
    "a header field without a colon": (
        sized(WHOLE_BODY).replace(b"Content-Length:", b"Content-Length"),
    ),
}
# These do no harm.
_ACCEPTED: dict[str, tuple[bytes, ...]] = {
    "LF as line ends of the head": (sized(WHOLE_BODY).replace(b"\r\n", b"\n"),),
    "the same length twice": (
        head(headers=[*EVENT_STREAM, *[("Content-Length", str(len(WHOLE_BODY)))] * 2]),
        WHOLE_BODY,
    ),
    "99 header fields": (_fields(99), WHOLE_BODY),
}


async def _doubtful_head(
    expected: type[Any], segments: tuple[bytes, ...], backend: Backend
) -> None:
    _, outcome = await _outcome_of(backend, answers(*segments))
    expect(
        type(outcome) is expected,
        "the whole answer" if expected is QueryResult else expected.__name__,
        describe(outcome),
    )


async def _broken_chunk(broken: bytes, backend: Backend) -> None:
    """Such an answer is never whole, and the client never waits for more."""
    events, error = await _outcome_of(backend, answers(*F1, broken, then=wait))
    partial = getattr(getattr(error, "partial", None), "text", None)
    right = (
        events == EVENTS
        and type(error) in (ConnectionLost, RemoteProtocolError)
        and partial == TEXT
    )
    received = f"{shortened(events)}, then {describe(error)}, with {partial!r} in its .partial"
    expect(
        right,
        f"5 events, then ConnectionLost or RemoteProtocolError, with {TEXT!r} in its .partial",
        received,
    )


async def _redirect(status_code: int, where: str, backend: Backend) -> None:
    followed: list[bytes] = []

    def elsewhere(peer: Peer) -> None:
        followed.append(peer.read_request()[0])
        peer.send(sized(WHOLE_BODY))

    async with backend.server(elsewhere) as other:
        target = "/v1/moved" if where == "the same" else f"{other.url}/moved"
        _, error = await _outcome_of(
            backend, answers(sized(b"", status_code=status_code, Location=target))
        )
        expect(
            not followed,
            "the redirect not to be followed",
            f"a request at its target: {shortened(followed)}",
        )
    right = type(error) is APIError and error.status_code == status_code and target in str(error)
    expect(right, f"APIError with status_code {status_code} that names {target}", describe(error))
