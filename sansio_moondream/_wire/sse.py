"""Bytes to server-sent event records, by the WHATWG's rules, to the letter and on bytes.

Source: HTML Living Standard, 9.2.5 "Parsing an event stream" and 9.2.6 "Interpreting an event
stream".

1. A stream is lines; a line ends in LF, CR or CR LF. A CR ends its line at once: should an LF come
   next, in whatever chunk, it belongs to that CR.
2. One byte order mark may lead the stream, and only there.
3. A line is a comment (it begins with a colon), a field (`name: value`, one space after the colon
   is dropped), or a field name without a value. Only `data` and `event` matter here; `id` and
   `retry` are about reconnecting, which a POST never does.
4. A blank line ends a record. Its data lines are joined with LF; without any data line it is no
   record.
5. Whatever is held is bounded: one line, and the joined data of one record, by `max_bytes` each. A
   comment is held only as long as its line is unfinished.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from sansio_moondream._errors import LimitExceeded

BYTE_ORDER_MARK = b"\xef\xbb\xbf"


class Record(NamedTuple):
    """One dispatched record: its event name (b"" if none was given), and its data."""

    name: bytes
    data: bytes


class RecordParser:
    """The general way from bytes to records, one line at a time. `feed` takes bytes however cut."""

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._line: list[bytes] = []  # chunks of a line that has not ended
        self._line_size = 0
        self._name = b""
        self._data: list[bytes] = []
        self._data_size = -1  # of the joined data: each line adds an LF, but for the first
        self._skip_lf = False
        self.at_start = True

    @property
    def between_records(self) -> bool:
        """Whether nothing of a record is held, so that whoever sees a whole record next may read it
        in another way.
        """
        return not (self._line or self._data or self._name or self._skip_lf)

    @property
    def unfinished(self) -> bool:
        """Whether a line or a record with data has begun and not ended."""
        return bool(self._line or self._data)

    def feed(self, data: bytes) -> Iterator[Record]:
        """The records that `data` (at least one byte) completes, one by one.

        Raises LimitExceeded.
        """
        if self._skip_lf:
            data = data.removeprefix(b"\n")
        self._skip_lf = False
        if 13 in data:
            self._skip_lf = data.endswith(b"\r")
            data = data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        *lines, rest = data.split(b"\n")
        for line in lines:
            record = self._end_line(line)
            if record is not None:
                yield record
        if rest:
            self._hold(rest)

    def end(self) -> Record | None:
        """The record that the end of input leaves unfinished, if it has data.

        By the standard it is dropped; see `EventBody`.
        """
        if self._line:
            self._end_line(b"")
        return self._take_record()

    def _hold(self, chunk: bytes) -> None:
        self._line.append(chunk)
        self._line_size += len(chunk)
        if self._line_size > self._max_bytes:
            raise _too_long("a line of the event stream", self._max_bytes)

    def _end_line(self, chunk: bytes) -> Record | None:
        self._hold(chunk)
        line = b"".join(self._line)
        self._line.clear()
        self._line_size = 0
        if self.at_start:
            self.at_start = False
            line = line.removeprefix(BYTE_ORDER_MARK)
        if not line:
            return self._take_record()
        if line.startswith(b"data:") or line == b"data":
            value = line[6:] if line[5:6] == b" " else line[5:]  # the one copy: it may be megabytes
            self._data.append(value)
            self._data_size += len(value) + 1
            if self._data_size > self._max_bytes:
                raise _too_long("a record of the event stream", self._max_bytes)
        elif line.startswith(b"event:") or line == b"event":
            self._name = line[6:].removeprefix(b" ")
        return None

    def _take_record(self) -> Record | None:
        record = Record(self._name, b"\n".join(self._data)) if self._data else None
        self._name = b""
        self._data.clear()
        self._data_size = -1
        return record


def _too_long(what: str, limit: int) -> LimitExceeded:
    return LimitExceeded(
        f"the server sent {what} that is longer than Limits.max_record_bytes ({limit:,} bytes)"
    )
