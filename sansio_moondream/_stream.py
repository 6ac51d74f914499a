"""The state machine: bytes of an HTTP response in, events out. Read this module first.

How it works
============

`receive_response` chooses a body by the head (`_wire/response.py`). `receive_data` inflates a chunk
if it is compressed (`_wire/inflate.py`) and gives it to the body (`_wire/bodies.py`), which decodes
it at once: bytes to records (`_wire/sse.py`), records to JSON messages (`_wire/json.py`), messages
to events by the skill's builder (`_skills/`). Ordinary messages take the fast path instead
(`_wire/fast_path.py`). The events are kept for `events()`, and so is the error that ends them.

Rules
=====

1. The same bytes give the same events and the same error, whatever the chunks. Only the time at
   which an event is ready depends on them: as soon as its last byte has been received.
2. An error is raised after all events before it. If `events()` is left early, the next call goes on
   there. `snapshot`, `state` and the error's `.partial` cover all that was decoded, taken or not.
3. An answer is complete when its end-of-stream message has come. An end of input before it is
   `IncompleteStream`. A fault after it is ignored.
4. After an error, each call of `events`, `next_event` and `result` raises that error again.
5. Calls out of order raise `LocalProtocolError` and change nothing. Data after the end of the
   answer, or after an error, is ignored: it must not matter whether it comes in the same chunk or
   the next.
6. Nothing here blocks, waits, or reads a clock. One thread may use a stream at a time.

`TRANSITIONS` (`_states.py`) is the machine as data.
"""

from __future__ import annotations

from collections.abc import Iterator
from operator import length_hint
from typing import Generic

from ._errors import (
    ConnectionLost,
    LocalProtocolError,
    MoondreamError,
    RemoteProtocolError,
    connection_lost,
)
from ._events import FINISHED, NEED_DATA, Event, Signal
from ._headers import Headers, HeaderTypes
from ._limits import Limits
from ._requests.base import Request
from ._requests.http import HTTPRequest
from ._requests.sent import Sent
from ._results import R
from ._skills import BUILDERS
from ._skills.builder import Builder
from ._states import TRANSITIONS, State, Trigger
from ._wire.bodies import Body
from ._wire.inflate import Inflater
from ._wire.response import open_response

_LIMITS = Limits()


