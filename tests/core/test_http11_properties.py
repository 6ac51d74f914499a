"""HTTP/1.1: any body in any framing, and any bytes in any fragmentation."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from sansio_moondream import ConnectionLost, RemoteProtocolError
from sansio_moondream.testing import strategies
from tests.core.http11 import CHUNKED, EVENTS, OK, read
from tests.helpers import END, QUERY, chunked, run_socket


@settings(deadline=None)
@given(
    st.data(),
    st.binary(max_size=200),
    st.lists(st.integers(1, 40), min_size=1, max_size=5),
    st.sampled_from(["chunks", "length", "close"]),
)
def test_any_body_in_any_framing_and_fragmentation_comes_back(
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
