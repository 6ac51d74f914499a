"""Rows 5 to 16 of the table of faults: the connection, and the end of the body."""

from __future__ import annotations

from collections.abc import Iterator

from moondream_transports import Timeouts
from sansio_moondream import (
    ConnectionLost,
    FirstEventTimeout,
    IdleTimeout,
    IncompleteStream,
    RemoteProtocolError,
    TotalTimeout,
)

from ._fault_server import LAST_CHUNK, Peer, chunk, head
from ._faults import (
    CLOSE_DELIMITED,
    DELTAS,
    END,
    EVENTS,
    F1,
    F1_AT_ONCE,
    WHOLE_BODY,
    HTTPFault,
    answers,
    bytes_of,
    repeatedly,
    reset,
    sent_apart,
    sized,
    wait,
)

# A machine may be busy, so only the deadline under test is short.
_FIRST_EVENT = Timeouts(connect=5, first_event=0.25, idle=0.25, total=5)
_IDLE = Timeouts(connect=5, first_event=5, idle=0.25, total=5)
_TOTAL = Timeouts(idle=1, total=1.5)
_COMMENT = chunk(b": wait\n\n")


def connection_faults() -> Iterator[HTTPFault]:
    """Rows 5 to 16."""
    yield from _before_the_head()
    yield from _no_first_event()
    yield from _broken_body()
    yield from _body_without_end_of_stream()
    yield from _after_the_end_of_stream()


def _before_the_head() -> Iterator[HTTPFault]:
    lost = ConnectionLost
    for where, segments in {
        "before any byte of the head": (),
        "in the middle of the status line": (b"HTTP/1.1 20",),
        "in the middle of the head": (b"HTTP/1.1 200 OK\r\nContent-Type: text/ev",),
        "before the blank line of the head": (head()[:-2],),
    }.items():
        yield HTTPFault(5, f"closes {where}", answers(*segments), 0, lost)
    garbage = answers(b"SSH-2.0-OpenSSH_9.9\r\n\r\n")
    yield HTTPFault(5, "sends garbage instead of a head", garbage, 0, RemoteProtocolError)
    banner = answers(b"SSH-2.0-OpenSSH_9.9\r\n", then=wait)
    yield HTTPFault(
        5,
        "sends a banner without a blank line, then nothing",
        banner,
        0,
        RemoteProtocolError,
        _FIRST_EVENT,
    )


def _no_first_event() -> Iterator[HTTPFault]:
    for name, script in {
        "sends nothing": answers(then=wait),
        "sends part of the head, then nothing": answers(head()[:20], then=wait),
        "sends a head that never ends": answers(
            head()[:-2] + b"X-Slow: ", then=repeatedly(b"x", 0.01)
        ),
        "sends the head, then nothing": answers(head(), then=wait),
        "sends only comments": answers(head(), then=repeatedly(_COMMENT, 0.01)),
        "sends a flood of comments": answers(head(), then=repeatedly(_COMMENT * 99)),
    }.items():
        yield HTTPFault(6, name, script, 0, FirstEventTimeout, _FIRST_EVENT)


def _broken_body() -> Iterator[HTTPFault]:
    lost = ConnectionLost
    yield HTTPFault(7, "closes between two chunks", answers(*F1), 5, lost)
    yield HTTPFault(7, "closes inside a chunk", answers(*F1, b"50\r\ndata: {"), 5, lost)
    yield HTTPFault(7, "closes inside the size of a chunk", answers(*F1, b"5"), 5, lost)
    breaks_off = answers(*F1, then=_break_off_after_events)
    yield HTTPFault(7, "breaks a chunked body off, as h2o does", breaks_off, 5, lost)
    resets = answers(*F1, then=_reset_after_events)
    yield HTTPFault(8, "resets the connection between two chunks", resets, 5, lost)
    short = answers(sized(b"".join(DELTAS), length=1000))
    yield HTTPFault(9, "closes before the end of a body with Content-Length", short, 5, lost)


def _body_without_end_of_stream() -> Iterator[HTTPFault]:
    for name, script, events in (
        ("ends a close-delimited body", answers(CLOSE_DELIMITED, *DELTAS), 5),
        ("ends a chunked body", answers(*F1, LAST_CHUNK), 5),
        ("ends an empty chunked body", answers(head(), LAST_CHUNK), 0),
    ):
        yield HTTPFault(10, f"{name} without end of stream", script, events, IncompleteStream)
    for name, rest in {
        "sends nothing more after five events": b"",
        "stops in the middle of a line": b"50\r\ndata: {",
        "stops inside the size of a chunk": b"5",
    }.items():
        yield HTTPFault(11, name, answers(F1_AT_ONCE + rest, then=wait), 5, IdleTimeout, _IDLE)
    comments = answers(F1_AT_ONCE, then=repeatedly(_COMMENT, 0.02))
    yield HTTPFault(
        12, "sends comments for ever after five events", comments, 5, TotalTimeout, _TOTAL
    )


def _after_the_end_of_stream() -> Iterator[HTTPFault]:
    slowly = answers(CLOSE_DELIMITED, then=sent_apart(bytes_of(DELTAS[0] + END), 0.003))
    yield HTTPFault(13, "sends a whole answer byte by byte", slowly, 1)
    whole = (*F1, chunk(END))
    after = "after the end of stream"
    yield HTTPFault(14, f"sends nothing more {after}", answers(*whole, then=wait), 5)
    yield HTTPFault(15, f"resets the connection {after}", answers(*whole, then=reset), 5)
    yield HTTPFault(15, f"sends garbage {after}", answers(*whole, b"\0garbage", then=wait), 5)
    second = answers(*whole, LAST_CHUNK, *F1, then=wait)
    yield HTTPFault(15, f"sends a second response {after}", second, 5, keeps=True)
    more = answers(*whole, chunk(DELTAS[0]), LAST_CHUNK)
    yield HTTPFault(15, f"sends more events {after}", more, 5)
    for missing, cut in (("its blank line", 1), ("any line end", 2)):
        script = answers(sized(WHOLE_BODY[:-cut]))
        yield HTTPFault(16, f"sends the last event without {missing}", script, 5)


def _break_off_after_events(peer: Peer) -> None:
    for _ in EVENTS:  # some libraries drop what came just before
        peer.wait_for_event()
    peer.send(b"\r\n1\r\n")


def _reset_after_events(peer: Peer) -> None:
    for _ in EVENTS:  # a reset may overtake what was sent before it
        peer.wait_for_event()
    peer.reset()
