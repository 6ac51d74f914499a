"""Faults as data: what a server does, and what the user must see, the same on every transport.

Each case begins with its number in the table of faults, where cases of one kind have one number.
`F1` is a stream that is right up to there: five text events."""

from __future__ import annotations

import gzip
import json
import socket
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from moondream_transports import Timeouts
from sansio_moondream import (
    APIError,
    ConnectionLost,
    EncodedImage,
    FirstEventTimeout,
    IdleTimeout,
    IncompleteStream,
    LimitExceeded,
    Limits,
    MoondreamError,
    NotFoundError,
    PayloadTooLargeError,
    QueryRequest,
    RateLimitError,
    RemoteProtocolError,
    ServerError,
    TextDelta,
    TotalTimeout,
)

from ._case import expect
from ._fault_server import CHUNKED, EVENT_STREAM, LAST_CHUNK, Peer, Script, chunk, head


def record(message: object) -> bytes:
    """One record as the servers write it."""
    return b"data: " + json.dumps(message).encode() + b"\n\n"


def delta(text: str, token_index: int | None = None) -> bytes:
    """A chunk of the answer."""
    return record({"chunk": text, "completed": False, "token_index": token_index})


END = record({"chunk": "", "completed": True})
WORDS = ("The", " moon", " over", " the", " sea")
DELTAS = [delta(word, index) for index, word in enumerate(WORDS)]
EVENTS = [TextDelta(word, index) for index, word in enumerate(WORDS)]
F1 = (head(), *map(chunk, DELTAS))
F1_AT_ONCE = b"".join(F1)  # where a short deadline follows: on a busy machine segments come apart
WHOLE_BODY = b"".join(DELTAS) + END
TEXT = "".join(WORDS)
QUERY = QueryRequest(question="What is in this image?")
LARGE = QueryRequest(
    question="What is this?", image=EncodedImage("data:image/png;base64," + "A" * 13_000_000)
)
PLAIN = head(headers=EVENT_STREAM)  # its body ends where the connection does
QUICK = Timeouts(connect=5, first_event=0.25, idle=0.25, total=5)
IDLE = Timeouts(
    connect=5, first_event=5, idle=0.25, total=5
)  # machines may be busy: only what is tested is short


@dataclass(frozen=True)
class HTTPFault:
    """One case: the script of the server, how many of the five events come out, and the error, None
    where the answer is whole.
    """

    case: int
    name: str
    script: Script
    events: int = 0
    error: type[MoondreamError] | None = None
    timeouts: Timeouts = field(default_factory=Timeouts)
    about: dict[str, Any] = field(default_factory=dict[str, Any])  # attributes that the error has
    limits: Limits | None = None
    text: str | None = None  # of the whole answer, where it is another one than of the five events
    keeps: bool = False  # the body was read to its end, so the connection may be kept

    @property
    def id(self) -> str:
        return f"{self.case}: {self.name}"


def answers(*segments: bytes, then: Callable[[Peer], object] = lambda _peer: None) -> Script:
    """Read the request, send the segments, go on with `then`, close."""

    def script(peer: Peer) -> None:
        peer.answer(*segments)
        then(peer)

    return script


def sized(
    body: bytes,
    *,
    length: int | None = None,
    status_code: int = 200,
    kind: str = "text/event-stream",
    **more: str,
) -> bytes:
    """A response with a Content-Length; `more` headers have underscores for hyphens."""
    headers = {"Content-Type": kind, "Content-Length": str(len(body) if length is None else length)}
    return (
        head(
            status_code,
            (headers | {name.replace("_", "-"): value for name, value in more.items()}).items(),
        )
        + body
    )


wait, reset = Peer.wait_until_closed, Peer.reset


def _reset_after_events(peer: Peer) -> None:
    for _ in EVENTS:  # a reset may overtake what was sent before it
        peer.wait_for_event()
    peer.reset()


def _apart(segments: Sequence[bytes], seconds: float = 0.001) -> Callable[[Peer], None]:
    """Send them with pauses, so that they come apart."""

    def then(peer: Peer) -> None:
        for segment in segments:
            expect(
                not peer.is_closed_within(seconds),
                "the client to wait for more",
                "it closed its connection",
            )
            peer.send(segment)

    return then


def _for_ever(data: bytes, every: float = 0.0) -> Callable[[Peer], None]:
    return lambda peer: peer.send_for_ever(data, every)


