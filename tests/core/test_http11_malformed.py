"""HTTP/1.1: heads and chunks that break the rules. No error has a secret in it."""

from __future__ import annotations

import traceback

import pytest

from sansio_moondream import ConnectionLost, HTTPRequest, RemoteProtocolError
from tests.core.http11 import CHUNKED, MALFORMED, NOT, SECRET, check
from tests.helpers import chunked


@pytest.mark.parametrize("name", MALFORMED)
def test_malformed_heads(name: str):
    raw, words = MALFORMED[name]
    for eof in (False, True):
        seen = check(raw + b"4\r\nmoon\r\n0\r\n\r\n", eof=eof)
        assert (type(seen.error), seen.words) == (RemoteProtocolError, words)
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
        (b"session=hunter2", "b's'"),
    ],
)
def test_what_is_no_head_is_known_by_its_first_wrong_byte(raw: bytes, seen: str):
    words = f"the server does not speak HTTP/1.1: its answer begins with {seen}, not with HTTP/1."
    for before in (b"", b"HTTP/1.1 103 Early Hints\r\n\r\n"):
        for eof in (False, True):
            outcome = check(before + raw, eof=eof)
            assert (type(outcome.error), outcome.words) == (RemoteProtocolError, words)


def test_another_protocol_is_refused_whether_it_was_offered_or_not():
    raw = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n\x81\x00"
    upgrading = HTTPRequest(
        "POST", "http://h/", (("Upgrade", "websocket"), ("Connection", "upgrade")), b""
    )
    assert type(check(raw).error) is RemoteProtocolError
    offered = check(raw, request=upgrading)
    assert type(offered.error) is RemoteProtocolError
    assert offered.words == "the server switched to another protocol"


@pytest.mark.parametrize(
    ("bad", "words"),
    [
        (b"zz\r\n", "illegal chunk header"),
        (b"-5\r\nabcde", "illegal chunk header"),
        (b"+5\r\nabcde", "illegal chunk header"),
        (b"0x5\r\nabcde", "illegal chunk header"),
        (b"5_0\r\nabcde", "illegal chunk header"),
        (b" 5\r\nabcde", "illegal chunk header"),
        (b"5 5\r\nabcde", "illegal chunk header"),
        (b"5\nabcde\r\n", "illegal chunk header"),
        (b"5;a\nb\r\nabcde", "illegal chunk header"),
        (b"5\rabcde\r\n", "illegal chunk header"),
        (b"\xb2\r\nab", "illegal chunk header"),
        (b"1" * 21 + b"\r\n", "illegal chunk header"),
        (b"session=hunter2\r\n", "illegal chunk header"),
        (b"4\r\nmoonX", "malformed chunk footer"),
        (b"4\r\nmoon\n0\r\n\r\n", "malformed chunk footer"),
        (b"4\r\nmoon\rX", "malformed chunk footer"),
        (b"0\r\nSet-Cookie session=hunter2\r\n\r\n", "illegal header line"),
        (b"0\r\n a: session=hunter2\r\n\r\n", "continuation line at start of headers"),
        (b"0\r\nContent-Length: hunter2\r\n\r\n", "bad Content-Length"),
    ],
)
def test_malformed_chunks(bad: bytes, words: str):
    good = chunked(b"harvest", last=False)
    body = b"harvest" + bad[3:7] * bad.startswith(b"4\r\nmoon")
    for eof in (False, True):
        seen = check(good + bad, eof=eof, head=CHUNKED)
        assert (type(seen.error), seen.words, seen.body) == (
            RemoteProtocolError,
            NOT + words,
            body,
        )
        assert seen.error is not None
        assert "hunter2" not in "".join(traceback.format_exception(seen.error))


@pytest.mark.parametrize("behind", [b"", b"1\r\n", b"5\r\nabcde\r\n", b"\r\n"])
def test_an_empty_size_says_that_the_body_broke_off(behind: bytes):
    """h2o sends an empty line, `1`, and closes when its upstream broke."""
    good = chunked(b"harvest", last=False)
    for eof in (False, True):
        seen = check(good + b"\r\n" + behind, eof=eof, head=CHUNKED)
        assert (type(seen.error), seen.body, seen.reusable) == (ConnectionLost, b"harvest", False)
        assert seen.words == ("the server broke the body off: the size of its next chunk is empty")


def test_a_size_that_quotes_an_empty_one_is_malformed():
    seen = check(CHUNKED + rb"bytearray(b'\r\n')" + b"\r\n")
    assert (type(seen.error), seen.words) == (
        RemoteProtocolError,
        NOT + "illegal chunk header",
    )


@pytest.mark.parametrize("footer", [b"XX", b"\r\r", b"\n\n"])
def test_a_malformed_footer_among_plain_chunks(footer: bytes):
    """The fast path takes chunks without extensions."""
    seen = check(CHUNKED + b"7\r\nharvest\r\n4\r\nmoon" + footer + b"0\r\n\r\n")
    assert (seen.words, seen.body) == (NOT + "malformed chunk footer", b"harvestmoon")
