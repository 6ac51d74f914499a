"""The fast path: ordinary messages of an event stream, straight from bytes to events.

`EventStreamBody` is a complete decoder. `FastPath` stands in front of it and decodes what most
streams consist of, five to ten times as fast. It may refuse anything at two levels:

1. Records. A chunk that does not consist of whole records as servers write them (`data: `, JSON
   without a line end, LF, LF) goes to the slow path, and all further chunks until that is between
   two records again.
2. Messages. A message that is not the most ordinary text message of its skill goes to the slow path
   alone. Each decoder here is strict: it raises ValueError for any field, type or value that it
   does not fully understand.

Both paths must give the same events and the same result for every message that the fast path takes.
While the slow path holds a surrogate, the fast path takes nothing, since the next text may complete
a character. Text must fit into `Deltas.budget`; then it needs no exact count.

Tests are in the order of their cost. `10 in data` (is there an LF?) and `13 in data` (a CR?) are
one call of memchr each, and methods with one argument are faster than slices. The events' hidden
fields `_completed` and `_text` are explained in `_events.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from itertools import takewhile
from typing import Annotated, Any, Literal, TypeAlias

import msgspec
from msgspec import Meta, Struct

from sansio_moondream._errors import MoondreamError
from sansio_moondream._events import Event, PathChunk, TextDelta
from sansio_moondream._limits import Limits
from sansio_moondream._skills.builder import Builder
from sansio_moondream._skills.chat import ChatBuilder
from sansio_moondream._skills.segment import SegmentBuilder
from sansio_moondream._skills.text import TextBuilder

from .bodies import Body, UndecidedBody

_MAX_HELD = 64 * 1024  # bytes of an unfinished record; a longer one takes the slow path
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


Decode: TypeAlias = Callable[[bytes], Any]
"""Returns the `TextDelta` or `PathChunk` of an ordinary message, or raises ValueError."""
Decoders: TypeAlias = tuple[Decode, Decode]
"""The two dialects of a skill. A skill with one dialect has it twice."""

_NonEmpty: TypeAlias = Annotated[str, Meta(min_length=1)]
_CHAT_DEPTH = 4  # how deep the arrays and objects of a `_ChatChunk` nest


def decoders_for(builder: Builder[Any], limits: Limits) -> Decoders | None:
    """Return the decoders of a skill's ordinary messages, or None if it has none."""
    match builder:
        case TextBuilder():
            return _decode_text, _documented_decoder(builder)
        case SegmentBuilder():
            return _decode_path_chunk, _decode_path_chunk
        case ChatBuilder() if limits.max_json_depth >= _CHAT_DEPTH:
            decode = _chat_decoder(builder)
            return decode, decode
        case _:
            return None


class _Documented(Struct, forbid_unknown_fields=True, gc=False):
    """A text message as the cloud's documentation shows it: it repeats the request's id."""

    chunk: _NonEmpty
    request_id: str
    completed: bool = False
    token_index: int | None = None


class _Delta(Struct, forbid_unknown_fields=True, gc=False):
    content: _NonEmpty
    role: str | None = None
    refusal: None = None
    tool_calls: None = None
    function_call: None = None
    reasoning: None = None
    reasoning_content: None = None


class _Choice(Struct, forbid_unknown_fields=True, gc=False):
    delta: _Delta
    index: Literal[0] = 0
    logprobs: None = None
    finish_reason: None = None


class _ChatChunk(Struct, forbid_unknown_fields=True, gc=False):
    """A text message of a chat, as most servers write it. Every field has a type."""

    choices: tuple[_Choice]
    id: str | None = None
    object: str | None = None
    created: float | None = None
    model: str | None = None
    service_tier: str | None = None
    system_fingerprint: str | None = None
    obfuscation: str | None = None
    usage: None = None


_decode_text = msgspec.json.Decoder(TextDelta).decode
_decode_path_chunk = msgspec.json.Decoder(PathChunk).decode
_decode_documented = msgspec.json.Decoder(_Documented).decode
_decode_chat_chunk = msgspec.json.Decoder(_ChatChunk).decode


def _documented_decoder(builder: Builder[Any]) -> Decode:
    def decode(payload: bytes) -> TextDelta:
        message = _decode_documented(payload)
        if message.completed or message.request_id != builder.request_id:
            raise ValueError(payload)
        return TextDelta(message.chunk, message.token_index)

    return decode


def _chat_decoder(builder: Builder[Any]) -> Decode:
    def decode(payload: bytes) -> TextDelta:
        chunk = _decode_chat_chunk(payload)
        if chunk.id and chunk.id != builder.request_id:
            raise ValueError(payload)
        return TextDelta(chunk.choices[0].delta.content)

    return decode


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
        self._max_record_bytes = limits.max_record_bytes
        self._may_take = True  # False while the slow path is in a record or holds a surrogate
        self._held: list[bytes] = []  # chunks of an unfinished record
        self._held_size = 0

    def receive(self, data: bytes, out: list[Event]) -> bool:
        if not self._may_take:
            return self._give_bytes(data, out)
        if self._held:
            if 10 not in data and 13 not in data:
                return self._hold(data, out)
            return self._receive_records(self._take_held() + data, out)
        # Most servers send one record in a chunk.
        size = len(data)
        payload = data.removeprefix(b"data: ").removesuffix(b"\n\n")
        if len(payload) != size - 8 or 10 in payload or 13 in payload:
            del payload  # it may be megabytes
            return self._receive_records(data, out)
        deltas = self._deltas
        if size > deltas.budget or size > self._max_record_bytes:
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

    def _receive_records(self, data: bytes, out: list[Event]) -> bool:
        if 13 in data:
            return self._give_bytes(data, out)
        records, border, rest = data.rpartition(b"\n\n")
        if 10 in rest[:-1]:
            return self._give_bytes(data, out)
        if border:
            payloads = records[6:].split(b"\n\ndata: ")
            if not self._are_ordinary(records, payloads):
                return self._give_bytes(data, out)
            if self._read_all(payloads, out):
                return True
        return self._hold(rest, out) if rest else False

    def _are_ordinary(self, records: bytes, payloads: list[bytes]) -> bool:
        limit = self._max_record_bytes
        return (
            records.startswith(b"data: ")
            and 10 not in b"".join(payloads)
            and len(records) <= self._deltas.budget
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
        text = "".join(texts)
        self._deltas.parts.append(text)
        self._deltas.budget -= len(text) if text.isascii() else len(text.encode())
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
        if self._held_size > _MAX_HELD or self._held_size > self._max_record_bytes:
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