def _bytes_of(body: bytes) -> list[bytes]:
    """Each byte of a body, but for the line ends behind the answer:

    a client may close before them.
    """
    *most, last = (body[at : at + 1] for at in range(body.rindex(b"}") + 1))
    return [*most, last + body[len(most) + 1 :]]


def _slowly(peer: Peer) -> None:
    """Read a large request with little room for it, so that the sender has to wait again and again;
    then answer whole.
    """
    peer.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 64 * 1024)
    peer.answer(*F1, chunk(END), LAST_CHUNK)


def _early_413(peer: Peer) -> None:
    """Builder and close while most of the request is unread, which resets the connection under the
    sender.
    """
    peer.sock.recv(1000)
    peer.send(sized(b'{"error": "too large"}', status_code=413, kind="application/json"))


def connection_faults() -> Iterator[HTTPFault]:
    """Rows 5 to 16: the connection, and the body's end."""
    lost = ConnectionLost
    yield HTTPFault(5, "closes before any byte of the head", answers(), 0, lost)
    yield HTTPFault(5, "closes in the middle of the status line", answers(b"HTTP/1.1 20"), 0, lost)
    yield HTTPFault(
        5,
        "closes in the middle of the head",
        answers(b"HTTP/1.1 200 OK\r\nContent-Type: text/ev"),
        0,
        lost,
    )
    yield HTTPFault(5, "closes before the head's blank line", answers(head()[:-2]), 0, lost)
    yield HTTPFault(
        5,
        "garbage instead of a head",
        answers(b"SSH-2.0-OpenSSH_9.9\r\n\r\n"),
        0,
        RemoteProtocolError,
    )
    yield HTTPFault(6, "silent before the head", answers(then=wait), 0, FirstEventTimeout, QUICK)
    yield HTTPFault(
        6, "silent in the head", answers(head()[:20], then=wait), 0, FirstEventTimeout, QUICK
    )
    yield HTTPFault(
        6, "silent after the head", answers(head(), then=wait), 0, FirstEventTimeout, QUICK
    )
    comment = chunk(b": wait\n\n")
    yield HTTPFault(
        6,
        "only comments",
        answers(head(), then=_for_ever(comment, 0.01)),
        0,
        FirstEventTimeout,
        QUICK,
    )
    yield HTTPFault(
        6,
        "a flood of comments",
        answers(head(), then=_for_ever(comment * 99)),
        0,
        FirstEventTimeout,
        QUICK,
    )
    yield HTTPFault(7, "FIN between chunks", answers(*F1), 5, lost)
    yield HTTPFault(7, "FIN inside a chunk", answers(*F1, b"50\r\ndata: {"), 5, lost)
    yield HTTPFault(7, "FIN inside a chunk's size", answers(*F1, b"5"), 5, lost)
    yield HTTPFault(8, "RST", answers(*F1, then=_reset_after_events), 5, lost)
    yield HTTPFault(
        9, "Content-Length body cut short", answers(sized(b"".join(DELTAS), length=1000)), 5, lost
    )
    yield HTTPFault(10, "close-delimited body ends", answers(PLAIN, *DELTAS), 5, IncompleteStream)
    yield HTTPFault(
        10, "chunked body ends without end of stream", answers(*F1, LAST_CHUNK), 5, IncompleteStream
    )
    yield HTTPFault(10, "empty stream", answers(head(), LAST_CHUNK), 0, IncompleteStream)
    yield HTTPFault(11, "silence", answers(F1_AT_ONCE, then=wait), 5, IdleTimeout, IDLE)
    yield HTTPFault(
        11,
        "half a line and silence",
        answers(F1_AT_ONCE + b"50\r\ndata: {", then=wait),
        5,
        IdleTimeout,
        IDLE,
    )
    yield HTTPFault(
        11,
        "half a chunk's size and silence",
        answers(F1_AT_ONCE + b"5", then=wait),
        5,
        IdleTimeout,
        IDLE,
    )
    dribble = Timeouts(idle=1, total=1.5)
    yield HTTPFault(
        12,
        "comments for ever",
        answers(F1_AT_ONCE, then=_for_ever(comment, 0.02)),
        5,
        TotalTimeout,
        dribble,
    )
    yield HTTPFault(
        13, "byte by byte", answers(PLAIN, then=_apart(_bytes_of(DELTAS[0] + END), 0.003)), 1
    )
    whole = (*F1, chunk(END))
    yield HTTPFault(14, "end of stream, then silence", answers(*whole, then=wait), 5)
    yield HTTPFault(15, "end of stream, then RST", answers(*whole, then=reset), 5)
    yield HTTPFault(15, "end of stream, then garbage", answers(*whole, b"\0garbage", then=wait), 5)
    yield HTTPFault(
        15,
        "end of stream, then a second response",
        answers(*whole, LAST_CHUNK, *F1, then=wait),
        5,
        keeps=True,
    )
    yield HTTPFault(
        15, "end of stream, then more events", answers(*whole, chunk(DELTAS[0]), LAST_CHUNK), 5
    )
    yield HTTPFault(16, "last event without its blank line", answers(sized(WHOLE_BODY[:-1])), 5)
    yield HTTPFault(16, "last event without any line end", answers(sized(WHOLE_BODY[:-2])), 5)


