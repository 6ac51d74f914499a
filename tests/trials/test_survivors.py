"""What a mutation run found untested: the code was right, and nothing would have noticed if not.

These tests pass. Each names the change of the code that it catches.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from functools import partial
from typing import Any

import pytest

from moondream_transports import Client, Hooks, RetryPolicy, Timeline, Timeouts, VirtualClock
from sansio_moondream import (
    ConnectError,
    ConnectionLost,
    HTTPRequest,
    LimitExceeded,
    Limits,
    MoondreamError,
    RemoteProtocolError,
    Request,
    ResponseStream,
    TextDelta,
)
from sansio_moondream.testing import EVENT_STREAM, check_fragmentations, run
from tests.helpers import CAPTION, CHAT, END, QUERY, SEGMENT, delta, record
from tests.transports.fakes import ENDPOINT, FakeStream

DONE = b"data: [DONE]\n\n"
JSON = (("content-type", "application/json"),)


class Timed(FakeStream):
    """A transport on a clock of its own: so many seconds pass before each step, and in `send`."""

    def __init__(
        self,
        *steps: tuple[float, bytes | MoondreamError],
        head_after: float = 0.0,
        refuses: MoondreamError | None = None,
    ) -> None:
        super().__init__(*(partial(self.take, *step) for step in steps), refuses=refuses)
        self.clock = VirtualClock()
        self.head_after = head_after

    def send(self, request: HTTPRequest, timeouts: Timeouts) -> FakeStream:
        self.clock.sleep(self.head_after)
        return super().send(request, timeouts)

    def take(self, seconds: float, step: bytes | MoondreamError) -> bytes:
        """Let the time pass, and then give the bytes, or raise the error."""
        self.clock.sleep(seconds)
        if isinstance(step, bytes):
            return step
        raise step


# The decoder


@pytest.mark.parametrize(
    "payload",
    [
        b'{"chunk":\r"a"}',
        b'{"chunk": "a"\r}',
        b'{\r"chunk": "a"}',
        b'{"chunk": "a",\r"completed": false}',
    ],
    ids=repr,
)
def test_carriage_return_inside_a_record_ends_its_line(payload: bytes) -> None:
    """Catches a fast path that leaves a raw CR to the JSON decoder, to which it is a blank."""
    for before in (b"", delta("a moon")):
        outcome = check_fragmentations(QUERY, before + b"data: " + payload + b"\n\n" + END)
        assert outcome.events == [TextDelta("a moon")] * bool(before)
        assert type(outcome.error) is RemoteProtocolError


def chat_record(**fields: str) -> bytes:
    return record({"choices": [{"index": 0, "delta": fields, "finish_reason": None}]})


CHAT_END = record({"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}) + DONE
TEXTS: dict[str, tuple[Request[Any], bytes, bytes, Any]] = {
    "a delta": (QUERY, delta("abc"), END, EVENT_STREAM),
    "a delta with an unknown field": (QUERY, record({"chunk": "abc", "new": 1}), END, EVENT_STREAM),
    "a caption": (CAPTION, record({"chunk": "abc", "request_id": "7"}), END, EVENT_STREAM),
    "the last message": (QUERY, record({"chunk": "abc", "completed": True}), b"", EVENT_STREAM),
    "a whole answer": (QUERY, b'{"answer": "abc"}', b"", JSON),
    "a path": (SEGMENT, record({"type": "path_delta", "chunk": "M00"}), END, EVENT_STREAM),
    "a chat": (CHAT, chat_record(content="abc"), CHAT_END, EVENT_STREAM),
    "the reasoning of a chat": (CHAT, chat_record(reasoning="abc"), CHAT_END, EVENT_STREAM),
}


@pytest.mark.parametrize(("request_", "text", "end", "headers"), TEXTS.values(), ids=TEXTS.keys())
def test_text_limit_is_met_exactly(
    request_: Request[Any],
    text: bytes,
    end: bytes,
    headers: Any,
) -> None:
    """Catches a limit that is one byte higher or lower, wherever text comes from."""
    for count in (1,) if headers is JSON or not end else (1, 2, 100):
        for most, kind in ((3 * count, type(None)), (3 * count - 1, LimitExceeded)):
            data = text * count + end
            outcome = run(request_, [data], headers=headers, limits=Limits(max_text_bytes=most))
            assert type(outcome.error) is kind, (count, most)


@pytest.mark.parametrize(
    ("first", "second"),
    [("\\ud800", "\\udc00"), ("\\udbff", "\\udfff"), ("\\udbff", "\\udc00")],
)
def test_first_and_last_surrogates_are_joined(first: str, second: str) -> None:
    """Catches bounds of the leading surrogates, U+D800 to U+DBFF, that are one off."""
    messages = f'data: {{"chunk": "a{first}"}}\n\ndata: {{"chunk": "{second}b"}}\n\n'
    outcome = check_fragmentations(QUERY, messages.encode() + END)
    assert outcome.error is None
    joined = (first + second).encode().decode("unicode_escape")
    character = joined.encode("utf-16-le", "surrogatepass").decode("utf-16-le")
    assert outcome.events[:-1] == [TextDelta("a"), TextDelta(f"{character}b")]


def test_what_is_no_leading_surrogate_is_not_waited_behind() -> None:
    """Catches the same: the characters beside the leading surrogates come out at once."""
    stream = ResponseStream(QUERY)
    stream.receive_response(200, EVENT_STREAM)
    for spelled, shown in (("\\ud7ff", "\ud7ff"), ("\\udc00", "\ufffd"), ("\\ue000", "\ue000")):
        for new in ("", ', "new": 1'):  # by the fast path, and by the slow one
            stream.receive_data(f'data: {{"chunk": "{spelled}"{new}}}\n\n'.encode())
            assert list(stream.events()) == [TextDelta(shown)]


def test_message_that_only_says_that_more_comes_is_no_event() -> None:
    """Catches `completed` missing among the fields that a segmentation knows."""
    outcome = check_fragmentations(SEGMENT, record({"completed": False}))
    assert outcome.events == []


ORDINARY: dict[str, tuple[Request[Any], dict[str, Any]]] = {
    "engine": (QUERY, {"chunk": " moon", "completed": False, "token_index": 3}),
    "station": (CAPTION, {"chunk": " moon"}),
    "documented": (QUERY, {"chunk": " moon", "completed": False, "request_id": "7"}),
    "path": (SEGMENT, {"type": "path_delta", "chunk": " L 1 1", "completed": False}),
    "chat": (CHAT, {"choices": [{"index": 0, "delta": {"content": " moon"}}]}),
}


def calls(request: Request[Any], first: bytes, chunks: Iterable[bytes]) -> int:
    """How many Python functions it takes to decode these chunks, behind a first one.

    The first one is preceded by a comment with a CR LF, so that it takes the slow path.
    """
    stream = ResponseStream(request)
    stream.receive_response(200, EVENT_STREAM)
    stream.receive_data(b": comment\r\n\n" + first)
    list(stream.events())
    count = 0

    def profile(_frame: object, event: str, _argument: object) -> None:
        nonlocal count
        count += event == "call"

    before = sys.getprofile()
    sys.setprofile(profile)
    try:
        for chunk in chunks:
            stream.receive_data(chunk)
            list(stream.events())
    finally:
        sys.setprofile(before)
    return count


@pytest.mark.parametrize("alone", [True, False], ids=["one a chunk", "many a chunk"])
@pytest.mark.parametrize(("request_", "message"), ORDINARY.values(), ids=ORDINARY.keys())
def test_fast_path_is_taken(request_: Request[Any], message: dict[str, Any], alone: bool) -> None:
    """Catches a fast path that refuses everything: the events are the same, only slower.

    An unknown field is what it refuses, so such messages show what the slow path takes.
    """
    taken = {}
    for name, fields in (("fast", message), ("slow", {**message, "new": 1})):
        data = record(fields)
        chunks = [data] * 100 if alone else [data * 100]
        taken[name] = calls(request_, data, chunks)
    assert taken["slow"] >= 1000, taken
    assert taken["fast"] * 4 < taken["slow"], taken


# The exchange


def test_wait_that_ends_with_the_total_ends_in_the_fault() -> None:
    """Catches `left < 0` for `left <= 0`: not a moment is left for another attempt."""
    transport = Timed(refuses=ConnectError("refused"))
    client = Client(
        transport,
        ENDPOINT,
        timeouts=Timeouts(total=20),
        retries=RetryPolicy(initial_backoff=1, max_backoff=1),
        sleep=lambda _: transport.clock.sleep(20),
    )
    with pytest.raises(ConnectError, match="refused"):
        client.send(QUERY)
    assert transport.clock.monotonic() == 20
    assert len(transport.requests) == 1


@pytest.mark.parametrize("kind", [ConnectError, ConnectionLost, RemoteProtocolError])
@pytest.mark.parametrize("where", ["the head", "the first event", "the body"])
def test_fault_after_the_total_is_no_timeout(where: str, kind: type[MoondreamError]) -> None:
    """Catches that any error becomes TotalTimeout when the time is over: only timeouts do."""
    error = kind("it broke")
    transport = {
        "the head": Timed(head_after=99, refuses=error),
        "the first event": Timed((99, error)),
        "the body": Timed((1, delta("A")), (98, error)),
    }[where]

    def ask() -> None:
        with Client(transport, ENDPOINT, timeouts=Timeouts(total=20)).stream(QUERY) as stream:
            stream.result()

    with pytest.raises(kind) as caught:
        ask()
    assert caught.value is error
    assert transport.clock.monotonic() == 99


class Notes(Hooks):
    """Keeps the timeline of an exchange that has ended."""

    timeline: Timeline

    def on_end(self, timeline: Timeline) -> None:
        self.timeline = timeline


def moments(transport: Timed, *, leave_after: int | None = None) -> tuple[float | None, ...]:
    """When the answer was complete, and when the exchange ended; its reader takes 5 s an event."""
    notes = Notes()
    with Client(transport, ENDPOINT, hooks=notes).stream(QUERY) as stream:
        for count, _ in enumerate(stream, 1):
            transport.clock.sleep(5)
            if count == leave_after:
                break
    assert (notes.timeline.completed_at is None) == (notes.timeline.metadata is None)
    return notes.timeline.completed_at, notes.timeline.ended_at


def test_completed_at_is_when_the_last_message_had_come() -> None:
    """Catches a moment that is never noted, noted at the end, or noted again there."""
    assert moments(Timed((1, delta("A")), (2, END), (0, b""))) == (8, 13)
    assert moments(Timed((1, delta("A")), (2, END), (0, b"")), leave_after=2) == (8, 13)
    assert moments(Timed((1, delta("A")), (2, END), (0, b"")), leave_after=1) == (None, 6)
    # In one chunk the answer is complete before its reader has seen the first event.
    assert moments(Timed((1, delta("A") + END), (0, b""))) == (1, 11)
    assert moments(Timed((1, delta("A") + END), (0, b"")), leave_after=1) == (1, 6)
