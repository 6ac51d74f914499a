"""The fast path: ordinary messages of an event stream, straight from bytes to events.

`EventStreamBody` is a complete decoder. `FastPath` stands in front of it and decodes what most
streams consist of, five to ten times as fast. It may refuse anything at two levels:

1. Records. A chunk that does not consist of whole records as servers write them (`data: `, JSON
   without a line end, LF, LF) goes to the slow path, and all further chunks until that is between
   two records again.
2. Messages. A message that is not the most ordinary text message of its skill goes to the slow path
   alone: the typed decoders of `ordinary.py` refuse it.

Both paths must give the same events and the same result for every message that the fast path takes.
While the slow path holds a surrogate, the fast path takes nothing, since the next text may complete
a character. Text must fit into `Deltas.budget`; then it needs no exact count.

Tests are in the order of their cost. `10 in data` (is there an LF?) and `13 in data` (a CR?) are
one call of memchr each, and methods with one argument are faster than slices.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from itertools import takewhile
from typing import Any

from sansio_moondream._errors import MoondreamError
from sansio_moondream._events import Event
from sansio_moondream._limits import Limits
from sansio_moondream._skills.builder import Builder

from .bodies import Body
from .ordinary import BYTES_OF_A_VALUE, Decoders, decoders_for
from .undecided import UndecidedBody

_MAX_HELD = 4 * 1024  # bytes of an unfinished record; a longer one takes the slow path
_BLOCK = 64 * 1024  # bytes of a larger chunk after which we divide it, behind a record
_MAX_REFUSALS = 3  # messages refused in a row, after which the rest of a chunk is not tried

_enabled = ContextVar("fast_path_enabled", default=True)


@contextmanager
def slow_path_only() -> Generator[None, None, None]:
    """Let streams whose head comes inside the block take the slow path alone. For tests."""
    token = _enabled.set(False)
    try:
        yield
    finally:
        _enabled.reset(token)


def with_fast_path(slow_path: UndecidedBody, builder: Builder[Any], limits: Limits) -> Body:
    """Put the fast path in front of the slow path, if the skill has one."""
    decoders = decoders_for(builder, limits) if _enabled.get() else None
    return FastPath(slow_path, builder, decoders, limits) if decoders else slow_path


class FastPath:
    """Decode ordinary messages, and give all else to `slow_path`."""

    def __init__(
        self, slow_path: UndecidedBody, builder: Builder[Any], decoders: Decoders, limits: Limits
    ) -> None:
        self._slow_path = slow_path
        self._event_stream = slow_path.event_stream
        self._parser = slow_path.event_stream.parser
        self._deltas = builder.deltas
        self._decode, self._other_decode = decoders
        self._max_size = min(limits.max_record_bytes, limits.max_json_values * BYTES_OF_A_VALUE)
        self._may_take = True  # False while the slow path is in a record or holds a surrogate
        self._held: list[bytes] = []  # chunks of an unfinished record
        self._held_size = 0

    def receive(self, data: bytes, out: list[Event]) -> bool:
        if not self._may_take:
            return self._give_bytes(data, out)
        if self._held:
            if 10 not in data and 13 not in data:
                return self._hold(data, out)
            return self._receive_blocks(self._take_held() + data, out)
        size = len(data)
        if size > _BLOCK:
            return self._receive_blocks(data, out)
        # Most servers send one record in a chunk.
        payload = data.removeprefix(b"data: ").removesuffix(b"\n\n")
        if len(payload) != size - 8 or 10 in payload or 13 in payload:
            return self._receive_records(data, out)
        deltas = self._deltas
        if (size > deltas.budget and not deltas.fits(size)) or size > self._max_size:
            return self._give_bytes(data, out)
        del data
        try:
            event = self._decode(payload)
        except ValueError:
            self._change_dialect()
            return self._give_message(payload, out)
        if event._completed:
            return self._give_message(payload, out)
        self._parser.at_start = False
        deltas.budget -= size
        deltas.parts.append(event._text)
        out.append(event)
        return False

    def end(self, out: list[Event], fault: MoondreamError | None) -> None:
        if self._held:
            self._give_bytes(self._take_held(), out)
        self._slow_path.end(out, fault)

    def _receive_blocks(self, data: bytes, out: list[Event]) -> bool:
        """Divide a large chunk: parts stay in the processor's cache, and copies stay small."""
        start = 0
        while start < len(data):
            border = data.find(b"\n\n", start + _BLOCK)
            end = len(data) if border < 0 else border + 2
            ordinary = self._may_take and end - start <= 2 * _BLOCK
            receive = self._receive_records if ordinary else self._give_bytes
            if receive(data[start:end], out):
                return True
            start = end
        return False

    def _receive_records(self, data: bytes, out: list[Event]) -> bool:
        if 13 in data:
            return self._give_bytes(data, out)
        records, border, rest = data.rpartition(b"\n\n")
        if border:
            payloads = records[6:].split(b"\n\ndata: ")
            if not self._are_ordinary(records, payloads):
                return self._give_bytes(data, out)
            if self._read_all(payloads, out):
                return True
        return self._hold(rest, out) if rest else False

    def _are_ordinary(self, records: bytes, payloads: list[bytes]) -> bool:
        limit = self._max_size
        return (
            records.startswith(b"data: ")
            and 10 not in b"".join(payloads)
            and self._deltas.fits(len(records))
            and (len(records) <= limit or max(map(len, payloads)) <= limit - 6)
        )

    def _read_all(self, payloads: list[bytes], out: list[Event]) -> bool:
        self._parser.at_start = False
        unread = iter(payloads)
        done = refusals = 0
        while done < len(payloads):
            if refusals < _MAX_REFUSALS and self._may_take:
                read = self._decode_ordinary(unread, out)
                done += read
                refusals = 1 if read else refusals + 1
                if done == len(payloads):
                    break
            else:
                next(unread)
            if self._give_message(payloads[done], out):
                return True
            done += 1
        return False

    def _decode_ordinary(self, payloads: Iterator[bytes], out: list[Event]) -> int:
        """Decode messages up to the first that is refused, and return their number.

        The refused one is taken off `payloads` as well.
        """
        events: list[Any] = []
        try:
            events.extend(map(self._decode, payloads))
        except ValueError:
            self._change_dialect()
        texts = [event._text for event in events if not event._completed]
        if len(texts) < len(events):
            # The slow path will complete the answer with that message: those after it are ignored.
            events = list(takewhile(lambda event: not event._completed, events))
            texts = texts[: len(events)]
        if not events:
            return 0
        self._deltas.append("".join(texts))
        out += events
        return len(events)

    def _change_dialect(self) -> None:
        # A server keeps to its dialect. If it is not this one, it may be the other.
        self._decode, self._other_decode = self._other_decode, self._decode

    def _hold(self, data: bytes, out: list[Event]) -> bool:
        if not self._may_take:
            return self._give_bytes(data, out)
        self._held.append(data)
        self._held_size += len(data)
        if self._held_size > _MAX_HELD or self._held_size > self._max_size:
            return self._give_bytes(self._take_held(), out)
        return False

    def _take_held(self) -> bytes:
        data = b"".join(self._held)
        self._held.clear()
        self._held_size = 0
        return data

    def _give_bytes(self, data: bytes, out: list[Event]) -> bool:
        """Give bytes to the slow path."""
        complete = self._slow_path.receive(data, out)
        self._may_take = self._slow_path.between_records and not self._deltas.surrogate
        return complete

    def _give_message(self, payload: bytes, out: list[Event]) -> bool:
        """Give a message to the slow path."""
        self._parser.at_start = False
        complete = self._event_stream.read(payload, out)
        self._may_take = not self._deltas.surrogate
        return complete
