"""Rows 17 to 36 of the table of faults: error answers, spellings, and what HTTP does to a body.

The core decodes all of this, and its own tests have every form. Here is one form of each kind, to
show that the transport hands it over.
"""

from __future__ import annotations

import gzip
import json
import socket
import zlib
from collections.abc import Iterator
from functools import cache
from typing import Any

from moondream_transports import Timeouts
from sansio_moondream import (
    APIError,
    LimitExceeded,
    Limits,
    NotFoundError,
    PayloadTooLargeError,
    RateLimitError,
    RemoteProtocolError,
    ServerError,
)

from ._fault_server import CHUNKED, EVENT_STREAM, LAST_CHUNK, Peer, Script, chunk, head
from ._faults import (
    CLOSE_DELIMITED,
    DELTAS,
    END,
    F1,
    LARGE,
    WHOLE_BODY,
    HTTPFault,
    answers,
    bytes_of,
    record,
    repeatedly,
    sent_apart,
    sized,
    wait,
)

_IDLE = Timeouts(connect=5, first_event=5, idle=0.25, total=5)
_SMALL = Limits(max_record_bytes=64 * 1024, max_text_bytes=64 * 1024)
_MOON = '月の光 🌙 👩\u200d🚀 café\r\n "C:\\tmp"'
_JSON = "application/json"


def answer_faults() -> Iterator[HTTPFault]:
    """Rows 17 to 36."""
    yield from _error_answers()
    yield from _no_answers()
    yield from _spellings()
    yield from _codings()
    yield from _framings()


def _error_answers() -> Iterator[HTTPFault]:
    refusal = b'{"error": {"message": "no", "type": "t"}}'
    script = answers(sized(refusal, status_code=404, kind=_JSON))
    about: dict[str, Any] = {"status_code": 404, "message": "no"}
    yield HTTPFault(17, "answers 404 with a JSON object", script, 0, NotFoundError, about=about)
    script = answers(sized(b"", status_code=503, kind="text/plain"))
    about = {"status_code": 503, "message": "(it gave no reason)"}
    yield HTTPFault(17, "answers 503 with an empty body", script, 0, ServerError, about=about)
    failing = head(500, (("Content-Type", "text/plain"), ("Transfer-Encoding", "chunked")))
    about = {"status_code": 500}
    script = answers(failing, then=repeatedly(chunk(b"sorry " * 999)))
    yield HTTPFault(18, "answers 500 with an endless body", script, 0, ServerError, about=about)
    script = answers(failing + chunk(b"sorry"), then=wait)
    name = "answers 500 with a body that stalls"
    yield HTTPFault(18, name, script, 0, ServerError, _IDLE, about)
    script = answers(sized(b"", status_code=429, Retry_After="7"))
    about = {"retry_after": 7.0}
    yield HTTPFault(19, "answers 429 with Retry-After: 7", script, 0, RateLimitError, about=about)
    script = answers(sized(b"", status_code=307, Location="/elsewhere"))
    about = {"status_code": 307}
    yield HTTPFault(20, "answers 307 with a path as Location", script, 0, APIError, about=about)
    script = answers(sized(b'{"error": {"message": "no"}}', kind=_JSON))
    about = {"status_code": 200, "message": "no"}
    yield HTTPFault(21, "answers 200 with an error as JSON", script, 0, APIError, about=about)


def _no_answers() -> Iterator[HTTPFault]:
    yield HTTPFault(22, "answers 204", answers(head(204, ())), 0, RemoteProtocolError)
    script = answers(head(200, [("Content-Length", "0")]))
    yield HTTPFault(22, "answers 200 without a body", script, 0, RemoteProtocolError)
    refusal = chunk(record({"error": {"message": "no", "type": "rate_limit_error"}}))
    about = {"status_code": 200, "message": "no"}
    script = answers(*F1, refusal, then=wait)
    yield HTTPFault(23, "sends an error in the stream", script, 5, RateLimitError, about=about)
    script = answers(*F1, chunk(b'data: {"chunk": "The\n\n'), then=wait)
    yield HTTPFault(24, "sends invalid JSON", script, 5, RemoteProtocolError)
    filler = b"x" * 9000
    script = answers(*F1, chunk(b"data: " + filler), then=repeatedly(chunk(filler)))
    yield HTTPFault(25, "sends a record that never ends", script, 5, LimitExceeded, limits=_SMALL)


