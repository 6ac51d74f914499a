"""HTTP/1.1 without a socket: what is sent, what is read, and that neither depends on how the bytes
are cut.
"""

from __future__ import annotations

import gzip
import pickle
import traceback
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import h11
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sansio_moondream import (
    FINISHED,
    NEED_DATA,
    AuthenticationError,
    Completed,
    ConnectionLost,
    Endpoint,
    Headers,
    HTTP11Exchange,
    HTTPRequest,
    IncompleteStream,
    LimitExceeded,
    LocalProtocolError,
    MoondreamError,
    PayloadTooLargeError,
    QueryResult,
    RemoteProtocolError,
    ResponseHead,
    SocketStream,
    State,
    TextDelta,
)
from sansio_moondream._wire.http11 import MAX_HEAD_BYTES
from sansio_moondream.testing import at_offsets, each_byte, every_fragmentation, strategies
from tests.helpers import END, LOCAL, QUERY, chunked, delta, head, run_socket

POST = HTTPRequest("POST", "http://localhost:2020/v1/query", (("Accept", "*/*"),), b"{}")
OK = b"HTTP/1.1 200 OK\r\n"
CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n"
EVENTS = OK + b"Content-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
FIVE = b"".join(map(delta, "abcde"))
CUT_HEAD = "the server closed the connection before the head of a response was whole"
CUT_BODY = "the server closed the connection before the end of the body"


