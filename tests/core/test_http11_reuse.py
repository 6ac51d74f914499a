"""HTTP/1.1: when a connection can be used again, and calls out of order."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from typing import Any

import pytest

from sansio_moondream import (
    FINISHED,
    NEED_DATA,
    HTTP11Exchange,
    HTTPRequest,
    LocalProtocolError,
    MoondreamError,
    RemoteProtocolError,
    ResponseHead,
)
from tests.core.http11 import BODIES, CHUNKED, CONNECT, MALFORMED, OK, POST, read


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


def test_a_204_has_no_body_whatever_its_head_says():
    exchange = HTTP11Exchange(POST)
    exchange.data_to_send()
    exchange.receive_data(b"HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\n\r\n")
    exchange.receive_data(b"4\r\nmoon\r\n0\r\n\r\n")
    assert isinstance(exchange.next_event(), ResponseHead)
    assert exchange.next_event() is FINISHED
    assert not exchange.reusable


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
    """Return the next event, or the error that is raised in its place."""
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


def test_data_after_an_error_is_dropped():
    exchange = HTTP11Exchange(POST)
    exchange.receive_data(b"garbage")
    with pytest.raises(RemoteProtocolError) as first:
        exchange.next_event()
    exchange.receive_data(BODIES["length"][0])
    with pytest.raises(RemoteProtocolError) as second:
        exchange.next_event()
    assert first.value is second.value
    assert not exchange.reusable