def _spellings() -> Iterator[HTTPFault]:
    stream = b"".join(DELTAS) + END
    mixed = stream.replace(b"\n\n", b"\r\r", 1).replace(b"\n\n", b"\r\n\n", 1)
    script = answers(head(), chunk(mixed), LAST_CHUNK)
    yield HTTPFault(26, "mixes CR, LF and CR LF as line ends", script, 5)
    for what, message in {
        "multi-byte characters": json.dumps({"chunk": _MOON}, ensure_ascii=False).encode(),
        "JSON escapes": json.dumps({"chunk": _MOON}).encode(),
    }.items():
        body = bytes_of((b"data: " + message + b"\n\n" + END).replace(b"\n", b"\r\n"))
        script = answers(head(), *map(chunk, body), LAST_CHUNK)
        yield HTTPFault(27, f"cuts {what} at every byte, in chunks", script, text=_MOON)
        script = answers(CLOSE_DELIMITED, then=sent_apart(body))
        yield HTTPFault(27, f"cuts {what} at every byte, in TCP segments", script, text=_MOON)
    text = "one\u2028two\u2029three\x85four"
    script = answers(sized(_unescaped(text)))
    yield HTTPFault(28, "sends the line separators of Unicode in a text", script, text=text)
    script = answers(sized(_unescaped("月"), kind="text/event-stream; charset=iso-8859-1"))
    yield HTTPFault(30, "declares UTF-8 as charset=iso-8859-1", script, text="月")


def _codings() -> Iterator[HTTPFault]:
    for coding, bits in (("gzip", 31), ("deflate", 15)):
        script = _flushed(coding, bits)
        yield HTTPFault(29, f"sends {coding}, flushed after each event", script, 5)
    yield HTTPFault(29, "sends a gzip bomb", _send_bomb, 0, LimitExceeded)
    script = answers(sized(b"\x0b\x02", Content_Encoding="br"))
    yield HTTPFault(29, "sends Content-Encoding: br", script, 0, RemoteProtocolError)
    for coding in ("none", "utf-8", "identity, identity"):
        script = answers(sized(WHOLE_BODY, Content_Encoding=coding))
        yield HTTPFault(29, f"sends Content-Encoding: {coding}", script, 5)
    script = answers(head(headers=EVENT_STREAM * 2), WHOLE_BODY)
    yield HTTPFault(30, "sends its Content-Type twice", script, 5)
    script = answers(sized(b'{"answer": "one two"}'))
    yield HTTPFault(30, "labels JSON as text/event-stream", script, text="one two")


def _framings() -> Iterator[HTTPFault]:
    early = (head(100, ()), head(103, [("Link", "</a>")]))
    script = answers(*early, *F1, chunk(END), LAST_CHUNK)
    yield HTTPFault(31, "sends 100 and 103 before the head", script, 5)
    extended = [b"%x;a=b\r\n%b\r\n" % (len(data), data) for data in (*DELTAS, END)]
    script = answers(head(), *extended, b"0\r\nX-Trailer: 1\r\n\r\n")
    yield HTTPFault(31, "sends chunk extensions and a trailer", script, 5)
    many = head(headers=[*EVENT_STREAM, *((f"X-{number}", "1") for number in range(199))])
    yield HTTPFault(31, "sends 200 header fields", answers(many, WHOLE_BODY), 5)
    huge = head(headers=[*EVENT_STREAM, *((f"X-{number}", "x" * 10_000) for number in range(100))])
    script = answers(huge, WHOLE_BODY)
    yield HTTPFault(31, "sends a head of 1 MB", script, 0, RemoteProtocolError)
    script = answers(CLOSE_DELIMITED.replace(b"HTTP/1.1", b"HTTP/1.0") + WHOLE_BODY)
    yield HTTPFault(32, "answers in HTTP/1.0 and closes at the end", script, 5)
    script = answers(sized(WHOLE_BODY).replace(b"Content-Length:", b"Content-Length :"))
    name = "sends a space before the colon of Content-Length"
    yield HTTPFault(34, name, script, 0, RemoteProtocolError)
    yield HTTPFault(35, "reads a large request slowly", _read_slowly, 5, request=LARGE)
    name = "answers 413 before it has read the request"
    yield HTTPFault(36, name, _answer_early, 0, PayloadTooLargeError, request=LARGE)


def _unescaped(text: str) -> bytes:
    return b"data: " + json.dumps({"chunk": text}, ensure_ascii=False).encode() + b"\n\n" + END


@cache
def _bomb() -> bytes:
    return gzip.compress(b'data: {"chunk": "' + b" " * 60_000_000)


def _send_bomb(peer: Peer) -> None:
    peer.answer(sized(_bomb(), Content_Encoding="gzip"))


def _flushed(coding: str, bits: int) -> Script:
    def script(peer: Peer) -> None:
        peer.answer(head(headers=[*CHUNKED, ("Content-Encoding", coding)]))
        packer = zlib.compressobj(wbits=bits)
        for data in DELTAS:
            peer.send(chunk(packer.compress(data) + packer.flush(zlib.Z_SYNC_FLUSH)))
            peer.wait_for_event()
        peer.send(chunk(packer.compress(END) + packer.flush()) + LAST_CHUNK)

    return script


def _read_slowly(peer: Peer) -> None:
    """Read with a small buffer, so that the sender has to wait again and again. Then answer."""
    peer.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 64 * 1024)
    peer.answer(*F1, chunk(END), LAST_CHUNK)


def _answer_early(peer: Peer) -> None:
    """Answer and close before the request is read. That resets the connection under the sender."""
    peer.sock.recv(1000)
    peer.send(sized(b'{"error": "too large"}', status_code=413, kind=_JSON))