class Read(NamedTuple):
    """What came out of an exchange."""

    head: ResponseHead | None
    body: bytes
    error: MoondreamError | None
    finished: bool
    reusable: bool

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
    """Feed an exchange, pulling after each chunk or only at the end, each chunk of the body or all
    that are there.
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


def check(raw: bytes, *, eof: bool = False, request: HTTPRequest = POST) -> Read:
    """In every fragmentation, or in some, if it is long."""
    whole = read([raw], eof=eof, request=request)
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
    for name, chunks in fragmentations:
        for pull, joined in ((True, False), (False, False), (True, True)):
            other = read(
                chunks,
                eof=eof,
                request=request,
                pull=pull or whole.error is not None,
                joined=joined,
            )
            assert other.key == whole.key, f"{name} gives another outcome than whole"
    return whole


# --- What is sent


def sent(request: HTTPRequest, **options: Any) -> bytes:
    return HTTP11Exchange(request, **options).data_to_send()


def test_the_request_is_sent_whole_and_once():
    exchange = HTTP11Exchange(POST)
    expected = b"POST /v1/query HTTP/1.1\r\nHost: localhost:2020\r\nContent-Length: 2\r\nAccept: */*\r\n\r\n{}"
    assert exchange.data_to_send() == expected
    assert exchange.data_to_send() == b""


def test_headers_go_as_given_and_none_is_added_that_is_there():
    headers = (
        ("hOsT", "other"),
        ("X-Two", "1"),
        ("X-Two", "2"),
        ("content-LENGTH", "2"),
        ("X-Latin", "\xe9"),
        ("X-Empty", ""),
    )
    assert sent(HTTPRequest("PUT", "https://example.org", headers, b"{}")) == (
        b"PUT / HTTP/1.1\r\nhOsT: other\r\nX-Two: 1\r\nX-Two: 2\r\ncontent-LENGTH: 2\r\nX-Latin: \xe9\r\nX-Empty: \r\n\r\n{}"
    )


def test_no_length_is_added_to_chunks():
    data = sent(HTTPRequest("POST", "http://h/", (("Transfer-Encoding", "chunked"),), b"{}"))
    assert (
        data
        == b"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n"
    )


@pytest.mark.parametrize(
    ("url", "target", "host", "absolute"),
    [
        ("http://h", "/", "h", "http://h/"),
        ("http://h?a=b", "/?a=b", "h", "http://h/?a=b"),
        ("http://h:80/a/b?c=d&e", "/a/b?c=d&e", "h:80", "http://h:80/a/b?c=d&e"),
        ("http://user:p%40ss@h:81/a#part", "/a", "h:81", "http://h:81/a"),
        ("https://[::1]/a", "/a", "[::1]", "https://[::1]/a"),
        (
            "HTTPS://[2001:db8::1]:8443/a",
            "/a",
            "[2001:db8::1]:8443",
            "https://[2001:db8::1]:8443/a",
        ),
        ("http://h//a//", "//a//", "h", "http://h//a//"),
    ],
)
def test_targets(url: str, target: str, host: str, absolute: str):
    request = HTTPRequest("GET", url, (), b"")
    assert (
        sent(request)
        == f"GET {target} HTTP/1.1\r\nHost: {host}\r\nContent-Length: 0\r\n\r\n".encode()
    )
    assert (
        sent(request, absolute=True)
        == f"GET {absolute} HTTP/1.1\r\nHost: {host}\r\nContent-Length: 0\r\n\r\n".encode()
    )


@pytest.mark.parametrize(
    ("url", "authority"),
    [
        ("https://example.org/any?thing", "example.org:443"),
        ("http://example.org", "example.org:80"),
        ("http://example.org:", "example.org:80"),
        ("https://user:secret@example.org:8443", "example.org:8443"),
        ("https://[::1]", "[::1]:443"),
        ("https://[::1]:444", "[::1]:444"),
    ],
)
def test_connect_names_host_and_port(url: str, authority: str):
    request = HTTPRequest("CONNECT", url, (("Proxy-Authorization", "Basic x"),), b"")
    expected = f"CONNECT {authority} HTTP/1.1\r\nHost: {authority}\r\nProxy-Authorization: Basic x\r\n\r\n".encode()
    assert sent(request) == expected == sent(request, absolute=True)


KEY = "sk-planted-key"


@pytest.mark.parametrize(
    ("method", "url", "headers", "body", "words"),
    [
        (
            "POST",
            f"http://h/?{KEY}",
            (("X-Key", f"{KEY}\r\nX-More: 1"),),
            b"",
            "Illegal header value",
        ),
        ("POST", f"http://h/?{KEY}", (("X-Key", f"{KEY}\n"),), b"", "Illegal header value"),
        ("POST", f"http://u:{KEY}@h/", (("X-Key", f"{KEY}\x00"),), b"", "Illegal header value"),
        (
            "POST",
            f"http://u:{KEY}@h/",
            (("X-Key", f"{KEY}'\u2028"),),
            b"",
            "a character in its head that HTTP does not have",
        ),
        ("POST", f"http://u:{KEY}@h/", ((f"X {KEY}", "a"),), b"", "Illegal header name"),
        (
            "POST",
            f"http://u:{KEY}@h/",
            ((f"X\xe9{KEY}", "a"),),
            b"",
            "a character in its head that HTTP does not have",
        ),
        (
            "POST",
            f"http://u:{KEY}@h/",
            (("Host", "a"), ("Host", "b")),
            b"",
            "Found multiple Host: headers",
        ),
        (
            "POST",
            f"http://u:{KEY}@h/",
            (("Content-Length", "1"),),
            b"22",
            "Too much data for declared Content-Length",
        ),
        (
            "POST",
            f"http://u:{KEY}@h/",
            (("Content-Length", "3"),),
            b"22",
            "Too little data for declared Content-Length",
        ),
        ("POST", f"http://u:{KEY}@h/", (("Content-Length", KEY),), b"22", "bad Content-Length"),
        (
            "POST",
            f"http://u:{KEY}@h/",
            (("Transfer-Encoding", "gzip"),),
            b"",
            "Only Transfer-Encoding: chunked is supported",
        ),
        (f"PO {KEY}", f"http://u:{KEY}@h/", (), b"", "Illegal method characters"),
        ("PÖST", f"http://u:{KEY}@h/", (), b"", "a character in its head that HTTP does not have"),
        ("CONNECT", f"http://u:{KEY}@h/", (), b"body", "Too much data for declared Content-Length"),
        *(
            ("POST", url, (), b"", "its URL should be http(s)://host[:port]/path in ASCII")
            for url in (
                *(
                    f"http://h/{KEY} b",
                    f"http://h/{KEY}\r\nX: y",
                    f"http://h/\xe9{KEY}",
                    f"http://h:99999/{KEY}",
                    f"http://h:0/{KEY}",
                ),
                *(
                    f"http://h:port/{KEY}",
                    f"http://[{KEY}/",
                    f"http:///{KEY}",
                    f"/{KEY}",
                    f"ftp://h/{KEY}",
                    f"http://:80/{KEY}",
                    "",
                ),
            )
        ),
    ],
)
def test_what_cannot_be_sent_is_refused_without_telling_secrets(
    method: str, url: str, headers: Any, body: bytes, words: str
):
    with pytest.raises(LocalProtocolError) as caught:
        HTTP11Exchange(HTTPRequest(method, url, headers, body))
    assert str(caught.value) == f"HTTP/1.1 cannot carry this request: {words}"
    assert KEY not in "".join(traceback.format_exception(caught.value))
    assert caught.value.__context__ is None
    assert caught.value.__cause__ is None


# --- Framings

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


@pytest.mark.parametrize("name", BODIES)
def test_bodies_end_by_themselves(name: str):
    raw, body = BODIES[name]
    seen = check(raw)
    assert (seen.body, seen.error, seen.finished, seen.reusable) == (body, None, True, True)
    short = check(raw[:-1], eof=True)
    assert type(short.error) is ConnectionLost
    assert str(short.error) == (CUT_BODY if short.head is not None else CUT_HEAD)
    assert body.startswith(short.body)


@pytest.mark.parametrize("name", BODIES)
def test_no_byte_may_be_missing(name: str):
    raw, body = BODIES[name]
    for length in range(0, len(raw), 1 if len(raw) < 400 else 61):
        seen = read([raw[:length]], eof=True)
        assert (type(seen.error), seen.finished) == (ConnectionLost, False)
        assert str(seen.error) == (CUT_BODY if seen.head is not None else CUT_HEAD)
        assert body.startswith(seen.body)
        assert not read([raw[:length]]).finished


@pytest.mark.parametrize(
    "start", [b"HTTP/1.0 200 OK\r\n", b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\n", OK]
)
def test_without_a_length_the_body_ends_with_the_connection(start: bytes):
    raw = start + b"\r\nmoon\r\n0\r\n\r\n"
    seen = check(raw, eof=True)
    assert (seen.body, seen.error, seen.finished, seen.reusable) == (
        b"moon\r\n0\r\n\r\n",
        None,
        True,
        False,
    )
    assert not check(raw).finished
    assert check(start + b"\r\n", eof=True).key == (seen.head, b"", type(None), "None", True, False)


def test_the_head():
    seen = check(
        b"HTTP/1.1 429 Slow Down\r\nRetry-After: 7\r\nX-A: b\xff\r\nx-a:  c \t\r\nContent-Length: 0\r\n\r\n"
    ).head
    assert seen == ResponseHead(
        429,
        Headers([("retry-after", "7"), ("x-a", "b\xff"), ("x-a", "c"), ("content-length", "0")]),
    )
    assert "b\xff" not in repr(seen)


def test_a_head_request_has_no_body():
    seen = check(
        OK + b"Content-Length: 4\r\n\r\n", request=HTTPRequest("HEAD", "http://h/", (), b"")
    )
    assert (seen.body, seen.finished, seen.reusable) == (b"", True, True)


CONNECT = HTTPRequest("CONNECT", "https://example.org", (), b"")


@pytest.mark.parametrize(
    "fields", [b"", b"Content-Length: 5\r\n", b"Transfer-Encoding: chunked\r\n"]
)
def test_a_tunnel_is_there_with_its_head(fields: bytes):
    seen = check(b"HTTP/1.1 200 Connected\r\n" + fields + b"\r\n", request=CONNECT)
    assert seen.head is not None
    assert (seen.head.status_code, seen.body, seen.finished, seen.reusable) == (
        200,
        b"",
        True,
        False,
    )


def test_a_refused_tunnel_has_a_body():
    seen = check(b"HTTP/1.1 407 No\r\nContent-Length: 4\r\n\r\nmoon", request=CONNECT)
    assert (seen.body, seen.finished, seen.reusable) == (b"moon", True, True)


def test_the_body_at_once():
    exchange = HTTP11Exchange(POST)
    with pytest.raises(LocalProtocolError, match="before the head"):
        exchange.next_body()
    exchange.receive_data(CHUNKED)
    assert isinstance(exchange.next_event(), ResponseHead)
    assert exchange.next_body() is NEED_DATA
    exchange.receive_data(b"4\r\nmoon\r\n")
    assert exchange.next_body() == b"moon"
    for chunk in (b"1\r\nA\r\n", b"2\r\n m\r\n3\r\noon\r\n", b"5\r\n over", b"\r\nnonsense\r\n"):
        exchange.receive_data(chunk)
    assert exchange.next_body() == b"A moon over"
    for _ in range(2):
        with pytest.raises(RemoteProtocolError):
            exchange.next_body()


def test_good_bytes_come_before_the_fault_behind_them():
    for bad in (b"zz\r\n", b"-5\r\n"):
        seen = check(CHUNKED + b"4\r\nmoon\r\n" + bad)
        assert seen.body == b"moon"
        assert str(seen.error) == "the server sent what is not HTTP/1.1: illegal chunk header"


# --- What is not HTTP/1.1

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
    "status in words": (b"HTTP/1.1 OK %s\r\n\r\n" % SECRET, NOT + "illegal status line"),
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


@pytest.mark.parametrize("name", MALFORMED)
def test_malformed_heads(name: str):
    raw, words = MALFORMED[name]
    for eof in (False, True):
        seen = check(raw + b"4\r\nmoon\r\n0\r\n\r\n", eof=eof)
        assert (type(seen.error), str(seen.error)) == (RemoteProtocolError, words)
        assert (seen.head, seen.body) == (None, b"")
        assert seen.error is not None
        assert SECRET.decode() not in "".join(traceback.format_exception(seen.error))


@pytest.mark.parametrize(
    ("raw", "seen"),
    [
        (b"\x15\x03\x01\x00\x02\x02", r"b'\x15'"),
        (b"<html>Bad gateway", "b'<'"),
        (b"\r\nHTTP/1.1 200 OK\r\n\r\n", r"b'\r'"),
        (b" HTTP/1.1 200 OK\r\n\r\n", "b' '"),
        (b"http/1.1 200 OK\r\n\r\n", "b'h'"),
        (b"HTTPS", "b'HTTPS'"),
        (b"HTTP/2 200\r\n\r\n", "b'HTTP/2'"),
        (b"HTTP/0.9 200\r\n\r\n", "b'HTTP/0'"),
        (b"HTTP/11 200\r\n\r\n", "b'HTTP/11'"),
        (b'data: {"chunk": "a"}\n\n', "b'd'"),
        (b"session=secret", "b's'"),
    ],
)
def test_what_is_no_head_is_known_by_its_first_wrong_byte(raw: bytes, seen: str):
    words = f"the server does not speak HTTP/1.1: its answer begins with {seen}, not with HTTP/1."
    for before in (b"", b"HTTP/1.1 103 Early Hints\r\n\r\n"):
        for eof in (False, True):
            outcome = check(before + raw, eof=eof)
            assert (type(outcome.error), str(outcome.error)) == (RemoteProtocolError, words)


def test_another_protocol_is_refused_whether_it_was_offered_or_not():
    raw = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n\x81\x00"
    upgrading = HTTPRequest(
        "POST", "http://h/", (("Upgrade", "websocket"), ("Connection", "upgrade")), b""
    )
    assert type(check(raw).error) is RemoteProtocolError
    offered = check(raw, request=upgrading)
    assert type(offered.error) is RemoteProtocolError
    assert str(offered.error) == "the server switched to another protocol"


@pytest.mark.parametrize(
    ("bad", "words"),
    [
        (b"zz\r\n", "illegal chunk header"),
        (b"-5\r\nabcde", "illegal chunk header"),
        (b"+5\r\nabcde", "illegal chunk header"),
        (b"0x5\r\nabcde", "illegal chunk header"),
        (b"5_0\r\nabcde", "illegal chunk header"),
        (b"\r\n", "illegal chunk header"),
        (b" 5\r\nabcde", "illegal chunk header"),
        (b"5 5\r\nabcde", "illegal chunk header"),
        (b"5\nabcde\r\n", "illegal chunk header"),
        (b"5;a\nb\r\nabcde", "illegal chunk header"),
        (b"5\rabcde\r\n", "illegal chunk header"),
        (b"\xb2\r\nab", "illegal chunk header"),
        (b"1" * 21 + b"\r\n", "illegal chunk header"),
        (b"session=secret\r\n", "illegal chunk header"),
        (b"4\r\nmoonX", "malformed chunk footer"),
        (b"4\r\nmoon\n0\r\n\r\n", "malformed chunk footer"),
        (b"4\r\nmoon\rX", "malformed chunk footer"),
        (b"0\r\nSet-Cookie session=secret\r\n\r\n", "illegal header line"),
        (b"0\r\n a: session=secret\r\n\r\n", "continuation line at start of headers"),
        (b"0\r\nContent-Length: secret\r\n\r\n", "bad Content-Length"),
    ],
)
def test_malformed_chunks(bad: bytes, words: str):
    good = chunked(b"harvest", last=False)
    body = b"harvest" + bad[3:7] * bad.startswith(b"4\r\nmoon")
    for eof in (False, True):
        seen = check(CHUNKED + good + bad, eof=eof)
        assert (type(seen.error), str(seen.error), seen.body) == (
            RemoteProtocolError,
            NOT + words,
            body,
        )
        assert seen.error is not None
        assert "secret" not in "".join(traceback.format_exception(seen.error))


@pytest.mark.parametrize("footer", [b"XX", b"\r\r", b"\n\n"])
def test_a_malformed_footer_among_plain_chunks(footer: bytes):
    """The fast path takes chunks without extensions."""
    seen = check(CHUNKED + b"7\r\nharvest\r\n4\r\nmoon" + footer + b"0\r\n\r\n")
    assert (str(seen.error), seen.body) == (NOT + "malformed chunk footer", b"harvestmoon")


# --- Limits


def padded(start: bytes, end: bytes, size: int) -> bytes:
    return start + b"x" * (size - len(start) - len(end)) + end


@pytest.mark.parametrize(
    "start", [b"", b"HTTP/1.1 100 Continue\r\n\r\n" * 100], ids=["alone", "with 1xx heads"]
)
def test_heads_together_have_a_limit(start: bytes):
    end = b"\r\nContent-Length: 2\r\n\r\n"
    whole = check(padded(start + OK + b"A: ", end, MAX_HEAD_BYTES) + b"ab")
    assert (whole.body, whole.error, whole.finished, whole.reusable) == (b"ab", None, True, True)
    words = "the server sent a head that is longer than 65,536 bytes"
    for more in (
        padded(start + OK + b"A: ", end, MAX_HEAD_BYTES + 1),
        padded(start + OK + b"A: ", b"", 1_000_000),
    ):
        seen = check(more + b"ab") if len(more) < 100_000 else read([more])
        assert (type(seen.error), str(seen.error), seen.head) == (RemoteProtocolError, words, None)
    endless = padded(start + OK + b"A: ", b"", MAX_HEAD_BYTES - 1)
    assert (check(endless).error, str(check(endless, eof=True).error)) == (None, CUT_HEAD)


def test_many_1xx_heads_are_too_many():
    early = b"HTTP/1.1 103 E\r\nA: " + b"x" * 1000 + b"\r\n\r\n"
    assert check(early * 20 + BODIES["length"][0]).finished
    seen = check(early * (MAX_HEAD_BYTES // len(early) + 1) + BODIES["length"][0])
    assert str(seen.error) == "the server sent a head that is longer than 65,536 bytes"


LONG_LINE = "the server sent a line of the chunked framing that is longer than 65,536 bytes"


@pytest.mark.parametrize("before", [0, 1, 5, 30_000, MAX_HEAD_BYTES - 8, MAX_HEAD_BYTES, 100_000])
def test_a_chunks_size_line_has_a_limit_wherever_it_begins(before: int):
    data = b"y" * before
    start = CHUNKED + (b"%x\r\n%s\r\n" % (before, data) if before else b"")
    end = b"moon\r\n0\r\n\r\n"
    fits = check(start + padded(b"4;", b"\r\n", MAX_HEAD_BYTES) + end)
    assert (fits.body == data + b"moon", fits.error, fits.finished) == (True, None, True)
    for line in (
        padded(b"4;", b"\r\n", MAX_HEAD_BYTES + 1),
        padded(b"4;", b"", MAX_HEAD_BYTES + 1),
    ):
        seen = check(start + line + end)
        assert (type(seen.error), str(seen.error), seen.body == data) == (
            RemoteProtocolError,
            LONG_LINE,
            True,
        )
    waiting = start + padded(b"4;", b"", MAX_HEAD_BYTES)
    assert (check(waiting).error, str(check(waiting, eof=True).error)) == (None, CUT_BODY)


def test_trailers_have_a_limit():
    start = CHUNKED + chunked(FIVE, last=False) + b"0\r\n"
    fits = check(start + padded(b"A: b\r\n" * 50 + b"C: ", b"\r\n\r\n", MAX_HEAD_BYTES))
    assert (fits.body, fits.error, fits.finished, fits.reusable) == (FIVE, None, True, True)
    seen = check(start + padded(b"A: b\r\n" * 50 + b"C: ", b"\r\n\r\n", MAX_HEAD_BYTES + 1))
    assert (str(seen.error), seen.body) == (LONG_LINE, FIVE)


class Counting(h11.Connection):
    """Counts the bytes that are copied out to learn how many they are, and the calls."""

    copied = calls = 0

    @property
    def trailing_data(self) -> tuple[bytes, bool]:
        data = super().trailing_data
        type(self).copied += len(data[0])
        return data

    def next_event(self) -> Any:
        type(self).calls += 1
        return super().next_event()


@pytest.fixture
def counting(monkeypatch: pytest.MonkeyPatch) -> type[Counting]:
    counter = type("Counter", (Counting,), {})
    monkeypatch.setattr("sansio_moondream._wire.http11.h11.Connection", counter)
    return counter


def test_work_is_linear_for_13_megabytes_at_once(counting: type[Counting]):
    body = b"moon" * 3_250_000
    seen = read([OK + b"Content-Length: %d\r\n\r\n" % len(body) + body])
    assert (seen.body == body, seen.finished) == (True, True)
    assert counting.copied == 0
    assert counting.calls < 3 * len(body) / MAX_HEAD_BYTES


@pytest.mark.parametrize(
    "line", [b"4;" + b"x" * 10_000 + b"\r\nmoon\r\n", b"0\r\nA: " + b"x" * 10_000 + b"\r\n\r\n"]
)
def test_work_is_linear_for_lines_that_come_byte_by_byte(line: bytes, counting: type[Counting]):
    raw = CHUNKED + b"1\r\na\r\n" * 1_000 + line
    seen = read(each_byte(raw))
    assert (seen.body[:1_000], seen.error) == (b"a" * 1_000, None)
    assert counting.copied < len(raw)
    assert counting.calls < 2 * len(raw)


# --- Reuse


def finished(
    raw: bytes = BODIES["chunks"][0], request: HTTPRequest = POST, *, send: bool = True
) -> HTTP11Exchange:
    exchange = HTTP11Exchange(request)
    if send:
        exchange.data_to_send()
    exchange.receive_data(raw)
    while exchange.next_event() is not FINISHED:
        assert not exchange.reusable
    return exchange


def test_reusable():
    exchange = finished()
    assert exchange.reusable
    exchange.receive_data(b"")
    assert exchange.reusable
    assert exchange.next_event() is exchange.next_event() is FINISHED
    assert exchange.reusable


def late(exchange: HTTP11Exchange) -> None:
    exchange.receive_data(b"H")


UNUSABLE: dict[str, Callable[[], HTTP11Exchange]] = {
    "new": lambda: HTTP11Exchange(POST),
    "answered before it was asked": lambda: finished(send=False),
    "the server says close": lambda: finished(
        OK + b"Connection: Close\r\nContent-Length: 0\r\n\r\n"
    ),
    "the server says close, and more": lambda: finished(
        OK + b"Connection: x, close\r\nContent-Length: 0\r\n\r\n"
    ),
    "we say close": lambda: finished(
        request=HTTPRequest("POST", "http://h/", (("Connection", "close"),), b"")
    ),
    "HTTP/1.0": lambda: finished(b"HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n"),
    "a second response in the same chunk": lambda: finished(BODIES["chunks"][0] * 2),
    "one byte more after chunks": lambda: finished(BODIES["chunks"][0] + b"\n"),
    "one byte more after a length": lambda: finished(BODIES["length"][0] + b"\n"),
    "one byte more after a 204": lambda: finished(BODIES["204"][0] + b"\n"),
    "many bytes more": lambda: finished(BODIES["length"][0] + b"x" * 300_000),
    "a tunnel": lambda: finished(b"HTTP/1.1 200 OK\r\n\r\n", CONNECT),
}


@pytest.mark.parametrize("name", UNUSABLE)
def test_not_reusable(name: str):
    assert not UNUSABLE[name]().reusable


def test_not_reusable_after_what_comes_later():
    exchange = finished()
    exchange.receive_data(b"H")
    assert not exchange.reusable
    exchange = finished()
    exchange.receive_eof()
    assert not exchange.reusable
    exchange.receive_eof()
    assert exchange.next_event() is FINISHED


def test_reusable_once_the_request_is_out_too():
    exchange = finished(send=False)
    assert not exchange.reusable
    exchange.data_to_send()
    assert exchange.reusable


def test_surplus_does_not_depend_on_pulling():
    exchange = HTTP11Exchange(POST)
    exchange.data_to_send()
    for chunk in (BODIES["length"][0], b"H"):
        exchange.receive_data(chunk)
    assert isinstance(exchange.next_event(), ResponseHead)
    assert exchange.next_event() == b"moon"
    assert exchange.next_event() is FINISHED
    assert not exchange.reusable


# --- Calls


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_any_bytes_like_does_and_is_not_kept(kind: Callable[[bytes], Any]):
    exchange = HTTP11Exchange(POST)
    for chunk in (OK + b"Content-Length: 4\r\n", b"\r\nmo", b"on"):
        buffer = bytearray(chunk)
        exchange.receive_data(
            buffer
            if kind is bytearray
            else kind(bytes(chunk))
            if kind is bytes
            else memoryview(buffer)
        )
        buffer[:] = b"?" * len(buffer)
    assert isinstance(exchange.next_event(), ResponseHead)
    assert [exchange.next_event(), exchange.next_event(), exchange.next_event()] == [
        b"mo",
        b"on",
        FINISHED,
    ]


@pytest.mark.parametrize("wrong", ["text", "", 5, 0, None])
def test_only_bytes_are_data(wrong: Any):
    exchange = HTTP11Exchange(POST)
    with pytest.raises(TypeError):
        exchange.receive_data(wrong)
    assert exchange.next_event() is NEED_DATA


@pytest.mark.parametrize("raw", [b"", OK, CHUNKED + b"4\r\nmo", BODIES["length"][0], b"garbage"])
def test_data_after_the_end_is_out_of_order_and_changes_nothing(raw: bytes):
    exchange = HTTP11Exchange(POST)
    exchange.receive_data(raw)
    exchange.receive_eof()
    with pytest.raises(LocalProtocolError, match=r"receive_data\(\) came after the end of input"):
        exchange.receive_data(b"more")
    twin = HTTP11Exchange(POST)
    twin.receive_data(raw)
    twin.receive_eof()
    for _ in range(4):
        assert comes(exchange) == comes(twin)


def comes(exchange: HTTP11Exchange) -> object:
    """The next event, or the error in its place."""
    try:
        return exchange.next_event()
    except MoondreamError as error:
        return type(error), str(error)


def test_errors_are_raised_again_the_same_and_can_be_pickled():
    for raw in (
        b"garbage",
        MALFORMED["no colon"][0],
        CHUNKED + b"4\r\nmoonX",
        CHUNKED + b"4\r\nmo",
        OK,
    ):
        error = read([raw], eof=True).error
        assert error is not None
        copied = pickle.loads(pickle.dumps(error))
        assert (type(copied), str(copied), vars(copied)) == (type(error), str(error), vars(error))


def test_data_after_an_error_is_let_go():
    exchange = HTTP11Exchange(POST)
    exchange.receive_data(b"garbage")
    with pytest.raises(RemoteProtocolError) as first:
        exchange.next_event()
    exchange.receive_data(BODIES["length"][0])
    with pytest.raises(RemoteProtocolError) as second:
        exchange.next_event()
    assert first.value is second.value
    assert not exchange.reusable


# --- SocketStream


def test_a_socket_stream_sends_what_the_request_is():
    endpoint = Endpoint("https://[::1]:8443/v1", api_key="key", headers={"X-Name": "\xe9"})
    stream = SocketStream(QUERY, endpoint, stream=False, extra_body={"more": 1})
    request = QUERY.to_http(endpoint, False, {"more": 1})
    sent = stream.data_to_send()
    first, _, body = sent.partition(b"\r\n\r\n")
    assert body == request.body
    lines = first.decode("latin-1").split("\r\n")
    assert lines[:3] == [
        "POST /v1/query HTTP/1.1",
        "Host: [::1]:8443",
        f"Content-Length: {len(body)}",
    ]
    assert lines[3:] == [f"{name}: {value}" for name, value in request.headers]
    assert stream.data_to_send() == b""


def test_each_event_is_out_with_its_last_byte():
    stream = SocketStream(QUERY, LOCAL)
    stream.data_to_send()
    stream.receive_data(EVENTS)
    assert stream.state is State.READING_EVENTS
    record = delta("a")
    for byte in each_byte(b"%x\r\n" % len(record) + record[:-1]):
        stream.receive_data(byte)
        assert stream.next_event() is NEED_DATA
    stream.receive_data(record[-1:])
    assert stream.next_event() == TextDelta("a")
    stream.receive_data(b"\r\n%x\r\n" % len(END) + END)
    assert [type(event) for event in stream.events()] == [Completed]
    assert stream.state.value == "completed"
    assert not stream.reusable
    stream.receive_data(b"\r\n0\r\n\r\n")
    assert stream.reusable
    assert isinstance(stream.result(), QueryResult)
    assert stream.result() == stream.snapshot
    assert stream.request_id is None
    assert stream.next_event() is FINISHED


FAULTS = {
    "5: nothing": (b"", [], ConnectionLost, CUT_HEAD),
    "5: half a head": (EVENTS[:40], [], ConnectionLost, CUT_HEAD),
    "7: between chunks": (EVENTS + chunked(FIVE, last=False), 5, ConnectionLost, CUT_BODY),
    "7: inside a chunk": (EVENTS + b"%x\r\n" % (len(FIVE) + 1) + FIVE, 5, ConnectionLost, CUT_BODY),
    "9: short of its length": (
        head(200, [("Content-Type", "text/event-stream"), ("Content-Length", "9999")]) + FIVE,
        5,
        ConnectionLost,
        CUT_BODY,
    ),
    "10: until close": (
        head(200, [("Content-Type", "text/event-stream")]) + FIVE,
        5,
        IncompleteStream,
        None,
    ),
    "10: chunks end": (EVENTS + chunked(FIVE), 5, IncompleteStream, None),
    "10: empty": (EVENTS + b"0\r\n\r\n", 0, IncompleteStream, None),
    "15: garbage": (EVENTS + chunked(FIVE + END, last=False) + b"garbage\r\n", 6, None, None),
    "15: a second response": (EVENTS + chunked(FIVE + END) + EVENTS, 6, None, None),
    "15: more events": (EVENTS + chunked(FIVE + END + FIVE), 6, None, None),
    "15: cut after it": (EVENTS + chunked(FIVE + END, last=False), 6, None, None),
    "16: no blank line": (EVENTS + chunked(FIVE + END[:-2]), 6, None, None),
    "29: br": (
        head(200, [("Content-Encoding", "br"), ("Content-Length", "2")]) + b"ab",
        0,
        RemoteProtocolError,
        None,
    ),
    "29: gzip": (
        head(
            200,
            [
                ("Content-Type", "text/event-stream"),
                ("Content-Encoding", "gzip"),
                ("Transfer-Encoding", "chunked"),
            ],
        )
        + chunked(gzip.compress(FIVE + END)),
        6,
        None,
        None,
    ),
    "bad chunk": (
        EVENTS + chunked(FIVE, last=False) + b"zz\r\n",
        5,
        RemoteProtocolError,
        NOT + "illegal chunk header",
    ),
    "401 with nothing": (
        b"HTTP/1.1 401 No\r\nContent-Length: 0\r\n\r\n",
        0,
        AuthenticationError,
        None,
    ),
    "204": (b"HTTP/1.1 204 No Content\r\n\r\n", 0, RemoteProtocolError, None),
    "413 early": (
        b"HTTP/1.1 413 Too Large\r\nConnection: close\r\n\r\n{}",
        0,
        PayloadTooLargeError,
        None,
    ),
}


@pytest.mark.parametrize("name", FAULTS)
def test_faults(name: str):
    raw, events, error, words = FAULTS[name]
    whole = run_socket(QUERY, [raw])
    assert type(whole.error) is (error or type(None))
    assert words is None or str(whole.error) == words
    count = len(events) if isinstance(events, list) else events
    assert len(whole.events) == count
    assert whole.events[:5] == [TextDelta(text) for text in "abcde"][:count]
    assert whole.error is None or whole.error.partial == whole.snapshot
    for _, chunks in every_fragmentation(raw, max_offsets=100):
        assert run_socket(QUERY, chunks).key == whole.key


def test_a_fault_in_the_framing_is_raised_without_waiting_and_again():
    stream = SocketStream(QUERY, LOCAL)
    stream.receive_data(EVENTS + chunked(FIVE, last=False) + b"zz\r\n")
    assert [stream.next_event() for _ in range(5)] == [TextDelta(text) for text in "abcde"]
    with pytest.raises(RemoteProtocolError) as first:
        stream.next_event()
    assert first.value.partial is not None
    stream.receive_data(b"more")
    stream.receive_eof()
    with pytest.raises(RemoteProtocolError) as second:
        [*stream.events()]
    assert first.value is second.value
    with pytest.raises(LocalProtocolError):
        stream.receive_data(b"after the end")


@pytest.mark.parametrize(
    "raw", [b"", OK, EVENTS, EVENTS + chunked(FIVE, last=False), EVENTS + chunked(FIVE + END)]
)
def test_a_connection_that_broke_is_of_no_more_use(raw: bytes):
    stream = SocketStream(QUERY, LOCAL)
    stream.data_to_send()
    stream.receive_data(raw)
    stream.receive_error(OSError("reset"))
    assert not stream.reusable
    for _ in range(2):
        with pytest.raises(
            LocalProtocolError, match=r"receive_data\(\) came after the end of input"
        ):
            stream.receive_data(EVENTS)
        stream.receive_eof()
        stream.receive_error(OSError("again"))
    if raw.endswith(b"at the end\r\n\r\n"):
        assert isinstance([*stream.events()][-1], Completed)
        return
    with pytest.raises(ConnectionLost, match="the connection broke: OSError: reset") as caught:
        [*stream.events()]
    assert isinstance(caught.value.__cause__, OSError)


def test_limits_are_passed_on():
    from sansio_moondream import Limits

    outcome = run_socket(QUERY, [EVENTS + chunked(FIVE + END)], limits=Limits(max_text_bytes=3))
    assert outcome.events == [TextDelta(text) for text in "abc"]
    assert type(outcome.error) is LimitExceeded


# --- Anything


@settings(deadline=None)
@given(
    st.data(),
    st.binary(max_size=200),
    st.lists(st.integers(1, 40), min_size=1, max_size=5),
    st.sampled_from(["chunks", "length", "close"]),
)
def test_any_body_in_any_framing_and_cutting_comes_back(
    data: st.DataObject, body: bytes, sizes: list[int], framing: str
):
    match framing:
        case "chunks":
            raw = CHUNKED + chunked(body, sizes)
        case "length":
            raw = OK + b"Content-Length: %d\r\n\r\n" % len(body) + body
        case _:
            raw = OK + b"\r\n" + body
    close = framing == "close"
    seen = read(data.draw(strategies.fragmentations(raw)), eof=close)
    assert (seen.body, seen.error, seen.finished, seen.reusable) == (body, None, True, not close)


SCRAPS = [
    *(
        b"HTTP/1.1 200 OK\r\n",
        b"HTTP/1.1 100 Continue\r\n\r\n",
        b"HTTP/1.0 404 No\n",
        b"Transfer-Encoding: chunked\r\n",
        b"\r\n",
        b"\n",
    ),
    *(
        b"Content-Length: 5\r\n",
        b"Content-Length: 0\r\n",
        b"Content-Type: text/event-stream\r\n",
        b"A: b\r\n",
        b" folded\r\n",
        b"\r",
    ),
    *(
        b"5\r\nmoon!\r\n",
        b"0\r\n",
        b"0\r\n\r\n",
        b"5;a\r\n",
        b"%x\r\n%s\r\n" % (len(END), END),
        END,
        b"zz\r\n",
        b":",
        b"\x00",
    ),
]


@settings(deadline=None)
@given(
    st.data(),
    st.lists(st.sampled_from(SCRAPS) | st.binary(max_size=5), max_size=12).map(b"".join),
    st.booleans(),
    st.booleans(),
)
def test_any_bytes_come_to_the_same_in_any_fragmentation(
    data: st.DataObject, junk: bytes, after_head: bool, eof: bool
):
    raw = (EVENTS if after_head else b"") + junk
    whole = read([raw], eof=eof)
    assert type(whole.error) in (type(None), ConnectionLost, RemoteProtocolError)
    chunks = data.draw(strategies.fragmentations(raw))
    assert read(chunks, eof=eof).key == whole.key
    assert run_socket(QUERY, chunks, eof=eof).key == run_socket(QUERY, [raw], eof=eof).key
