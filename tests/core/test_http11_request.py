"""HTTP/1.1: the bytes of a request, and which requests are refused."""

from __future__ import annotations

import traceback
from typing import Any

import pytest

from sansio_moondream import HTTP11Exchange, HTTPRequest, LocalProtocolError
from tests.core.http11 import POST


def sent(request: HTTPRequest, **options: Any) -> bytes:
    return HTTP11Exchange(request, **options).data_to_send()


def test_the_request_is_sent_whole_and_once():
    exchange = HTTP11Exchange(POST)
    expected = (
        b"POST /v1/query HTTP/1.1\r\nHost: localhost:2020\r\nContent-Length: 2\r\n"
        b"Accept: */*\r\n\r\n{}"
    )
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
        b"PUT / HTTP/1.1\r\nhOsT: other\r\nX-Two: 1\r\nX-Two: 2\r\ncontent-LENGTH: 2\r\n"
        b"X-Latin: \xe9\r\nX-Empty: \r\n\r\n{}"
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
    expected = (
        f"CONNECT {authority} HTTP/1.1\r\nHost: {authority}\r\nProxy-Authorization: Basic x\r\n\r\n"
    ).encode()
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