def error_answers() -> Iterator[HTTPFault]:
    """Rows 17 to 23: answers that are errors, or none at all.

    One of each kind: the core decodes them, and its tests have the others.
    """
    no = {"message": "no"}
    refusal = sized(
        b'{"error": {"message": "no", "type": "t"}}', status_code=404, kind="application/json"
    )
    yield HTTPFault(
        17, "404, JSON object", answers(refusal), 0, NotFoundError, about={"status_code": 404, **no}
    )
    about: dict[str, Any] = {"status_code": 503, "message": "(it gave no reason)"}
    yield HTTPFault(
        17,
        "503, empty",
        answers(sized(b"", status_code=503, kind="text/plain")),
        0,
        ServerError,
        about=about,
    )
    failing = head(500, (("Content-Type", "text/plain"), ("Transfer-Encoding", "chunked")))
    about = {"status_code": 500}
    endless = answers(failing, then=_for_ever(chunk(b"sorry " * 999)))
    yield HTTPFault(18, "500 with an endless body", endless, 0, ServerError, about=about)
    yield HTTPFault(
        18,
        "500 with a body that stalls",
        answers(failing + chunk(b"sorry"), then=wait),
        0,
        ServerError,
        IDLE,
        about,
    )
    script = answers(sized(b"", status_code=429, Retry_After="7"))
    yield HTTPFault(19, "Retry-After: 7", script, 0, RateLimitError, about={"retry_after": 7.0})
    for status_code in (301, 302, 307, 308):
        for place in ("/elsewhere", "http://other.test/v1/query"):
            script = answers(sized(b"", status_code=status_code, Location=place))
            yield HTTPFault(
                20,
                f"{status_code} to {place}",
                script,
                0,
                APIError,
                about={"status_code": status_code},
            )
    script = answers(sized(b'{"error": {"message": "no"}}', kind="application/json"))
    yield HTTPFault(
        21, "200 with an error as JSON", script, 0, APIError, about={"status_code": 200, **no}
    )
    yield HTTPFault(22, "204", answers(head(204, ())), 0, RemoteProtocolError)
    yield HTTPFault(
        22,
        "200 with no body",
        answers(head(200, [("Content-Length", "0")])),
        0,
        RemoteProtocolError,
    )
    refusal = record({"error": {"message": "no", "type": "rate_limit_error"}})
    about = {"status_code": 200, **no}
    yield HTTPFault(
        23,
        "in-stream error",
        answers(*F1, chunk(refusal), then=wait),
        5,
        RateLimitError,
        about=about,
    )


_SMALL = Limits(max_record_bytes=64 * 1024, max_text_bytes=64 * 1024)


def contradictions() -> Iterator[HTTPFault]:
    """Rows 24 and 25: what is no message, and what never ends. One of each kind, as above."""
    yield HTTPFault(
        24,
        "invalid JSON",
        answers(*F1, chunk(b'data: {"chunk": "The\n\n'), then=wait),
        5,
        RemoteProtocolError,
    )
    filler = b"x" * 9000
    endless = answers(*F1, chunk(b"data: " + filler), then=_for_ever(chunk(filler)))
    yield HTTPFault(25, "a record that never ends", endless, 5, LimitExceeded, limits=_SMALL)


_TELLTALE = '月の光 🌙 👩\u200d🚀 café\r\n "C:\\tmp"'


