"""The state machine: HTTP response bytes in, events out.

How it works
============

`receive_*` only takes in what happened; nothing is decoded there. `events()` and `next_event()`
decode what has come, a window of 32 KB at a time, so events before a fault are given out before the
fault is raised. Bytes pass an `Inflater` where the body is compressed, and then one of the bodies
in `_bodies.py`, which the head chose.

Rules
=====

1. The same bytes give the same events and the same error, however they are cut. Only when they are
   ready may differ.
2. An answer is complete when its end-of-stream message has come. An end of input before it is
   `IncompleteStream`; a fault after it is no fault.
3. After an error every pull raises that error again. `snapshot` and the error's `.partial` have all
   that was decoded.
4. Calls out of order raise `LocalProtocolError` and change nothing. Data after the end of the
   answer or after an error is let go: whether it comes in the same chunk or the next must not
   matter.
5. Nothing here blocks, waits, or looks at a clock. One stream is for one thread at a time.

`TRANSITIONS` is the machine; the diagram in docs/state-machine.md is made from it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from enum import Enum
from itertools import chain
from typing import Any, Generic

from ._errors import (
    ConnectionLost,
    LocalProtocolError,
    MoondreamError,
    RemoteProtocolError,
    shorten,
)
from ._events import FINISHED, NEED_DATA, Event, Signal
from ._headers import Headers, HeaderTypes
from ._limits import Limits
from ._requests.base import Request
from ._results import R
from ._skills.builders import (
    Builder,
    CaptionBuilder,
    DetectBuilder,
    PointBuilder,
    QueryBuilder,
    SegmentBuilder,
)
from ._skills.chat import ChatBuilder
from ._wire.bodies import WINDOW, Body, ErrorBody, EventStreamBody, JSONBody, UndecidedBody
from ._wire.inflate import Inflater


class State(Enum):
    """Where a `ResponseStream` is; it moves as bytes are decoded, not as they come in."""

    AWAITING_RESPONSE = "awaiting response"
    READING_EVENTS = "reading events"
    READING_JSON = "reading JSON"
    READING_UNNAMED = "reading a body that the head does not name"
    READING_ERROR = "reading an error body"
    COMPLETED = "completed"
    FAILED = "failed"


class Trigger(Enum):
    """What moves a `ResponseStream` from one state to the next."""

    INFORMATIONAL = "1xx head"
    EVENT_STREAM = "200, text/event-stream"
    JSON = "200, JSON"
    UNNAMED = "200, no content type or octet-stream"
    ERROR_STATUS = "3xx, 4xx, 5xx"
    END_OF_ANSWER = "end of the answer"
    FAULT = "fault"


_S, _T = State, Trigger
_READING = {_T.END_OF_ANSWER: _S.COMPLETED, _T.FAULT: _S.FAILED}
TRANSITIONS: dict[State, dict[Trigger, State]] = {
    _S.AWAITING_RESPONSE: {
        _T.INFORMATIONAL: _S.AWAITING_RESPONSE,
        _T.EVENT_STREAM: _S.READING_EVENTS,
        _T.JSON: _S.READING_JSON,
        _T.UNNAMED: _S.READING_UNNAMED,
        _T.ERROR_STATUS: _S.READING_ERROR,
        _T.FAULT: _S.FAILED,
    },
    _S.READING_EVENTS: _READING,
    _S.READING_JSON: _READING,
    _S.READING_UNNAMED: _READING,
    _S.READING_ERROR: {_T.FAULT: _S.FAILED},
    _S.COMPLETED: {},
    _S.FAILED: {},
}


_BUILDERS: dict[str, type[Builder[Any]]] = {
    "query": QueryBuilder,
    "caption": CaptionBuilder,
    "segment": SegmentBuilder,
    "detect": DetectBuilder,
    "point": PointBuilder,
    "chat": ChatBuilder,
}


def _none(_: bytes) -> None:
    return None


class ResponseStream(Generic[R]):
    """The answer to one request, from bytes of the HTTP response to events.

    Feed it with `receive_response`, then `receive_data` for each chunk of the body as it came
    (undecoded: `iter_raw` and the like), then `receive_eof`; or `receive_error` where the transport
    broke. After each, take what is ready from `events()`."""

    def __init__(self, request: Request[R], limits: Limits | None = None) -> None:
        self._limits = limits or Limits()
        self._answer_class = _BUILDERS[request.skill]
        self._answer: Builder[R] | None = None
        self._state = State.AWAITING_RESPONSE
        self._body: Body | None = None
        self._quick: Callable[[bytes], Sequence[Event] | None] = _none
        self._inflater: Inflater | None = None
        # Chunks of the body not yet decoded: as they came, and behind those, a stack with the
        # oldest on top. A deque would be 0.7 KB.
        self._input: list[bytes] = []
        self._older: list[bytes] = []
        # data is wanted: a body has begun, and neither its end nor that of the answer was seen
        self._open = False
        self._ended = False  # the caller said that input has ended, or broke
        self._fault: MoondreamError | None = None  # what broke it
        self._ready: Any = iter(
            ()
            # decoded, not yet taken: an iterator over a list or tuple, which knows how much it has left
        )
        self._error: MoondreamError | None = None

    @property
    def state(self) -> State:
        """Where the machine is, with all that was decoded."""
        return self._state

    @property
    def snapshot(self) -> R | None:
        """Give all that is decoded, taken or not, as a partial result.

        None before the head of an answer. See `state`.
        """
        return None if self._answer is None else self._answer.snapshot()

    @property
    def request_id(self) -> str | None:
        """The server's id of the exchange, as soon as it is known."""
        return None if self._answer is None else self._answer.request_id

    def receive_response(self, status_code: int, headers: HeaderTypes = ()) -> None:
        """The head of the response came: a mapping of headers, or pairs of str or bytes. A 1xx head
        is skipped.

        Raises LocalProtocolError if one came before.
        """
        if self._state is not State.AWAITING_RESPONSE or self._ended:
            raise LocalProtocolError(
                f"receive_response() came while {self._place()}: a response has one head"
            )
        if status_code < 200:
            self._go(Trigger.INFORMATIONAL)
            return
        parsed = Headers(headers)
        coding = parsed.get("content-encoding", "").strip().lower().removeprefix("x-")
        if coding in ("gzip", "deflate"):
            self._inflater = Inflater(coding, self._limits)
        if status_code >= 300:
            self._body = ErrorBody(status_code, parsed, self._limits)
            self._open = True
            self._go(Trigger.ERROR_STATUS)
            return
        self._answer = self._answer_class(parsed, self._limits)
        self._open = True
        media_type = parsed.get("content-type", "").partition(";")[0].strip().lower()
        about = self._answer, status_code, parsed, self._limits
        if coding not in ("", "identity", "gzip", "deflate"):
            self._fail(
                RemoteProtocolError(
                    f"the server sent a body with the content coding {shorten(coding, 40)!r}, though identity was asked for"
                )
            )
        elif status_code in (204, 205):
            self._fail(
                RemoteProtocolError(
                    f"the server answered {status_code}, which has no body, where an answer was expected"
                )
            )
        elif media_type == "text/event-stream":
            self._body = EventStreamBody(*about)
            self._quick = self._body.quick
            self._go(Trigger.EVENT_STREAM)
        elif media_type == "application/json" or (
            media_type.startswith("application/") and media_type.endswith("+json")
        ):
            self._body = JSONBody(*about)
            self._go(Trigger.JSON)
        elif media_type in ("", "application/octet-stream"):
            self._body = UndecidedBody(*about)
            self._go(Trigger.UNNAMED)
        else:
            self._fail(
                RemoteProtocolError(
                    f"the server answered {status_code} with {shorten(media_type, 80)!r}, where text/event-stream or application/json "
                    "was expected: is this the address of a Moondream server?"
                )
            )

    def receive_data(self, data: bytes | bytearray | memoryview) -> None:
        """A chunk of the body came, compressed or not as it was sent. An empty one means nothing.

        Raises LocalProtocolError before the head, and after the end of input.
        """
        if self._open and type(data) is bytes and self._inflater is None:
            self._input.append(data)  # by far the commonest, so it is asked for first
        elif self._open:
            copy = bytes(memoryview(data))  # not bytes(data), which makes bytes of a number too
            self._input.append(
                copy if self._inflater is None else self._inflate(self._inflater, copy)
            )
        else:
            self._let_go()

    def receive_eof(self) -> None:
        """The body ended as HTTP says it should, or the connection closed where the body's end is
        the connection's. May repeat.
        """
        self._end(
            ConnectionLost("the connection closed before the head of a response came")
            if self._body is None
            else None
        )

    def receive_error(self, error: Exception) -> None:
        """The transport broke. An error of this library is raised as it is, any other as the cause
        of a `ConnectionLost`.

        Both come only after the events before them, and not at all after the end of the answer.
        Ignored after the end of input."""
        if not isinstance(error, MoondreamError):
            lost = ConnectionLost(
                f"the connection broke: {type(error).__name__}: {shorten(str(error))}"
            )
            lost.__cause__ = error
            error = lost
        self._end(error)

    def events(self) -> Iterator[Event]:
        """The events that are ready, and after them the fault, if there is one: it is raised where
        they end.

        Leaving it early loses nothing: what was not taken comes first next time. Raises
        RemoteProtocolError, LimitExceeded, APIError, IncompleteStream, or what `receive_error` was
        given."""
        # How streams are read: a chunk comes, one event is in it, it is taken. Then nothing is made
        # but that event.
        chunks = self._input
        if (
            len(chunks) == 1
            and self._open
            and not self._older
            and not self._ready.__length_hint__()
        ):
            events = self._quick(chunks[0])
            if events is not None:
                chunks.clear()
                ready = self._ready = iter(events)
                return ready
            self._advance()
            # `_advance` may have closed it, or left windows
            if self._open and not self._older:  # type: ignore[redundant-expr]
                return iter(self._ready)
        if self._open and not chunks and not self._older:
            return iter(self._ready)  # nothing came
        return chain.from_iterable(self._batches())

    def next_event(self) -> Event | Signal:
        """Give the next event, NEED_DATA if none is ready, FINISHED after the end of the answer.

        Raises as `events` does.
        """
        for event in self.events():
            return event
        return FINISHED if self._state is State.COMPLETED else NEED_DATA

    def result(self) -> R:
        """The whole answer, once it is there; events that were not taken stay to be taken.

        Raises as `events` does if the answer failed, and LocalProtocolError if there is more to
        come."""
        ready = [*self._ready]
        while self._advance():
            ready += self._ready
        self._ready = iter(ready)
        if self._error is not None:
            raise self._error.with_traceback(None)
        if self._answer is None or self._answer.result is None:
            raise LocalProtocolError(
                f"result() came while {self._place()}: feed the response to its end first, or look at `snapshot`"
            )
        return self._answer.result

    def _batches(self) -> Iterator[Iterator[Event]]:
        yield self._ready
        while self._advance():
            yield self._ready
        if self._error is not None:
            raise self._error.with_traceback(None)

    def _advance(self) -> bool:
        """Decode one chunk, or the end, into `_ready` (which must have been emptied);

        False if there is neither.
        """
        out: list[Event] = []
        try:
            if (self._older or self._input) and self._body is not None:
                if not self._older:
                    self._older, self._input = self._input[::-1], []
                data = self._older.pop()
                if len(data) > WINDOW:
                    windows = [data[at : at + WINDOW] for at in range(0, len(data), WINDOW)]
                    self._older += reversed(windows)
                    data = self._older.pop()
                if data:
                    self._body.pull(data, out)
            elif self._is_over():
                self._finish(out)
            else:
                return False
        except MoondreamError as error:
            self._fail(error)
        if (
            self._answer is not None
            and self._answer.result is not None
            and self._state is not State.COMPLETED
        ):
            self._go(Trigger.END_OF_ANSWER)
        self._ready = iter(out)
        return True

    def _is_over(self) -> bool:
        return (self._ended or self._fault is not None) and self._state not in (
            State.COMPLETED,
            State.FAILED,
        )

    def _finish(self, out: list[Event]) -> None:
        if self._body is None:
            assert self._fault is not None
            raise self._fault
        self._body.end(out, self._fault)

    def _fail(self, error: MoondreamError) -> None:
        if error.partial is None:
            error.partial = self.snapshot
        if error.request_id is None:
            error.request_id = self.request_id
        self._error = error
        self._go(Trigger.FAULT)

    def _go(self, trigger: Trigger) -> None:
        self._state = TRANSITIONS[self._state][trigger]
        if not TRANSITIONS[self._state]:
            self._open = False
            self._input.clear()
            self._older.clear()

    def _end(self, fault: MoondreamError | None) -> None:
        if self._ended:
            return
        self._ended, self._open = True, False
        if self._fault is not None:
            return
        self._fault = fault
        if self._inflater is not None and (rest := self._inflater.end()):
            self._input.append(rest)

    def _inflate(self, inflater: Inflater, data: bytes) -> bytes:
        plain, self._fault = inflater.feed(data)
        if self._fault is not None:
            self._open = False
        return plain

    def _let_go(self) -> None:
        if self._ended:
            raise LocalProtocolError("receive_data() came after the end of input")
        if self._state is State.AWAITING_RESPONSE:
            raise LocalProtocolError("receive_data() came before receive_response()")

    def _place(self) -> str:
        return f"{self._state.value}{', after the end of input' if self._ended else ''}"
