"""The bodies of a response, one class for each kind: an event stream, JSON, an error, and one that
has yet to show what it is.

Each takes bytes (`pull`), appends the events that they complete to `out`, and raises the fault that
follows them. `end` is the end of the body; `fault` is why it ended, where the transport broke. An
answer is complete when `answer.result` is set."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import takewhile
from typing import Any, Protocol, cast

from sansio_moondream._errors import (
    IncompleteStream,
    LimitExceeded,
    MoondreamError,
    RemoteProtocolError,
    shorten,
)
from sansio_moondream._events import Event
from sansio_moondream._headers import Headers
from sansio_moondream._limits import Limits
from sansio_moondream._skills.builders import Builder
from sansio_moondream._skills.fields import Contradiction

from .error_answers import api_error, is_error
from .json import TooDeep, decode, is_unclosed
from .sse import BYTE_ORDER_MARK, RecordParser

WINDOW = 32 * 1024
_BLANKS = b" \t\r\n"


class Body(Protocol):
    """What `ResponseStream` asks of a body."""

    def pull(self, data: bytes, out: list[Event]) -> None: ...

    def end(self, out: list[Event], fault: MoondreamError | None) -> None: ...


class EventStreamBody:
    """An event stream, each record of which holds one message.

    1. The general way: `RecordParser` makes records, `_message` decodes one. It reads everything
       there is.
    2. In front of it stands a fast lane for whole records as servers write them: `data: `, JSON
       without a line end, LF, LF. They are cut with one `split` and decoded by `_decode`, which
       takes only the most ordinary text message; one that it refuses goes the general way. A server
       keeps to its dialect, so after a refusal the decoder of the other one is tried; after three
       in a row the rest of these records goes the general way.
    3. The lane is open only between two records, and only to text that surely fits. It never sees
       more than two windows at once, so records need no measuring there; where the limit for a
       record is lower than that, the lane is never open.
    4. Bytes that end inside a record wait in `_tail`, up to a window; from there on the parser
       holds them.
    5. The end of the body leaves what the last line end or blank line never came for. Where that is
       a whole JSON object or the mark that ends a stream, it counts all the same: nothing can
       follow in its record that would be JSON (by the standard it would be dropped).
    """

    def __init__(
        self, answer: Builder[Any], status_code: int, headers: Headers, limits: Limits
    ) -> None:
        self._answer = answer
        self._deltas = answer.deltas
        self._decode, self._other_decode = answer.decoders()
        self._status_code = status_code
        self._headers = headers
        self._limits = limits
        self._parser = RecordParser(limits.max_record_bytes)
        self._has_lane = limits.max_record_bytes >= 2 * WINDOW
        self._lane_open = self._has_lane
        self._tail: list[bytes] = []
        self._tail_size = 0

    def quick(self, data: bytes) -> Sequence[Event] | None:
        """The events of the commonest chunks: just one ordinary record, or a part of one line. None
        if it is anything else.
        """
        # Each question is the cheapest that there is: `in` with a number does not search for bytes,
        # and what takes one argument beats slices, startswith and find.
        size = len(data)
        if not self._lane_open or size > WINDOW:
            return None
        if self._tail:
            size += self._tail_size
            if 10 in data or 13 in data or size > WINDOW:
                return None
            self._tail.append(data)
            self._tail_size = size
            return ()
        deltas = self._deltas
        room = deltas.room - size
        payload = data.removeprefix(b"data: ").removesuffix(b"\n\n")
        if len(payload) != size - 8 or 10 in payload or 13 in payload or room < 0:
            return None
        try:
            event: Any = self._decode(payload)
        except ValueError:
            return None
        if event._completed:
            return None
        self._parser.at_start = False
        deltas.room = room
        deltas.recent.append(event._text)
        return (event,)

    def pull(self, data: bytes, out: list[Event]) -> None:
        if not self._lane_open:
            self._parse(data, out)
            return
        if 10 in data or 13 in data:
            if self._tail:
                data = self._take_tail() + data
            if 13 in data:
                self._parse(data, out)
                return
            head, border, rest = data.rpartition(b"\n\n")
            if border:
                self._whole_records(head, out)
                data = rest
        if data and self._answer.result is None:
            self._tail.append(data)
            self._tail_size += len(data)
            if self._tail_size > WINDOW:
                self._parse(self._take_tail(), out)

    def end(self, out: list[Event], fault: MoondreamError | None) -> None:
        if tail := self._take_tail():
            self._parse(tail, out)
        unfinished = self._parser.unfinished
        last = self._parser.end()
        if last is not None and self._answer.result is None and self._is_whole(last.data):
            self._message(last.name, last.data, out)
            unfinished = False
        if self._answer.result is None and fault is None and not unfinished:
            out += self._answer.ended()
        if self._answer.result is None:
            raise fault or IncompleteStream(
                "the stream ended without its end-of-stream message; what arrived until then is in .partial"
            )

    def _take_tail(self) -> bytes:
        tail = b"".join(self._tail)
        self._tail.clear()
        self._tail_size = 0
        return tail

    def _whole_records(self, head: bytes, out: list[Event]) -> None:
        """Decode records that LF LF separates, `head` being without the last one's."""
        payloads = head[6:].split(b"\n\ndata: ")
        size = len(head)
        deltas = self._deltas
        if size > deltas.room:
            deltas.renew()
        if not head.startswith(b"data: ") or size > deltas.room or 10 in b"".join(payloads):
            self._parse(head + b"\n\n", out)
            return
        self._parser.at_start = False
        waiting = iter(payloads)
        done = refused = 0
        while done < len(payloads):
            if size <= deltas.room and refused < 3:
                events: list[Any] = []
                try:  # noqa: SIM105 - `suppress` costs as much as two events
                    events.extend(map(self._decode, waiting))
                except ValueError:
                    pass
                texts = [event._text for event in events if not event._completed]
                if len(texts) < len(events):
                    events = list(takewhile(lambda event: not event._completed, events))
                    texts = [event._text for event in events]
                if events:
                    out += events
                    deltas.recent.append("".join(texts))
                    deltas.room -= size
                    done += len(events)
                    refused = 0
                    if done == len(payloads):
                        return
                refused += 1
                self._decode, self._other_decode = self._other_decode, self._decode
            else:
                next(waiting, None)
            self._message(b"", payloads[done], out)
            done += 1
            if self._answer.result is not None:
                return

    def _parse(self, data: bytes, out: list[Event]) -> None:
        for record in self._parser.feed(data):
            self._message(record.name, record.data, out)
            if self._answer.result is not None:
                return
        self._lane_open = self._has_lane and self._parser.between_records

    def _message(self, name: bytes, data: bytes, out: list[Event]) -> None:
        bare = data.strip(_BLANKS)
        if not bare:
            return  # a keep-alive
        if name == b"error":
            raise api_error(self._status_code, self._headers, data, self._limits)
        if bare == self._answer.DONE:
            out += self._answer.ended()
            if self._answer.result is None:
                raise IncompleteStream(
                    "the server ended the stream before the answer had its end; what arrived until then is in .partial"
                )
            return
        fields = _decode_object(data, "message", self._limits)
        if is_error(fields):
            raise api_error(self._status_code, self._headers, data, self._limits)
        try:
            out += self._answer.message(fields)
        except Contradiction as error:
            raise RemoteProtocolError(
                f"the server sent a message in which {error}: {shorten(data)}"
            ) from error

    def _is_whole(self, data: bytes) -> bool:
        if data.strip(_BLANKS) == self._answer.DONE:
            return True
        try:
            return isinstance(decode(data, self._limits.max_json_depth), dict)
        except (ValueError, TooDeep):
            return False


