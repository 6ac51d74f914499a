"""HTTP/1.1: heads and bodies that servers may send."""

from __future__ import annotations

import pytest

from sansio_moondream import (
    NEED_DATA,
    ConnectionLost,
    Headers,
    HTTP11Exchange,
    HTTPRequest,
    LocalProtocolError,
    RemoteProtocolError,
    ResponseHead,
)
from tests.core.http11 import (
    BODIES,
    CHUNKED,
    CONNECT,
    NO_WHOLE_BODY,
    NO_WHOLE_HEAD,
    OK,
    POST,
    check,
    read,
)


@pytest.mark.parametrize("name", BODIES)
def test_bodies_end_by_themselves(name: str):
    raw, body = BODIES[name]
    seen = check(raw)
    assert (seen.body, seen.error, seen.finished, seen.reusable) == (body, None, True, True)
    short = check(raw[:-1], eof=True)
    assert type(short.error) is ConnectionLost
    assert short.words == (NO_WHOLE_BODY if short.head is not None else NO_WHOLE_HEAD)
    assert body.startswith(short.body)


@pytest.mark.parametrize("name", BODIES)
def test_no_byte_may_be_missing(name: str):
    raw, body = BODIES[name]
    for length in range(0, len(raw), 1 if len(raw) < 400 else 61):
        seen = read([raw[:length]], eof=True)
        assert (type(seen.error), seen.finished) == (ConnectionLost, False)
        assert seen.words == (NO_WHOLE_BODY if seen.head is not None else NO_WHOLE_HEAD)
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
        b"HTTP/1.1 429 Slow Down\r\nRetry-After: 7\r\nX-A: b\xff\r\nx-a:  c \t\r\n"
        b"Content-Length: 0\r\n\r\n"
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
        seen = check(b"4\r\nmoon\r\n" + bad, head=CHUNKED)
        assert seen.body == b"moon"
        assert seen.words == "the server sent what is not HTTP/1.1: illegal chunk header"
