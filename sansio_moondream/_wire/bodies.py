"""The bodies of a response, one class for each kind.

A body receives bytes and appends the events that they complete to `out`. If the bytes contain a
fault, it first appends the events before the fault, and then raises it.

1. `EventStreamBody` is a complete decoder of an event stream: the slow path. `fast_path.py` stands
   in front of it.
2. `JSONBody` is one JSON object: a whole answer, or an error in a 200.
3. `ErrorBody` is the body of an error status.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol, TypeAlias, cast

from sansio_moondream._errors import (
    APIError,
    IncompleteStream,
    LimitExceeded,
    MoondreamError,
    RemoteProtocolError,
    shorten,
)
from sansio_moondream._events import Event, Unknown
from sansio_moondream._limits import Limits
from sansio_moondream._skills.builder import Builder
from sansio_moondream._skills.fields import Contradiction, NoAnswer

from .error_answers import has_words, is_error
from .json import BeyondLimit, decode, is_unclosed
from .sse import BYTE_ORDER_MARK, KEPT_OF_UNREAD, RecordParser

BLANKS = b" \t\r\n"

ErrorOf: TypeAlias = Callable[[bytes], APIError]
"""Returns the exception for an error message or body; knows the head of the response."""


class Body(Protocol):
    """What `ResponseStream` asks of a body."""

    def receive(self, data: bytes, out: list[Event]) -> bool:
        """Decode a chunk, which is not empty. Return whether the answer is complete."""
        ...

    def end(self, out: list[Event], fault: MoondreamError | None) -> None:
        """Decode what the end of the body completes.

        `fault` is the reason why the body ended early, or None. Returns only if the answer is
        complete, and raises an error otherwise.
        """
        ...


class EventStreamBody:
    """An event stream, each record of which holds one message.

    The end of the body may leave a record without its blank line. If its data is one JSON object,
    or the record that ends a stream, it is read all the same: no further byte could add to it. (The
    standard drops it.)
    """

    def __init__(self, builder: Builder[Any], error_of: ErrorOf, limits: Limits) -> None:
        self.parser = RecordParser(limits)
        self._builder = builder
        self._error_of = error_of
        self._limits = limits
        self._unknown = b""  # the beginning of the last unknown message

    def receive(self, data: bytes, out: list[Event]) -> bool:
        if self.parser.hold(data):
            return False
        records = self.parser.feed_in_blocks(data)
        del data  # it may be megabytes
        return any(self.read(payload, out, name) for name, payload in records)

    def end(self, out: list[Event], fault: MoondreamError | None) -> None:
        unfinished = self.parser.unfinished
        last = self.parser.end()
        if last is not None and self._is_whole(last[1]):
            name, data = last
            if self.read(data, out, name):
                return
            unfinished = False
        if fault is None and not unfinished:
            out += self._builder.end_of_stream()
        if self._builder.result is None:
            raise fault or self._incomplete("the stream ended without its end-of-stream message")

    def read(self, data: bytes, out: list[Event], name: bytes = b"") -> bool:
        """Read the data of one record. Return whether the answer is complete."""
        bare = data.strip(BLANKS)
        if not bare:
            return False  # a keep-alive
        if name == b"error":
            raise self._error_of(data)
        if bare == self._builder.DONE:
            out += self._builder.end_of_stream()
            if self._builder.result is None:
                raise self._incomplete("the server ended the stream before the answer had its end")
            return True
        fields = _decode_object(data, "message", self._limits)
        if is_error(fields):
            raise self._error_of(data)
        try:
            events = self._builder.add_message(fields)
        except Contradiction as error:
            raise RemoteProtocolError(
                f"the server sent a message in which {error}: {shorten(data)}"
            ) from error
        if events and isinstance(events[-1], Unknown):
            self._unknown = data[:KEPT_OF_UNREAD]
        out += events
        return self._builder.result is not None

    def _incomplete(self, what: str) -> IncompleteStream:
        """Return the error of a stream without its end. It quotes what was not understood."""
        unread = " … ".join(filter(None, map(shorten, (self._unknown, self.parser.stray))))
        also = f"; the server also sent {unread}" if unread else ""
        return IncompleteStream(f"{what}; what arrived until then is in .partial{also}")

    def _is_whole(self, data: bytes) -> bool:
        if data.strip(BLANKS) == self._builder.DONE:
            return True
        try:
            limits = self._limits
            return isinstance(decode(data, limits.max_json_depth, limits.max_json_values), dict)
        except (ValueError, BeyondLimit):
            return False


class JSONBody:
    """One JSON object: a whole answer, or an error in a 200."""

    def __init__(self, builder: Builder[Any], error_of: ErrorOf, limits: Limits) -> None:
        self._builder = builder
        self._error_of = error_of
        self._limits = limits
        self._data = bytearray()

    def receive(self, data: bytes, out: list[Event]) -> bool:
        self._data += data
        limit = self._limits.max_record_bytes
        if len(self._data) > limit:
            raise LimitExceeded(
                "the server sent a JSON body that is longer than "
                f"Limits.max_record_bytes ({limit:,} bytes)"
            )
        return False

    def end(self, out: list[Event], fault: MoondreamError | None) -> None:
        if isinstance(fault, RemoteProtocolError):
            raise fault  # compression or framing is broken, so the bytes may be wrong
        data = bytes(self._data)
        self._data.clear()
        data = data.removeprefix(BYTE_ORDER_MARK)
        if not data or data.isspace():
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
                    "the JSON body ended before its last bracket: the answer was cut short: "
                    f"{shorten(data)}"
                )
            if fault is not None:
                raise fault from None
            raise
        if is_error(fields):
            raise self._error_of(data)
        try:
            out += self._builder.add_answer(fields)
        except Contradiction as error:
            if isinstance(error, NoAnswer) and has_words(fields):
                raise self._error_of(data) from None
            raise RemoteProtocolError(
                f"the server sent a body that is no answer: {error}: {shorten(data)}"
            ) from error


class ErrorBody:
    """The body of an error status. It ends in the `APIError` of that status in any case."""

    def __init__(self, error_of: ErrorOf, limits: Limits) -> None:
        self._error_of = error_of
        self._max_bytes = limits.max_error_body_bytes
        self._body = bytearray()

    def receive(self, data: bytes, out: list[Event]) -> bool:
        self._body += data[: self._max_bytes + 1 - len(self._body)]
        if len(self._body) > self._max_bytes:
            self.end(out, None)
        return False

    def end(self, out: list[Event], fault: MoondreamError | None) -> None:
        raise self._error_of(bytes(self._body[: self._max_bytes])) from fault


def _decode_object(data: bytes, what: str, limits: Limits) -> dict[str, Any]:
    try:
        value = decode(data, limits.max_json_depth, limits.max_json_values)
    except BeyondLimit as error:
        raise LimitExceeded(f"the server sent a {what} {error}: {shorten(data)}") from None
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
