"""The fast path of HTTP/1.1 gives what h11 gives, to the byte."""

from __future__ import annotations

from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from sansio_moondream import HTTP11Exchange, HTTPRequest, LocalProtocolError
from sansio_moondream._wire.http11_plain import plain_head
from sansio_moondream.testing import at_offsets
from tests.core.http11 import BODIES, MALFORMED, OK, POST, check, read

# A field about the connection, which changes nothing here: only h11 handles such a request.
BY_H11 = replace(POST, headers=(*POST.headers, ("Connection", "keep-alive")))
LENGTH = b"Content-Length: 4\r\n"
HEADS = {
    "status without a reason": b"HTTP/1.1 200\r\n" + LENGTH,
    "status with an empty reason": b"HTTP/1.1 200 \r\n" + LENGTH,
    "reason not ASCII": b"HTTP/1.1 200 \xfc\r\n" + LENGTH,
    "reason with a tab": b"HTTP/1.1 200 a\tb\r\n" + LENGTH,
    "error": b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\n" + LENGTH,
    "redirection": b"HTTP/1.1 302 Found\r\nLocation: /\r\n" + LENGTH,
    "status 600": b"HTTP/1.1 600 No\r\n" + LENGTH,
    "status 199": b"HTTP/1.1 199 No\r\n" + LENGTH,
    "status 204": b"HTTP/1.1 204 No Content\r\n" + LENGTH,
    "status 304": b"HTTP/1.1 304 Not Modified\r\n" + LENGTH,
    "HTTP/1.0": b"HTTP/1.0 200 OK\r\n" + LENGTH,
    "length without blanks": OK + b"Content-Length:4\r\n",
    "length with blanks": OK + b"content-LENGTH: \t 4 \t \r\n",
    "length with zeros": OK + b"Content-Length: 0004\r\n",
    "length of 15 digits": OK + b"Content-Length: 000000000000004\r\n",
    "length of 16 digits": OK + b"Content-Length: 0000000000000004\r\n",
    "length and no coding": OK + LENGTH + b"Content-Encoding: identity\r\n",
    "connection kept": OK + LENGTH + b"Connection: Keep-Alive\r\n",
    "connection closed": OK + b"Connection: close\r\n" + LENGTH,
    "connection kept and closed": OK + b"Connection: keep-alive, close\r\n" + LENGTH,
    "empty connection": OK + b"Connection:\r\n" + LENGTH,
    "empty values": OK + b"A:\r\nB: \r\nC: \t\r\n" + LENGTH,
    "blanks in a value": OK + b"A: b  c\td \r\n" + LENGTH,
    "value not ASCII": OK + b"A: \xe9\r\n" + LENGTH,
    "control in a value": OK + b"A: b\x01c\r\n" + LENGTH,
    "DEL in a value": OK + b"A: b\x7fc\r\n" + LENGTH,
    "LF line end": OK + b"A: b\n" + LENGTH,
    "folded line": OK + b"A: b\r\n\tc\r\n" + LENGTH,
    "field twice": OK + b"Set-Cookie: a\r\nSet-Cookie: b\r\n" + LENGTH,
    "no length": OK + b"A: b\r\n",
    "no fields": OK,
    "upgrade": OK + b"Upgrade: h2c\r\nConnection: Upgrade\r\n" + LENGTH,
    "switched": b"HTTP/1.1 101 Switching\r\nUpgrade: h2c\r\nConnection: Upgrade\r\n",
    "all the characters of a name": OK + b"!#$%&'*+-.^_`|~09azAZ: b\r\n" + LENGTH,
    "another character in a name": OK + b"a/b: c\r\n" + LENGTH,
}
RAW = {name: head + b"\r\nmoon" for name, head in HEADS.items()}
RAW |= {name: raw for name, (raw, _) in (BODIES | MALFORMED).items()}


@pytest.mark.parametrize("name", RAW)
def test_a_response(name: str):
    for raw, eof in product((RAW[name], RAW[name] + b"!"), (False, True)):
        for size in (1, 7, len(raw)):
            chunks = at_offsets(raw, [*range(size, len(raw), size)])
            found = [read(chunks, eof=eof, request=request) for request in (POST, BY_H11)]
            assert found[0].key == found[1].key


@pytest.mark.parametrize("missing", range(1, 5))
def test_a_body_that_ends_early(missing: int):
    raw = RAW["error"][:-missing]
    found = check(raw, eof=True)
    assert found.key == read([raw], eof=True, request=BY_H11).key
    assert (found.words, found.reusable) == (
        "the server closed the connection before the end of the body",
        False,
    )


@given(
    st.lists(
        st.sampled_from(
            [b"HTTP/1.1 200", b" ", b"\t", b"\r\n", b"\r", b"A", b":", b"-", LENGTH, b"\x00"]
        )
    )
)
def test_a_drawn_head(parts: list[bytes]):
    raw = b"".join(parts) + b"\r\n" + LENGTH + b"\r\nmoon"
    assert read([raw], request=POST).key == read([raw], request=BY_H11).key


def test_which_heads_are_plain():
    plain = {name for name, head in HEADS.items() if plain_head(head + b"\r\n") is not None}
    assert plain == {
        "status without a reason",
        "status with an empty reason",
        "error",
        "redirection",
        "length without blanks",
        "length with blanks",
        "length with zeros",
        "length of 15 digits",
        "length and no coding",
        "connection kept",
        "empty values",
        "blanks in a value",
        "field twice",
        "all the characters of a name",
    }


def sent(request: HTTPRequest) -> bytes | str:
    try:
        return HTTP11Exchange(request).data_to_send()
    except LocalProtocolError as error:
        return str(error)


@pytest.mark.parametrize(
    "headers",
    [
        (),
        (("X-Moondream-Auth", "key"),),
        (("A", ""), ("B", "c  d"), ("a", "again")),
        (("A", "b\xe9"),),
        (("A", " b"),),
        (("A", "b "),),
        (("A", "b\r\nC: d"),),
        (("A", "b\x00"),),
        (("A\r\nB", "c"),),
        (("A b", "c"),),
        (("", "c"),),
        (("Host", "example.org"),),
        (("Content-Length", "2"),),
        (("content-length", "3"),),
        (("Host", "example.org"), ("Content-Length", "2")),
        (("Host", "example.org"), ("Content-Length", "3")),
        (("Host", ""), ("Content-Length", "2")),
        (("Transfer-Encoding", "chunked"),),
        (("Expect", "100-continue"),),
    ],
)
def test_a_request(headers: tuple[tuple[str, str], ...]):
    request = replace(POST, headers=headers)
    by_h11 = sent(replace(request, headers=(*headers, ("Connection", "keep-alive"))))
    if isinstance(by_h11, bytes):
        by_h11 = by_h11.replace(b"Connection: keep-alive\r\n", b"")
    assert sent(request) == by_h11


def test_another_method_goes_to_h11():
    request = HTTPRequest("GET", POST.url, (), b"")
    assert sent(request) == (
        b"GET /v1/query HTTP/1.1\r\nHost: localhost:2020\r\nContent-Length: 0\r\n\r\n"
    )
    assert read([RAW["error"]], request=request).reusable
