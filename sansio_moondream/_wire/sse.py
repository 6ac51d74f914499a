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
5. One line, the joined data of one record, and the number of its data lines are bounded. A comment
   is held only until its line ends.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import chain
from typing import TypeAlias

from sansio_moondream._errors import LimitExceeded
from sansio_moondream._limits import Limits

BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_LINE_END = re.compile(rb"[\r\n]")
_BLOCK = 16 * 1024
"""Bytes of an event stream after which a block ends with its line. Blocks are split into lines at
once, and a short line takes twenty times its bytes while it exists."""
KEPT_OF_UNREAD = 1000  # bytes, of which an error shows 200 characters

Record: TypeAlias = tuple[bytes, bytes]
"""One dispatched record: its event name (b"" if it has none), and its data."""


class RecordParser:
    """Parse an event stream in chunks.

    Attributes:
        at_start: whether no line of the stream was read. A caller that reads the first records by
            itself clears it.
        stray: the beginning of the last line that is no field of the standard, and no comment.
    """

    def __init__(self, limits: Limits) -> None:
        self._max_bytes = limits.max_record_bytes
        self._max_lines = limits.max_record_lines
        self._line = bytearray()  # a line that has not ended: one object, however small the chunks
        self._name = b""
        self._data: bytes | bytearray = b""  # bytes if it is one line, which needs no copy then
        self._lines = 0  # data lines of this record
        self._skip_lf = False
        self.at_start = True
        self.stray = b""

    @property
    def between_records(self) -> bool:
        """Whether the next byte begins a record, and nothing before it matters."""
        return not (self._line or self._lines or self._name or self._skip_lf)

    @property
    def unfinished(self) -> bool:
        """Whether a line, or a record with data, has begun and not ended."""
        return bool(self._line or self._lines)

    def hold(self, data: bytes) -> bool:
        """Hold `data`, which is not empty, if it ends no line. Else return False: `feed` reads it.

        Raises LimitExceeded.
        """
        if 10 in data or 13 in data:
            return False
        self._skip_lf = False
        self._extend_line(data)
        return True

    def feed_in_blocks(self, data: bytes) -> Iterator[Record]:
        """Do the same as `feed`, but split a large chunk block by block."""
        if len(data) <= _BLOCK:
            return self.feed(data)
        return chain.from_iterable(map(self.feed, _blocks(data)))

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
            lines = data.split(b"\n")
            rest = lines.pop()
        del data  # it may be megabytes
        if lines and self._line:
            self._extend_line(lines[0])
            lines[0] = self._take_line()
        lines.reverse()
        while lines:
            line = lines.pop()
            if len(line) > self._max_bytes:
                raise _too_long("a line", self._max_bytes)
            if self.at_start:
                self.at_start = False
                line = line.removeprefix(BYTE_ORDER_MARK)
            if line:
                self._read_field(line)
            elif self._lines:
                yield self._take_record()
            else:
                self._name = b""
        if rest:
            self._extend_line(rest)

    def end(self) -> Record | None:
        """Return the record that the end of input left unfinished, if it has data.

        The standard drops it. `EventStreamBody` may use it.
        """
        if self._line:
            line = self._take_line()
            self._read_field(line.removeprefix(BYTE_ORDER_MARK) if self.at_start else line)
        return self._take_record() if self._lines else None

    def _extend_line(self, chunk: bytes) -> None:
        self._line += chunk
        if len(self._line) > self._max_bytes:
            raise _too_long("a line", self._max_bytes)

    def _take_line(self) -> bytes:
        line = bytes(self._line)
        self._line.clear()
        return line

    def _read_field(self, line: bytes) -> None:
        if line.startswith(b"data:") or line == b"data":
            self._add_data(line[6:] if line[5:6] == b" " else line[5:])
        elif line.startswith(b"event:") or line == b"event":
            self._name = line[6:].removeprefix(b" ")
        elif not line.startswith((b":", b"id:", b"retry:")):
            self.stray = line[:KEPT_OF_UNREAD]

    def _add_data(self, value: bytes) -> None:
        if self._lines == 0:
            self._data = value
        else:
            if self._lines == 1:
                self._data = bytearray(self._data)
            self._data += b"\n"
            self._data += value
        self._lines += 1
        if len(self._data) > self._max_bytes:
            raise _too_long("a record", self._max_bytes)
        if self._lines > self._max_lines:
            raise LimitExceeded(
                "the server sent a record of more data lines than "
                f"Limits.max_record_lines ({self._max_lines:,})"
            )

    def _take_record(self) -> Record:
        record = self._name, bytes(self._data)
        self._name = self._data = b""
        self._lines = 0
        return record


def _blocks(data: bytes) -> Iterator[bytes]:
    start = 0
    while start < len(data):
        line_end = _LINE_END.search(data, start + _BLOCK)
        end = len(data) if line_end is None else line_end.end()
        yield data[start:end]
        start = end


def _too_long(what: str, limit: int) -> LimitExceeded:
    return LimitExceeded(
        f"the server sent {what} of the event stream that is longer than "
        f"Limits.max_record_bytes ({limit:,} bytes)"
    )