class JSONBody:
    """A whole answer, or an error, as one JSON object."""

    def __init__(
        self, answer: Builder[Any], status_code: int, headers: Headers, limits: Limits
    ) -> None:
        self._answer = answer
        self._status_code = status_code
        self._headers = headers
        self._limits = limits
        self._chunks: list[bytes] = []
        self._size = 0

    def pull(self, data: bytes, out: list[Event]) -> None:
        self._chunks.append(data)
        self._size += len(data)
        if self._size > self._limits.max_record_bytes:
            limit = self._limits.max_record_bytes
            raise LimitExceeded(
                f"the server sent a JSON body that is longer than Limits.max_record_bytes ({limit:,} bytes)"
            )

    def end(self, out: list[Event], fault: MoondreamError | None) -> None:
        data = b"".join(self._chunks).removeprefix(BYTE_ORDER_MARK)
        if isinstance(fault, RemoteProtocolError):
            raise fault  # the bytes themselves are in doubt: broken compression or framing
        if not data.strip():
            raise fault or RemoteProtocolError(
                "the server answered 200 with an empty body, where a JSON object was expected"
            )
        try:
            fields = _decode_object(data, "body", self._limits)
        except LimitExceeded:
            raise
        except RemoteProtocolError:
            if fault is None and is_unclosed(data):
                fault = IncompleteStream(
                    "the JSON body ended before its last bracket: the answer was cut short"
                )
            if fault is not None:
                raise fault from None
            raise
        if is_error(fields):
            raise api_error(self._status_code, self._headers, data, self._limits)
        try:
            out += self._answer.whole(fields)
        except Contradiction as error:
            raise RemoteProtocolError(
                f"the server sent a body that is no answer: {error}: {shorten(data)}"
            ) from error


