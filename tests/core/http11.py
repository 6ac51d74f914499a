"""Read one response of a server and check what came of it, in every fragmentation."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import pytest

from sansio_moondream import (
    FINISHED,
    NEED_DATA,
    HTTP11Exchange,
    HTTPRequest,
    MoondreamError,
    ResponseHead,
)
from sansio_moondream._wire.http11 import MAX_HEAD_BYTES
from sansio_moondream.testing import at_offsets, every_fragmentation
from tests.helpers import chunked, delta

CONNECT = HTTPRequest("CONNECT", "https://example.org", (), b"")
POST = HTTPRequest("POST", "http://localhost:2020/v1/query", (("Accept", "*/*"),), b"{}")
OK = b"HTTP/1.1 200 OK\r\n"
CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n"
EVENTS = OK + b"Content-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
FIVE = b"".join(map(delta, "abcde"))
NO_WHOLE_HEAD = "the server closed the connection before the head of a response was whole"
NO_WHOLE_BODY = "the server closed the connection before the end of the body"


class Read(NamedTuple):
    """The head, the body and the error of an exchange."""

    head: ResponseHead | None
    body: bytes
    error: MoondreamError | None
    finished: bool
    reusable: bool

    @property
    def words(self) -> str | None:
        return None if self.error is None else self.error.message

    @property
    def key(self) -> tuple[object, ...]:
        return self.head, self.body, type(self.error), str(self.error), self.finished, self.reusable


def read(
    chunks: Iterable[bytes],
    *,
    eof: bool = False,
    request: HTTPRequest = POST,
    pull: bool = True,
    joined: bool = False,
) -> Read:
    """Feed an exchange, and return what it gives.

    Pull events after each chunk or only at the end, and body chunks one by one or all at once.
    """
    exchange = HTTP11Exchange(request)
    exchange.data_to_send()
    heads: list[ResponseHead] = []
    body = bytearray()
    finished = False

    def take() -> None:
        nonlocal finished
        while (
            event := exchange.next_body() if joined and heads else exchange.next_event()
        ) is not NEED_DATA:
            if event in (FINISHED, b""):
                assert event == (b"" if joined and heads else FINISHED)
                finished = True
                return
            assert not finished
            if isinstance(event, ResponseHead):
                heads.append(event)
                assert not body
            else:
                assert heads
                assert isinstance(event, bytes)
                assert event
                body.extend(event)

    error: MoondreamError | None = None
    try:
        for chunk in chunks:
            exchange.receive_data(chunk)
            if pull:
                take()
        if eof:
            exchange.receive_eof()
        take()
    except MoondreamError as caught:
        error = caught
        with pytest.raises(type(error)) as again:
            exchange.next_event()
        assert again.value is error
        assert error.__cause__ is None
        assert error.__context__ is None
        assert not exchange.reusable
    assert len(heads) <= 1
    return Read(heads[0] if heads else None, bytes(body), error, finished, exchange.reusable)


def check(raw: bytes, *, eof: bool = False, request: HTTPRequest = POST, head: bytes = b"") -> Read:
    """Read in every fragmentation, or in some of them if the input is long. A `head` that other
    tests cut stays whole.
    """
    start = [head] if head else []
    whole = read([head + raw], eof=eof, request=request)
    fragmentations: Iterable[tuple[str, list[bytes]]] = every_fragmentation(raw, max_offsets=120)
    if len(raw) > 1000:
        sizes = (97, 4096, MAX_HEAD_BYTES - 1, MAX_HEAD_BYTES, MAX_HEAD_BYTES + 1)
        ends = range(len(raw) - 12, len(raw))
        fragmentations = [
            (f"in chunks of {size}", at_offsets(raw, [*range(size, len(raw), size), *ends]))
            for size in sizes
        ]
        fragmentations += [
            (f"split at {at}", at_offsets(raw, [at])) for at in (1, 30, len(raw) // 2, *ends)
        ]
    ways = [{"pull": True}]
    if whole.error is None:
        ways.append({"pull": False})
    if whole.head is not None:
        ways.append({"joined": True})
    for name, chunks in fragmentations:
        for way in ways:
            other = read([*start, *chunks], eof=eof, request=request, **way)
            assert other.key == whole.key, f"{name} gives another outcome than whole"
    return whole


BODIES = {
    "chunks": (CHUNKED + chunked(FIVE), FIVE),
    "one chunk": (CHUNKED + b"4\r\nmoon\r\n0\r\n\r\n", b"moon"),
    "no chunks": (CHUNKED + b"0\r\n\r\n", b""),
    "upper case and blanks": (
        OK + b"tRANSFER-eNCODING:\tCHUNKED \r\n\r\nA \r\n0123456789\r\n000\t\r\n\r\n",
        b"0123456789",
    ),
    "extensions": (CHUNKED + b'4;a;b="\r;";c=\xff\r\nmoon\r\n0;last\r\n\r\n', b"moon"),
    "trailers": (
        CHUNKED + b"4\r\nmoon\r\n0\r\nX-A: b\r\nContent-Length: 7\r\nX-C:\r\n\r\n",
        b"moon",
    ),
    "CR and LF as data": (CHUNKED + b"4\r\n\r\n\r\n\r\n0\r\n\r\n", b"\r\n\r\n"),
    "length": (OK + b"Content-Length: 4\r\n\r\nmoon", b"moon"),
    "length of nothing": (OK + b"Content-Length: 0\r\n\r\n", b""),
    "the same length twice": (OK + b"Content-Length: 4\r\nContent-Length: 4\r\n\r\nmoon", b"moon"),
    "the same length in a list": (OK + b"Content-Length: 4, 4\r\n\r\nmoon", b"moon"),
    "204": (b"HTTP/1.1 204 No Content\r\n\r\n", b""),
    "304 with a length": (b"HTTP/1.1 304 Not Modified\r\nContent-Length: 4\r\n\r\n", b""),
    "100 and 103 before it": (
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"
        + OK
        + b"Content-Length: 2\r\n\r\nab",
        b"ab",
    ),
    "no words, LF line ends": (b"HTTP/1.1 200\nContent-Length: 2\n\nab", b"ab"),
    "mixed line ends": (b"HTTP/1.1 200 OK\r\nA: b\nContent-Length: 2\n\r\nab", b"ab"),
    "folded line": (OK + b"A: b\r\n c\r\nContent-Length: 2\r\n\r\nab", b"ab"),
    "200 fields": (
        OK
        + b"".join(b"X-%d: %d\r\n" % (n, n) for n in range(200))
        + b"Content-Length: 2\r\n\r\nab",
        b"ab",
    ),
    "HTTP/1.7": (b"HTTP/1.7 200 OK\r\nContent-Length: 2\r\n\r\nab", b"ab"),
}


NOT = "the server sent what is not HTTP/1.1: "
SECRET = b"session=secret"


MALFORMED = {
    "space before the colon": (
        OK + b"Set-Cookie : %s\r\n\r\n" % SECRET,
        NOT + "illegal header line",
    ),
    "no colon": (OK + b"Set-Cookie %s\r\n\r\n" % SECRET, NOT + "illegal header line"),
    "no name": (OK + b": %s\r\n\r\n" % SECRET, NOT + "illegal header line"),
    "NUL in a value": (OK + b"A: b\x00%s\r\n\r\n" % SECRET, NOT + "illegal header line"),
    "CR in a value": (OK + b"A: b\rc: %s\r\n\r\n" % SECRET, NOT + "illegal header line"),
    "name not ASCII": (OK + b"\xc3\xa9: %s\r\n\r\n" % SECRET, NOT + "illegal header line"),
    "folded from the start": (
        OK + b" A: %s\r\n\r\n" % SECRET,
        NOT + "continuation line at start of headers",
    ),
    "status of two digits": (b"HTTP/1.1 20 OK\r\n\r\n", NOT + "illegal status line"),
    "status of four digits": (b"HTTP/1.1 2000 OK\r\n\r\n", NOT + "illegal status line"),
    "status as text": (b"HTTP/1.1 OK %s\r\n\r\n" % SECRET, NOT + "illegal status line"),
    "status below 100": (
        b"HTTP/1.1 099 OK\r\n\r\n",
        NOT + "InformationalResponse status_code should be in range [100, 200), not 99",
    ),
    "two spaces": (b"HTTP/1.1  200 OK\r\n\r\n", NOT + "illegal status line"),
    "no minor version": (b"HTTP/1. 200 OK\r\n\r\n", NOT + "illegal status line"),
    "minor version of two digits": (b"HTTP/1.10 200 OK\r\n\r\n", NOT + "illegal status line"),
    "both lengths": (
        OK + b"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n",
        "the server sent a head with both Content-Length and Transfer-Encoding",
    ),
    "both lengths, the other way round": (
        b"HTTP/1.1 404 No\r\nTransfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n",
        "the server sent a head with both Content-Length and Transfer-Encoding",
    ),
    "two lengths": (
        OK + b"Content-Length: 4\r\nContent-Length: 5\r\n\r\n",
        NOT + "conflicting Content-Length headers",
    ),
    "two lengths in a list": (
        OK + b"Content-Length: 4, 5\r\n\r\n",
        NOT + "conflicting Content-Length headers",
    ),
    **{
        f"length {length!r}": (
            OK + b"Content-Length: %s\r\n\r\n" % length,
            NOT + "bad Content-Length",
        )
        for length in (b"-4", b"+4", b"0x4", b"4.0", b"4 4", b"\xb2", b"", b"1" * 21, b"1_0")
    },
    **{
        f"coding {coding!r}": (
            OK + b"Transfer-Encoding: %s\r\n\r\n" % coding,
            NOT + "Only Transfer-Encoding: chunked is supported",
        )
        for coding in (
            b"gzip",
            b"gzip, chunked",
            b"chunked, chunked",
            b"identity",
            b"",
            b"xchunked",
            b"\x0bchunked"[1:] + b";q=1",
        )
    },
    "chunked twice": (
        OK + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n",
        NOT + "multiple Transfer-Encoding headers",
    ),
    "bad 1xx": (
        b"HTTP/1.1 100 Continue\r\nSet-Cookie %s\r\n\r\n" % SECRET,
        NOT + "illegal header line",
    ),
    "bad after a 1xx": (
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 x\r\n\r\n",
        NOT + "illegal status line",
    ),
}
