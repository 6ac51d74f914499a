"""Build a trace while its exchange is under way.

1. The caller reports each step with its time, in seconds since the request was sent.
2. The decoder has a body up to the end of each record and of each chunk, so each event is at the
   place of its last byte. The same bytes give the same records, messages and events in any chunks.
3. Behind the end of the answer nothing is decoded: the body has chunks there, and nothing else.
4. `take_update` returns what is new. The sum of all updates is the trace (see `Trace.updated`).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from enum import Enum, auto
from typing import Any, Final, NamedTuple

from msgspec.structs import replace

from moondream_tools._convert import request_of
from moondream_tools._service import known_skill
from sansio_moondream import Event, Headers, Limits, State
from sansio_moondream._skills import BUILDERS
from sansio_moondream._states import TRANSITIONS
from sansio_moondream._unicode import well_formed
from sansio_moondream._wire.bodies import BLANKS
from sansio_moondream._wire.sse import BYTE_ORDER_MARK
from sansio_moondream.recording import Ending, RecordingHeader

from ._body import Body
from ._decoder import Decoder
from ._fault import fault_of
from ._message import NO_MESSAGE, message_of
from ._records import Records
from ._text import cut_bytes, well_formed_pairs
from ._values import (
    TraceChunk,
    TraceEnding,
    TraceEvent,
    TraceMessage,
    TraceRecord,
    TraceResponse,
    TraceState,
    TraceTimes,
    TraceUpdate,
)

_NO_BLANK: Final = re.compile(rb"[^ \t\r\n]")


class _Reads(Enum):
    """What is read from the body."""

    NOTHING = auto()
    UNDECIDED = auto()  # JSON, if its first byte that is no blank is a brace; else records
    RECORDS = auto()
    JSON = auto()


_BY_STATE: Final = {
    State.READING_EVENTS: _Reads.UNDECIDED,
    State.READING_UNNAMED: _Reads.UNDECIDED,
    State.READING_JSON: _Reads.JSON,
    State.READING_ERROR: _Reads.JSON,
}


class _Sizes(NamedTuple):
    """Sizes of the body, in bytes, and of the lists of a trace."""

    body: int
    decoded: int
    chunks: int
    records: int
    messages: int
    events: int
    states: int


class TraceBuilder:
    """Build the trace of one exchange.

    Call `receive_response` for the head, `receive_data` for each chunk of the body, and
    `receive_ending` at the end. After any of them, `take_update` returns what is new.

    Args:
        header: of the recording. Only its request counts: the head comes later.
    """

    def __init__(self, header: RecordingHeader) -> None:
        self._timeouts = header.timeouts
        self._skill = known_skill(header.path)
        # Without a known skill, the answer only tells what kind of body its head announces.
        self._decoder = Decoder(request_of(self._skill or "query"))
        self._state = self._decoder.state
        self._reads = _Reads.NOTHING
        self._records = Records(Limits())
        self._body = Body()
        self._blanks = 0  # decoded bytes that decide nothing
        self._at, self._chunk = 0.0, 0  # of the last decoded byte
        self._record_end = 0
        self._response: TraceResponse | None = None
        self._times = TraceTimes(header.connected, None, None)
        self._ending: TraceEnding | None = None
        self._error: dict[str, Any] | None = None
        self._result: dict[str, Any] | None = None
        self._chunks: list[TraceChunk] = []
        self._record_items: list[TraceRecord] = []
        self._messages: list[TraceMessage] = []
        self._events: list[TraceEvent] = []
        self._states: list[TraceState] = []
        self._taken = self._sizes()

    def receive_response(
        self,
        status_code: int,
        headers: Iterable[tuple[str, str]],
        at: float,
        *,
        connected: float | None = None,
    ) -> None:
        """Receive the head of the response.

        Args:
            status_code, headers: of the response.
            at: when the head was there.
            connected: when the connection was there, if that is known.
        """
        at = round(at, 6)
        fields = Headers(headers)
        pairs = fields.multi_items()
        self._response = TraceResponse(status_code, well_formed_pairs(pairs))
        self._times = replace(self._times, head=at)
        if connected is not None:
            self._times = replace(self._times, connected=round(connected, 6))
        self._body.receive_response(fields)
        compressed = self._body.is_compressed
        self._decoder.receive_response(status_code, pairs, compressed=compressed)
        self._reads = _BY_STATE.get(self._decoder.state, _Reads.NOTHING)
        if self._skill is None:
            self._state = self._decoder.state  # it receives nothing more
        elif self._decoder.state is not self._state:
            self._add_state(at, None)

    def receive_data(self, data: bytes, at: float) -> None:
        """Receive `data`, a chunk of the body as it was sent, at the time `at`. An empty one is
        ignored.
        """
        if not data:
            return
        at = round(at, 6)
        body, chunk = self._body, len(self._chunks)
        start = len(body.received)
        is_read = self._reads is not _Reads.NOTHING and self._skill is not None
        if body.is_compressed and is_read:
            self._decoder.receive_compressed(data)
        data, fault = body.receive_data(data)
        if data:
            self._at, self._chunk = at, chunk
            self._read(data)
        if fault is not None:
            self._end(fault, at, chunk)
        cut = min(len(data), cut_bytes(body.decoded)) if data and data[-1] >= 0x80 else 0
        self._chunks.append(TraceChunk(at, start, len(body.received), len(body.decoded), cut))

    def receive_ending(self, ending: Ending, at: float) -> None:
        """Receive `ending`, the end of the exchange, at the time `at`. Nothing follows it."""
        at = round(at, 6)
        has_event = self._times.first_event is not None
        fault = fault_of(ending, at, has_event=has_event, timeouts=self._timeouts)
        self._end(fault, at, None)
        self._ending = TraceEnding(at, ending.fault, well_formed(ending.message))

    def take_update(self) -> TraceUpdate:
        """Return what is new since the last call."""
        before, self._taken = self._taken, self._sizes()
        body = bytes(self._body.received[before.body :])
        decoded = bytes(self._body.decoded[before.decoded :])
        return TraceUpdate(
            response=self._response,
            times=self._times,
            ending=self._ending,
            error=self._error,
            result=self._result,
            body=body,
            inflated=None if decoded == body else decoded,
            chunks=tuple(self._chunks[before.chunks :]),
            records=tuple(self._record_items[before.records :]),
            messages=tuple(self._messages[before.messages :]),
            events=tuple(self._events[before.events :]),
            states=tuple(self._states[before.states :]),
        )

    def _sizes(self) -> _Sizes:
        return _Sizes(
            len(self._body.received),
            len(self._body.decoded),
            len(self._chunks),
            len(self._record_items),
            len(self._messages),
            len(self._events),
            len(self._states),
        )

    def _read(self, data: bytes) -> None:
        """Read the last decoded bytes."""
        at, chunk = self._at, self._chunk
        if self._reads is _Reads.UNDECIDED:
            self._decide()
        if self._reads is _Reads.JSON:
            self._add_events(self._events_of(data), at, chunk, None)
        elif self._reads is not _Reads.NOTHING:
            start = len(self._body.decoded) - len(data)
            for segment, record, end in self._records.segments(data):
                index = None if record is None else self._add_record(*record, start + end)
                if self._add_events(self._events_of(segment), at, chunk, index):
                    break

    def _decide(self) -> None:
        """Look for the first byte that is no blank."""
        decoded = self._body.decoded
        if bytes(decoded[:3]) in (BYTE_ORDER_MARK[:1], BYTE_ORDER_MARK[:2]):
            return
        if not self._blanks and decoded.startswith(BYTE_ORDER_MARK):
            self._blanks = len(BYTE_ORDER_MARK)
        found = _NO_BLANK.search(decoded, self._blanks)
        self._blanks = len(decoded)
        if found is not None:
            self._reads = _Reads.JSON if found[0] == b"{" else _Reads.RECORDS

    def _end(self, fault: Exception | None, at: float, chunk: int | None) -> None:
        """Read what the end of the body completes, or the `fault` that ended it."""
        reads, self._reads = self._reads, _Reads.NOTHING
        index = None
        if reads is _Reads.JSON:
            value = message_of(bytes(self._body.decoded).removeprefix(BYTE_ORDER_MARK))
            if value is not NO_MESSAGE:
                self._messages.append(TraceMessage(None, value))
        elif reads is not _Reads.NOTHING:
            record = self._records.end()
            if record is not None and self._is_whole(record[1]):
                index = self._add_record(*record, len(self._body.decoded))
        if self._skill is not None and not self._decoder.is_over:
            self._add_events(self._decoder.end(fault), at, chunk, index)

    def _is_whole(self, data: bytes) -> bool:
        """Whether a record that has no blank line behind it is read all the same."""
        is_done = data.strip(BLANKS) == BUILDERS[self._skill or "query"].DONE
        return is_done or isinstance(message_of(data), dict)

    def _events_of(self, segment: bytes) -> list[Event]:
        return [] if self._skill is None else self._decoder.receive_segment(segment)

    def _add_record(self, name: bytes, data: bytes, end: int) -> int:
        value = message_of(data)
        index = len(self._record_items)
        message = None
        if value is not NO_MESSAGE:
            message = len(self._messages)
            self._messages.append(TraceMessage(index, value))
        start, self._record_end = self._record_end, end
        event = name.decode("utf-8", "replace")
        self._record_items.append(TraceRecord(self._at, self._chunk, start, end, event, message))
        return index

    def _add_events(
        self, events: Sequence[Event], at: float, chunk: int | None, record: int | None
    ) -> bool:
        """Add the events of a segment. Return whether the answer is over."""
        if events and self._times.first_event is None:
            self._times = replace(self._times, first_event=at)
        for event in events:
            self._events.append(TraceEvent(at, chunk, record, event.to_dict()))
        return self._decoder.state is not self._state and self._add_state(at, chunk)

    def _add_state(self, at: float, chunk: int | None) -> bool:
        """Add the state that the answer came to. Return whether the answer is over."""
        before, state = self._state, self._decoder.state
        trigger = next(name for name, to in TRANSITIONS[before].items() if to is state)
        self._states.append(TraceState(at, chunk, state.name, trigger.name))
        self._state = state
        if TRANSITIONS[state]:
            return False
        self._reads = _Reads.NOTHING
        self._result = self._decoder.result()
        error = self._decoder.error
        self._error = None if error is None else error.to_dict()
        return True