class ErrorBody:
    """The body of an error status.

    Whatever becomes of it, it ends in the APIError of that status.
    """

    def __init__(self, status_code: int, headers: Headers, limits: Limits) -> None:
        self._status_code = status_code
        self._headers = headers
        self._limits = limits
        self._body = bytearray()

    def pull(self, data: bytes, out: list[Event]) -> None:
        self._body += data[: self._limits.max_error_body_bytes + 1 - len(self._body)]
        if len(self._body) > self._limits.max_error_body_bytes:
            self.end(out, None)

    def end(self, out: list[Event], fault: MoondreamError | None) -> None:
        body = bytes(self._body[: self._limits.max_error_body_bytes])
        raise api_error(self._status_code, self._headers, body, self._limits) from fault


class UndecidedBody:
    """A body that the head does not name: JSON if it begins with a brace, else an event stream."""

    def __init__(
        self, answer: Builder[Any], status_code: int, headers: Headers, limits: Limits
    ) -> None:
        self._about = answer, status_code, headers, limits
        self._limit = limits.max_record_bytes
        self._undecided = (
            bytearray()
        )  # what came before the first byte that tells: a byte order mark, blanks
        self._decided: JSONBody | EventStreamBody | None = None

    def pull(self, data: bytes, out: list[Event]) -> None:
        if self._decided is None:
            # Each byte is looked at once; only the first three may be a byte order mark, which may
            # come in chunks.
            start = len(self._undecided) if len(self._undecided) >= len(BYTE_ORDER_MARK) else 0
            self._undecided += data
            if bytes(self._undecided[:3]) in (BYTE_ORDER_MARK[:1], BYTE_ORDER_MARK[:2]):
                return
            told = self._undecided[start:]
            if start == 0:
                told = told.removeprefix(BYTE_ORDER_MARK)
            told = told.lstrip(_BLANKS)
            if len(self._undecided) - len(told) > self._limit:
                raise LimitExceeded(
                    f"the server sent a body that begins with more blanks than Limits.max_record_bytes ({self._limit:,} bytes)"
                )
            if not told:
                return
            data = bytes(self._undecided)
            self._undecided.clear()
            self._decided = (JSONBody if told.startswith(b"{") else EventStreamBody)(*self._about)
        self._decided.pull(data, out)

    def end(self, out: list[Event], fault: MoondreamError | None) -> None:
        if self._decided is None:
            raise fault or RemoteProtocolError(
                "the server answered 200 without a body and without saying what it would be"
            )
        self._decided.end(out, fault)


def _decode_object(data: bytes, what: str, limits: Limits) -> dict[str, Any]:
    try:
        value = decode(data, limits.max_json_depth)
    except TooDeep:
        depth = limits.max_json_depth
        raise LimitExceeded(
            f"the server sent a {what} nested deeper than Limits.max_json_depth ({depth}): {shorten(data)}"
        ) from None
    except ValueError as error:
        wrong = "not UTF-8" if isinstance(error, UnicodeDecodeError) else "not JSON"
        raise RemoteProtocolError(
            f"the server sent a {what} that is {wrong} ({error}): {shorten(data)}"
        ) from error
    if not isinstance(value, dict):
        raise RemoteProtocolError(
            f"the server sent a {what} that is JSON, but no object: {shorten(data)}"
        )
    return cast(dict[str, Any], value)
