"""`HTTP11Exchange` and `SocketStream` against the reference, and in other fragmentations."""

from __future__ import annotations

from typing import Any, Final, NamedTuple

from hypothesis import strategies as st

import sansio_moondream as sm
from fuzz.cases import fine
from fuzz.mutations import insert
from fuzz.reference.http11 import Response, expect
from fuzz.streams import FailedError, check
from sansio_moondream.testing import strategies

LIMIT: Final = 64 * 1024
"""Bytes of the heads of a response together, of a size line, and of the trailers."""
_POST: Final = sm.HTTPRequest("POST", "http://localhost/v1/query", (), b"{}")
_QUERY: Final = sm.QueryRequest(question="?")
_LOCAL: Final = sm.Endpoint("http://localhost/v1")
_ERRORS: Final = {"lost": sm.ConnectionLost, "refused": sm.RemoteProtocolError}


class Exchange(NamedTuple):
    """The bytes of a socket, and whether the server closes it after them."""

    raw: bytes
    eof: bool


_EARLY = st.sampled_from(
    [b"", b"", b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.1 103 Hints\r\nLink: a\r\n\r\n"]
)
_STATUS_LINES = st.sampled_from(
    [b"HTTP/1.1 200 OK\r\n"] * 4
    + [b"HTTP/1.1 200\n", b"HTTP/1.0 200 OK\r\n", b"HTTP/1.1 404 No\r\n"]
    + [b"HTTP/1.1 204 None\r\n", b"HTTP/1.1 304 Same\r\n"]
)
_FIELDS = st.lists(
    st.sampled_from(
        [
            *(b"Content-Type: text/event-stream\r\n", b"Content-Type: application/json\n"),
            *(b"A: b\r\n", b"A:\t\xff \r\n", b"A: b\r\n folded\r\n", b"Connection: a, close\r\n"),
        ]
    ),
    max_size=3,
).map(b"".join)
_CHUNKED = b"Transfer-Encoding: chunked\r\n"
_LENGTHS = st.sampled_from(
    [
        *(_CHUNKED, _CHUNKED, b"transfer-encoding:CHUNKED \r\n", b""),
        *(b"Content-Length: %d\r\n", b"Content-Length: %d, %d\r\n"),
    ]
)
_SIZES = st.sampled_from([b"%x\r\n", b"%x\r\n", b"%X\r\n", b"0%x;a=b\r\n", b"%x \t\r\n"])
_LAST_CHUNKS = st.sampled_from(
    [b"0\r\n\r\n", b"0\r\nA: b\r\n\r\n", b"00;x\r\nC: d\n\n", b"0\r\n\n"]
)
# Lines that are wrong anywhere, or where they come too early, too late or twice.
_ODD_LINES = st.sampled_from(
    [
        *(b"HTTP/1.1 101 Switch\r\n\r\n", b"HTTP/1.1 100 \r\n\r\r\n", b"HT", b"HTTP/2 200 OK\r\n"),
        *(b"HTTP/1.1 099 OK\r\n", b"HTTP/1.1 200OK\r\n", b"HTTP/1.1  200 OK\r\n", b"\r\n", b"\n"),
        *(b" folded\r\n", b"A : b\r\n", b"A b\r\n", b"A: b\rc\r\n", b"A: \x00\r\n", b"\rX", b""),
        *(b"Content-Encoding: gzip\r\n", b"Content-Length: 7\r\n", b"Content-Length: -7\r\n"),
        *(b"Transfer-Encoding: gzip, chunked\r\n", _CHUNKED, b"0\r\n", b"5\n", b"-5\r\n"),
        *(b"5 ;a\r\n", b"5;a" + b";long" * 20 + b"\r\n", b"A: b\r\n" * 9, b"x" * 100),
        b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
    ]
)
_BODIES = (strategies.streams() | strategies.whole_answers()).map(lambda drawn: drawn.data[:300])
_booleans = st.booleans()
_rarely = st.integers(0, 7).map(lambda drawn: drawn == 7)


@st.composite
def exchanges(draw: st.DrawFn) -> Exchange:
    """Generate the bytes of a response, half of them with mutations."""
    length, body = draw(_LENGTHS), draw(_BODIES)
    raw = draw(_EARLY) + draw(_STATUS_LINES) + draw(_FIELDS)
    raw += length.replace(b"%d", b"%d" % len(body)) + b"\r\n"
    if b"chunked" in length.lower():
        for chunk in draw(strategies.fragmentations(body)):
            size = draw(_SIZES).replace(b"%x", b"%x" % len(chunk))
            raw += size.replace(b"%X", b"%X" % len(chunk)) + chunk + b"\r\n"
        raw += draw(_LAST_CHUNKS)
    else:
        raw += body
    if draw(_rarely):
        raw = _padded(draw, raw)
    if draw(_booleans):
        raw = _mutated(draw, raw)
    return Exchange(raw, draw(_booleans))


def _mutated(draw: st.DrawFn, raw: bytes) -> bytes:
    """Change a line or some bytes, or cut the response short."""
    at = draw(st.integers(0, len(raw)))
    match draw(st.integers(0, 5)):
        case 4:
            return raw[:at]
        case 5:
            return insert(raw, at, draw(st.binary(max_size=3)))
        case how:
            lines = raw.splitlines(keepends=True)
            at = draw(st.integers(0, len(lines)))
            lines[at : at + how % 2] = [draw(_ODD_LINES)]
            return b"".join(lines)


def _padded(draw: st.DrawFn, raw: bytes) -> bytes:
    """Make a line, or some lines together, about as long as the limit.

    The padding goes into a value, an extension of a chunk, or nowhere that makes sense.
    """
    ends = [0, *(at + 1 for at, byte in enumerate(raw) if byte == 10)]
    start, end = sorted(draw(st.tuples(st.sampled_from(ends), st.sampled_from(ends))))
    places = [at for at in range(start, end) if raw[at] in b";:\r"] or [start]
    size = LIMIT - (end - start) + draw(st.integers(-1, 2))
    return insert(raw, draw(st.sampled_from(places)), b"x" * max(0, size))


def check_socket(exchange: Exchange, chunks: list[bytes]) -> None:
    """Check one case."""
    expected = expect(exchange.raw, exchange.eof, LIMIT)
    message = None
    for fragments in ([exchange.raw], fine(exchange.raw), chunks):
        error = _check_exchange(exchange, fragments, expected)
        message = message or str(error)
        check(str(error) == message, "another message in other chunks", error, message, exchange)
        _check_socket_stream(exchange, fragments, expected, error)


def _check_exchange(
    case: Exchange, chunks: list[bytes], expected: Response
) -> sm.MoondreamError | None:
    """Return the error of an exchange, after it was compared with the reference."""
    exchange = sm.HTTP11Exchange(_POST)
    exchange.data_to_send()
    events: list[sm.ResponseHead | bytes | sm.Signal] = []
    error = None
    try:
        for chunk in chunks:
            exchange.receive_data(chunk)
            _take_all(exchange, events)
        if case.eof:
            exchange.receive_eof()
        _take_all(exchange, events)
    except sm.MoondreamError as caught:
        error = caught
        check(caught.__context__ is None, "an error with what h11 saw", caught, case)
        _check_same_error(exchange, caught, case)
    heads = [event for event in events if isinstance(event, sm.ResponseHead)]
    head = [(one.status_code, list(one.headers.multi_items())) for one in heads]
    wanted = [] if expected.status is None else [(expected.status, expected.fields)]
    body = b"".join(event for event in events if isinstance(event, bytes))
    about = (events, error, expected, case, chunks)
    check(head == wanted and heads == events[: len(heads)], "another head", *about)
    check(body == expected.body, "another body", *about)
    check((type(error) if error else None) == _ERRORS.get(expected.end), "another end", *about)
    finished = any(event is sm.FINISHED for event in events)
    check(finished == (expected.end == "finished"), "finished is not so", *about)
    check(exchange.reusable == expected.reusable, "reusable is not so", *about)
    return error


def _take_all(
    exchange: sm.HTTP11Exchange, events: list[sm.ResponseHead | bytes | sm.Signal]
) -> None:
    while (event := exchange.next_event()) is not sm.NEED_DATA:
        check(event is sm.FINISHED or sm.FINISHED not in events, "an event after the end", events)
        if event is sm.FINISHED and sm.FINISHED in events:
            return
        events.append(event)


def _check_same_error(
    exchange: sm.HTTP11Exchange, error: sm.MoondreamError, case: Exchange
) -> None:
    try:
        exchange.next_event()
    except sm.MoondreamError as again:
        check(again is error, "another error after the error", again, error, case)
    else:
        raise FailedError(f"no error after the error\n  {case}")


def _check_socket_stream(
    case: Exchange, chunks: list[bytes], expected: Response, error: sm.MoondreamError | None
) -> None:
    """Compare with what a `ResponseStream` makes of the head, the body and the end."""
    stream = sm.SocketStream(_QUERY, _LOCAL)
    stream.data_to_send()
    for chunk in chunks:
        stream.receive_data(chunk)
    if case.eof:
        stream.receive_eof()
    plain = sm.ResponseStream(_QUERY, sent=_QUERY.to_http(_LOCAL))
    if expected.status is not None:
        plain.receive_response(expected.status, expected.fields)
        plain.receive_data(expected.body)
    if expected.end == "finished":
        plain.receive_eof()
    elif error is not None:
        plain.receive_error(type(error)(error.message))
    outcomes = [_outcome(stream), _outcome(plain)]
    about = (*outcomes, expected, case, chunks)
    check(outcomes[0] == outcomes[1], "SocketStream has another outcome", *about)
    check(stream.reusable == expected.reusable, "SocketStream.reusable is not so", *about)


def _outcome(stream: sm.SocketStream[Any] | sm.ResponseStream[Any]) -> tuple[object, ...]:
    events: list[sm.Event] = []
    error = None
    try:
        events.extend(stream.events())
    except sm.MoondreamError as caught:
        error = caught
    about = error and (type(error), str(error), vars(error))
    return events, about, stream.snapshot, stream.state, stream.request_id