class ResponseStream(Generic[R]):
    """Decode the answer to one request, from the bytes of the HTTP response to events.

    Call `receive_response`, then `receive_data` for each chunk of the body, undecoded (`iter_raw`
    and the like), then `receive_eof`; or `receive_error` if the transport breaks. After each call,
    take the events that are ready from `events()`.

    Args:
        request: the request that was sent; it decides how the answer is read.
        limits: bounds of what the server may send.
        sent: the same request as it was sent. Errors name its method and URL, and its secrets are
            masked in them (`HTTPRequest.secrets`). Events and results are never masked.
    """

    def __init__(
        self, request: Request[R], limits: Limits | None = None, *, sent: HTTPRequest | None = None
    ) -> None:
        self._skill = request.skill
        self._limits = limits or _LIMITS
        self._sent = Sent(sent)
        self._state = State.AWAITING_RESPONSE
        self._builder: Builder[R] | None = None
        self._body: Body | None = None  # while data is wanted
        self._inflater: Inflater | None = None
        self._ended = False  # the end of input was received
        self._error: MoondreamError | None = None
        self._ready: list[Event] = []  # decoded, and not in a batch yet
        self._batch: list[Event] = []  # what the current iterator gives
        self._iterator: Iterator[Event] = iter(self._batch)

    @property
    def state(self) -> State:
        """Where the machine is."""
        return self._state

    @property
    def snapshot(self) -> R | None:
        """All that was decoded, as a partial result; the result once the answer is complete.

        None before the head of an answer, and for an error status.
        """
        return None if self._builder is None else self._builder.snapshot()

    @property
    def request_id(self) -> str | None:
        """The server's id of the exchange, as soon as it is known."""
        known = None if self._builder is None else self._builder.request_id
        return None if known is None else self._sent.mask(known)

    def receive_response(self, status_code: int, headers: HeaderTypes = ()) -> None:
        """Receive the head of the response. A 1xx head is skipped.

        Args:
            status_code: of the response.
            headers: a mapping, or pairs of str or bytes.

        Raises:
            LocalProtocolError: The head has been received before, or the input has ended.
        """
        if self._state is not State.AWAITING_RESPONSE or self._ended:
            raise LocalProtocolError(
                f"receive_response() came while {self._place()}: a response has one head"
            )
        if status_code < 200:
            self._move(Trigger.INFORMATIONAL)
            return
        headers = Headers(headers)
        if status_code < 300:
            self._builder = BUILDERS[self._skill](headers, self._limits)
        try:
            response = open_response(status_code, headers, self._builder, self._limits, self._sent)
        except RemoteProtocolError as error:
            self._fail(error)
            return
        self._body, self._inflater = response.body, response.inflater
        self._move(Trigger[response.kind.name])

    def receive_data(self, data: bytes | bytearray | memoryview) -> None:
        """Receive `data`, a chunk of the body, compressed as it was sent. An empty one is ignored.

        Raises:
            LocalProtocolError: The head has not been received, or the input has ended.
        """
        if self._body is None:
            if self._ended:
                raise LocalProtocolError("receive_data() came after the end of input")
            if self._state is State.AWAITING_RESPONSE:
                raise LocalProtocolError("receive_data() came before receive_response()")
            return
        if type(data) is not bytes:
            data = bytes(memoryview(data))  # bytes(data) would accept a number
        fault = None
        if self._inflater is not None:
            data, fault = self._inflater.feed(data)
        try:
            if data and self._body.receive(data, self._ready):  # True: the answer is complete
                self._move(Trigger.END_OF_ANSWER)
            elif fault is not None:
                self._body.end(self._ready, fault)
                self._move(Trigger.END_OF_ANSWER)
        except MoondreamError as error:
            self._fail(error)

    def receive_eof(self) -> None:
        """Receive the proper end of the body, by HTTP's framing. Further calls are ignored."""
        self._end(None)

    def receive_error(self, error: Exception) -> None:
        """Receive the fault that broke the transport. Ignored after the end of answer or input.

        `events()` raises it. An `error` of another library becomes the cause of a `ConnectionLost`.
        """
        self._end(error if isinstance(error, MoondreamError) else connection_lost(error))

    def events(self) -> Iterator[Event]:
        """Return an iterator over the events that are ready; after them it raises the error.

        All iterators of a stream share its events: each event is given once.

        Raises:
            RemoteProtocolError: The server contradicted the protocol (`LimitExceeded`: a limit).
            APIError: The server answered with an error.
            IncompleteStream: The input ended before the answer did.
            MoondreamError: Another error that `receive_error` received.
        """
        if self._ready:
            # We return the iterator of a list: no generator is as fast, and it does not lose events
            # if it is left early. It gives what is appended to its list later, too, but not after
            # it has come to the end once: then we make a new one. length_hint tells which it is.
            if length_hint(self._iterator):
                self._batch += self._ready
            else:
                self._batch = self._ready
                self._iterator = iter(self._batch)
            self._ready = []
        if self._error is None:
            return self._iterator
        return _then_raise(self._iterator, self._error)

    def next_event(self) -> Event | Signal:
        """Return the next event, NEED_DATA if none is ready, or FINISHED after the last one.

        Raises as `events` does.
        """
        for event in self.events():
            return event
        return FINISHED if self._state is State.COMPLETED else NEED_DATA

    def result(self) -> R:
        """Return the result of a complete answer. Events that were not taken remain.

        Raises as `events` does if the answer failed, and LocalProtocolError if it is not complete.
        """
        if self._error is not None:
            raise self._error.with_traceback(None)
        if self._builder is None or self._builder.result is None:
            raise LocalProtocolError(
                f"result() came while {self._place()}: feed the response to its end first, "
                "or look at `snapshot`"
            )
        return self._builder.result

    def _end(self, fault: MoondreamError | None) -> None:
        if self._ended:
            return
        self._ended = True
        try:
            if self._state is State.AWAITING_RESPONSE:
                raise fault or ConnectionLost(
                    "the connection closed before the head of a response came"
                )
            if self._body is None:
                return
            if self._inflater is not None and (rest := self._inflater.end()):
                self._body.receive(rest, self._ready)  # one byte, which completes nothing
            self._body.end(self._ready, fault)
            self._move(Trigger.END_OF_ANSWER)
        except MoondreamError as error:
            self._fail(error)

    def _fail(self, error: MoondreamError) -> None:
        if error.partial is None:
            error.partial = self.snapshot
        if error.request_id is None:
            error.request_id = self.request_id
        self._sent.complete(error)
        self._error = error
        self._move(Trigger.FAULT)

    def _move(self, trigger: Trigger) -> None:
        self._state = TRANSITIONS[self._state][trigger]
        if not TRANSITIONS[self._state]:
            self._body = self._inflater = None

    def _place(self) -> str:
        return f"{self._state.value}{', after the end of input' if self._ended else ''}"


def _then_raise(events: Iterator[Event], error: MoondreamError) -> Iterator[Event]:
    yield from events
    raise error.with_traceback(None)
