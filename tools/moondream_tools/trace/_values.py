"""The parts of a trace. Times are seconds since the request was sent; offsets are bytes."""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import Struct, field

from sansio_moondream._repr import OwnRepr

VERSION = 1
"""Of the JSON form, in its field `trace`."""


class TraceRequest(Struct, frozen=True):
    """The request, as the recording has it: without its host, key and pictures.

    Attributes:
        method, path: of the request.
        headers: pairs of name and value.
        body: JSON, or None. Each picture is an object with `sha256` and its size.
    """

    method: str
    path: str
    headers: tuple[tuple[str, str], ...]
    body: Any


class TraceResponse(Struct, frozen=True):
    """The head of the response.

    Attributes:
        status_code: of the response.
        headers: pairs of name and value.
    """

    status_code: int
    headers: tuple[tuple[str, str], ...]


class TraceTimes(Struct, frozen=True):
    """When the exchange came to its stages; None for a stage that it did not come to, or that the
    recording does not know.

    Attributes:
        connected: the connection was there.
        head: the head of the response had been received.
        first_event: the first event was ready.
    """

    connected: float | None
    head: float | None
    first_event: float | None


class TraceDeadlines(Struct, frozen=True):
    """The client's `Timeouts`, in seconds; None for no limit.

    Attributes:
        connect, first_event, idle, total: as in `Timeouts`.
    """

    connect: float | None
    first_event: float | None
    idle: float | None
    total: float | None


class TraceChunk(Struct, frozen=True, gc=False):
    """Bytes of the body that were received at once.

    Attributes:
        at: when.
        start, end: where they are in `Trace.body`.
        decoded_end: how much of `Trace.decoded` is there with them. The same as `end`, if the body
            is not compressed.
        cut: bytes at its end, in the decoded body, of a character that it does not complete.
    """

    at: float
    start: int
    end: int
    decoded_end: int
    cut: int


class TraceRecord(Struct, frozen=True, gc=False):
    """A record of the event stream, with the comments and the blank lines before it.

    Attributes:
        at: when its last byte was received.
        chunk: the index of the chunk that completed it.
        start, end: where it is in `Trace.decoded`.
        event: its event name, or "".
        message: the index of its message; None if its data is no JSON, as in `[DONE]`.
    """

    at: float
    chunk: int
    start: int
    end: int
    event: str
    message: int | None


class TraceMessage(Struct, frozen=True, gc=False):
    """A JSON value that the body carries.

    Attributes:
        record: the index of its record; None for a body that is JSON as a whole.
        value: the JSON.
    """

    record: int | None
    value: Any


class TraceEvent(Struct, frozen=True, gc=False):
    """An event of the decoder.

    Attributes:
        at: when it was ready.
        chunk: the index of the chunk that completed it; None if the end of the body did.
        record: the index of its record, or None.
        value: its JSON form: `to_dict()` of the event.
    """

    at: float
    chunk: int | None
    record: int | None
    value: dict[str, Any]


class TraceState(Struct, frozen=True, gc=False):
    """A state that the machine came to.

    Attributes:
        at: when.
        chunk: the index of the chunk that led there; None for the head and the end.
        state: the name of a `State`.
        trigger: the name of a `Trigger`, or None for the state at the beginning.
    """

    at: float
    chunk: int | None
    state: str
    trigger: str | None


class TraceEnding(Struct, frozen=True):
    """How the exchange ended.

    Attributes:
        at: when.
        fault: "eof", "left", "omitted" or the name of an error, as in a recording.
        message: of the error.
    """

    at: float
    fault: str
    message: str


class Content(OwnRepr, frozen=True):
    """What a trace has, and what an update adds to it."""

    response: TraceResponse | None
    times: TraceTimes
    ending: TraceEnding | None
    body: bytes
    inflated: bytes | None = field(name="decoded")
    chunks: tuple[TraceChunk, ...]
    records: tuple[TraceRecord, ...]
    messages: tuple[TraceMessage, ...]
    events: tuple[TraceEvent, ...]
    states: tuple[TraceState, ...]
    error: dict[str, Any] | None
    result: dict[str, Any] | None

    @property
    def decoded(self) -> bytes:
        """The bytes of `body`, inflated if it is compressed."""
        return self.body if self.inflated is None else self.inflated

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON form: plain JSON types, bytes as base64. That of a trace has its version
        in `trace`.
        """
        form: dict[str, Any] = msgspec.json.decode(self.encode())
        return form

    def encode(self) -> bytes:
        """Return the JSON form as JSON."""
        return msgspec.json.encode(self)


class TraceUpdate(Content, frozen=True):
    """What the trace of an exchange that is under way has gained. Lists have only new items.

    Attributes:
        response, times, ending, error, result: as in `Trace`, as of now.
        body: new bytes.
        inflated: the same, inflated, if the body is compressed. In JSON it is `decoded`.
        chunks, records, messages, events, states: new items.
    """

    def __repr__(self) -> str:
        return f"<TraceUpdate of {len(self.chunks):,} chunks, {len(self.events):,} events>"