def spellings() -> Iterator[HTTPFault]:
    """Rows 26 to 30: the same stream, spelled as a server may spell it.

    One of each kind, as above.
    """
    stream = b"".join(DELTAS) + END
    mixed = stream.replace(b"\n\n", b"\r\r", 1).replace(b"\n\n", b"\r\n\n", 1)
    yield HTTPFault(26, "mixed line ends", answers(head(), chunk(mixed), LAST_CHUNK), 5)
    for name, message in {
        "characters": json.dumps({"chunk": _TELLTALE}, ensure_ascii=False).encode(),
        "escapes": json.dumps({"chunk": _TELLTALE}).encode(),
    }.items():
        body = (b"data: " + message + b"\n\n" + END).replace(b"\n", b"\r\n")
        chunks = map(chunk, _bytes_of(body))
        yield HTTPFault(
            27,
            f"{name} cut at every byte by chunks",
            answers(head(), *chunks, LAST_CHUNK),
            text=_TELLTALE,
        )
        yield HTTPFault(
            27,
            f"{name} cut at every byte by TCP",
            answers(PLAIN, then=_apart(_bytes_of(body))),
            text=_TELLTALE,
        )
    odd = "one\u2028two\u2029three\x85four"
    body = b"data: " + json.dumps({"chunk": odd}, ensure_ascii=False).encode() + b"\n\n" + END
    yield HTTPFault(28, "line separators of Unicode", answers(sized(body)), text=odd)
    moon = b"data: " + json.dumps({"chunk": "月"}, ensure_ascii=False).encode() + b"\n\n" + END
    yield HTTPFault(
        30,
        "charset=iso-8859-1",
        answers(sized(moon, kind="text/event-stream; charset=iso-8859-1")),
        text="月",
    )


def codings_and_framings() -> Iterator[HTTPFault]:
    """Rows 29 to 36: what HTTP does around the body."""
    for coding, bits in (("gzip", 31), ("deflate", 15)):
        yield HTTPFault(29, f"{coding}, flushed for each event", _flushed(coding, bits), 5)
    yield HTTPFault(29, "gzip bomb", _bomb, 0, LimitExceeded)
    yield HTTPFault(
        29, "br", answers(sized(b"\x0b\x02", Content_Encoding="br")), 0, RemoteProtocolError
    )
    yield HTTPFault(
        31,
        "100 and 103 before the head",
        answers(head(100, ()), head(103, [("Link", "</a>")]), *F1, chunk(END), LAST_CHUNK),
        5,
    )
    trailing = b"0\r\nX-Trailer: 1\r\n\r\n"
    extended = [b"%x;a=b\r\n%b\r\n" % (len(data), data) for data in (*DELTAS, END)]
    yield HTTPFault(31, "chunk extensions and trailers", answers(head(), *extended, trailing), 5)
    huge = head(headers=[*EVENT_STREAM, *((f"X-{number}", "x" * 10_000) for number in range(100))])
    many = head(headers=[*EVENT_STREAM, *((f"X-{number}", "1") for number in range(199))])
    yield HTTPFault(31, "200 header fields", answers(many, WHOLE_BODY), 5)
    yield HTTPFault(31, "head of 1 MB", answers(huge, WHOLE_BODY), 0, RemoteProtocolError)
    yield HTTPFault(
        32,
        "HTTP/1.0, close-delimited",
        answers(PLAIN.replace(b"HTTP/1.1", b"HTTP/1.0") + WHOLE_BODY),
        5,
    )
    yield HTTPFault(35, "reads a large request slowly", _slowly, 5)
    yield HTTPFault(
        34,
        "space before a colon",
        answers(sized(WHOLE_BODY).replace(b"Content-Length:", b"Content-Length :")),
        0,
        RemoteProtocolError,
    )
    yield HTTPFault(36, "413 before it has read the request", _early_413, 0, PayloadTooLargeError)


@cache
def _packed() -> bytes:
    return gzip.compress(b'data: {"chunk": "' + b" " * 60_000_000)


def _bomb(peer: Peer) -> None:
    peer.answer(sized(_packed(), Content_Encoding="gzip"))


def _flushed(coding: str, bits: int) -> Script:
    def script(peer: Peer) -> None:
        peer.answer(head(headers=[*CHUNKED, ("Content-Encoding", coding)]))
        packer = zlib.compressobj(wbits=bits)
        for data in DELTAS:
            peer.send(chunk(packer.compress(data) + packer.flush(zlib.Z_SYNC_FLUSH)))
            peer.wait_for_event()
        peer.send(chunk(packer.compress(END) + packer.flush()) + LAST_CHUNK)

    return script


FAULTS = [
    *connection_faults(),
    *error_answers(),
    *contradictions(),
    *spellings(),
    *codings_and_framings(),
]
