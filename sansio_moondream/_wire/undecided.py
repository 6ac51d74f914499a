"""A body that has no content type, or that of an event stream: its first byte decides.

Servers label JSON as an event stream when a stream was asked for. Blanks in front decide nothing;
of blank lines we hold one.
"""

from __future__ import annotations

import re

from sansio_moondream._errors import LimitExceeded, MoondreamError, RemoteProtocolError
from sansio_moondream._events import Event
from sansio_moondream._limits import Limits

from .bodies import BLANKS, Body, EventStreamBody, JSONBody
from .sse import BYTE_ORDER_MARK

_NO_BLANK = re.compile(rb"[^ \t\r\n]")


class UndecidedBody:
    """A body whose content type says little: JSON if it begins with a brace, else an event stream.

    Args:
        event_stream: the body, if it is one. If its parser has read a line, it is.
        json: the body, if it is JSON.
        limits: of the stream.
        labelled: whether the content type is that of an event stream. Then a body that decides
            nothing is one.
    """

    def __init__(
        self, event_stream: EventStreamBody, json: JSONBody, limits: Limits, *, labelled: bool
    ) -> None:
        self.event_stream = event_stream
        self._json = json
        self._labelled = labelled
        self._max_bytes = limits.max_record_bytes
        self._lead = bytearray()  # a byte order mark and blanks, which decide nothing
        self._size = 0  # of what came before the deciding byte
        self._body: Body | None = None

    @property
    def between_records(self) -> bool:
        """Whether the next byte begins a record of an event stream."""
        return self._decided() is self.event_stream and self.event_stream.parser.between_records

    def receive(self, data: bytes, out: list[Event]) -> bool:
        body = self._decided()
        if body is None:
            if not self._decides(data):
                self._keep(data)
                return False
            data, body = bytes(self._lead) + data, self._body
            self._lead.clear()
            if body is self._json:  # blanks before it would shift the positions in its errors
                data = data.removeprefix(BYTE_ORDER_MARK).lstrip(BLANKS)
        assert body is not None
        return body.receive(data, out)

    def end(self, out: list[Event], fault: MoondreamError | None) -> None:
        body = self._decided()
        if body is None:
            if not self._labelled:
                raise fault or RemoteProtocolError(
                    "the server answered 200 without a body and without saying what it would be"
                )
            body = self.event_stream
            if self._lead:
                body.receive(bytes(self._lead), out)
        body.end(out, fault)

    def _decided(self) -> Body | None:
        if self._body is None and not self.event_stream.parser.at_start:
            self._body = self.event_stream
        return self._body

    def _decides(self, data: bytes) -> bool:
        """Look for the first byte that is no blank, and set the body that it means."""
        start, size = 0, self._size
        if size < len(BYTE_ORDER_MARK):  # only the first three bytes may be a byte order mark
            data, size = bytes(self._lead) + data, size - len(self._lead)
            if data in (BYTE_ORDER_MARK[:1], BYTE_ORDER_MARK[:2]):
                return False
            start = len(data) - len(data.removeprefix(BYTE_ORDER_MARK))
        found = _NO_BLANK.search(data, start)
        if size + (found.start() if found else len(data)) > self._max_bytes:
            raise LimitExceeded(
                "the server sent a body that begins with more blanks than "
                f"Limits.max_record_bytes ({self._max_bytes:,} bytes)"
            )
        if found:
            self._body = self._json if found[0] == b"{" else self.event_stream
        return found is not None

    def _keep(self, data: bytes) -> None:
        self._size += len(data)
        line_end = max(data.rfind(b"\n"), data.rfind(b"\r"))
        if line_end >= 0:
            # Blank lines say nothing, so one stands for all of them.
            self._lead[:] = b"\n"
        self._lead += data[line_end + 1 :]
