"""Bytes to server-sent event records, by the rules of WHATWG, on bytes.

Source: HTML Living Standard, 9.2.5 "Parsing an event stream" and 9.2.6 "Interpreting an event
stream".

1. A stream is lines. A line ends in LF, CR or CR LF. A CR ends its line at once; if the next byte
   is LF, in the same chunk or the next, it belongs to that CR.
2. One byte order mark may begin the stream. Anywhere else it is text.
3. A line is a comment (it begins with a colon), a field (`name: value`; one space after the colon
   is dropped), or a field name without a value. Only `data` and `event` matter here. `id` and
   `retry` are for reconnecting, which a POST never does. All other lines are ignored; the beginning
   of the last one is kept, as it may be an error without `data:` in front of it.
4. A blank line ends a record. Its data lines are joined with LF. Without a data line there is no
   record.
5. One line, and the joined data of one record, are bounded by `max_bytes` each. A comment is held
   only until its line ends.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from sansio_moondream._errors import LimitExceeded

BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_KEPT_OF_STRAY = 1000  # bytes, of which an error shows 200 characters


class Record(NamedTuple):
    """One dispatched record: its event name (b"" if it has none), and its data."""

    name: bytes
    data: bytes


class RecordParser:
    """Parse an event stream in chunks.

    Attributes:
        at_start: whether no line of the stream was read. A caller that reads the first records by
            itself clears it.
        stray: the beginning of the last line that is no field of the standard, and no comment.
    """

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._line: list[bytes] = []  # chunks of a line that has not ended
        self._line_size = 0
        self._name = b""
        self._data: list[bytes] = []
        self._data_size = -1  # of the joined data: each line but the first adds an LF
        self._skip_lf = False
        self.at_start = True
        self.stray = b""

    @property
    def between_records(self) -> bool:
        """Whether the next byte begins a record, and nothing before it matters."""
        return not (self._line or self._data or self._name or self._skip_lf)

    @property
    def unfinished(self) -> bool:
        """Whether a line, or a record with data, has begun and not ended."""
        return bool(self._line or self._data)

    def feed(self, data: bytes) -> Iterator[Record]:
        """Yield the records that `data`, which is not empty, completes. Raises LimitExceeded."""
        if self._skip_lf:
            data = data.removeprefix(b"\n")
        self._skip_lf = False
        if 13 in data:
            self._skip_lf = data.endswith(b"\r")
            lines = data.splitlines()  # of bytes: at LF, CR and CR LF, and at nothing else
            rest = b"" if data.endswith((b"\r", b"\n")) else lines.pop()
        else:
            *lines, rest = data.split(b"\n")
        del data  # it may be megabytes
        lines.reverse()
        while lines:
            line = lines.pop()
            if self._line:
                self._hold(line)
                line = self._take_line()
            record = self._read_line(line)
            if record is not None:
                yield record
        if rest:
            self._hold(rest)

    def end(self) -> Record | None:
        """Return the record that the end of input left unfinished, if it has data.

        The standard drops it. `EventStreamBody` may use it.
        """
        if self._line:
            self._read_line(self._take_line())
        return self._take_record()

    def _hold(self, chunk: bytes) -> None:
        self._line.append(chunk)
        self._line_size += len(chunk)
        if self._line_size > self._max_bytes:
            raise _too_long("a line", self._max_bytes)

    def _take_line(self) -> bytes:
        line = b"".join(self._line)
        self._line.clear()
        self._line_size = 0
        return line

    def _read_line(self, line: bytes) -> Record | None:
        if len(line) > self._max_bytes:
            raise _too_long("a line", self._max_bytes)
        if self.at_start:
            self.at_start = False
            line = line.removeprefix(BYTE_ORDER_MARK)
        if not line:
            return self._take_record()
        if line.startswith(b"data:") or line == b"data":
            value = line[6:] if line[5:6] == b" " else line[5:]
            self._data.append(value)
            self._data_size += len(value) + 1
            if self._data_size > self._max_bytes:
                raise _too_long("a record", self._max_bytes)
        elif line.startswith(b"event:") or line == b"event":
            self._name = line[6:].removeprefix(b" ")
        elif not line.startswith((b":", b"id:", b"retry:")):
            self.stray = line[:_KEPT_OF_STRAY]
        return None

    def _take_record(self) -> Record | None:
        record = Record(self._name, b"\n".join(self._data)) if self._data else None
        self._name = b""
        self._data.clear()
        self._data_size = -1
        return record


def _too_long(what: str, limit: int) -> LimitExceeded:
    return LimitExceeded(
        f"the server sent {what} of the event stream that is longer than "
        f"Limits.max_record_bytes ({limit:,} bytes)"
    )
