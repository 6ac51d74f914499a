"""`SocketStream`: events from the bytes of a socket, and how a connection may break."""

from __future__ import annotations

import gzip

import pytest

from sansio_moondream import (
    FINISHED,
    NEED_DATA,
    AuthenticationError,
    Completed,
    ConnectionLost,
    Endpoint,
    IncompleteStream,
    LimitExceeded,
    LocalProtocolError,
    PayloadTooLargeError,
    QueryResult,
    RemoteProtocolError,
    SocketStream,
    State,
    TextDelta,
)
from sansio_moondream.testing import each_byte, every_fragmentation
from tests.core.http11 import EVENTS, FIVE, NO_WHOLE_BODY, NO_WHOLE_HEAD, NOT, OK
from tests.helpers import END, LOCAL, QUERY, chunked, delta, head, run_socket


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
    "5: nothing": (b"", [], ConnectionLost, NO_WHOLE_HEAD),
    "5: a partial head": (EVENTS[:40], [], ConnectionLost, NO_WHOLE_HEAD),
    "7: between chunks": (EVENTS + chunked(FIVE, last=False), 5, ConnectionLost, NO_WHOLE_BODY),
    "7: inside a chunk": (
        EVENTS + b"%x\r\n" % (len(FIVE) + 1) + FIVE,
        5,
        ConnectionLost,
        NO_WHOLE_BODY,
    ),
    "9: short of its length": (
        head(200, [("Content-Type", "text/event-stream"), ("Content-Length", "9999")]) + FIVE,
        5,
        ConnectionLost,
        NO_WHOLE_BODY,
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
    "15: broken after it": (EVENTS + chunked(FIVE + END, last=False), 6, None, None),
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
    assert words is None or (whole.error is not None and whole.error.message == words)
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
