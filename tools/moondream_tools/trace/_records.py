"""The records of an event stream, with the byte at which each of them ends.

The core's parser reads them. It does not say where they end, so we divide its input behind each
line that may end a record. A needless division does no harm.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final, TypeAlias

from sansio_moondream import LimitExceeded, Limits
from sansio_moondream._wire.sse import Record, RecordParser

_LINE_ENDS: Final = re.compile(rb"[\r\n]{2,}|\A[\r\n]")
_SMALL: Final = 4 * 1024  # bytes

Segment: TypeAlias = tuple[bytes, Record | None, int]
"""A part of the data, the record that it completes, and the offset in the data where that ends."""


class Records:
    """Read an event stream in segments, each of which completes at most one record."""

    def __init__(self, limits: Limits) -> None:
        self._parser = RecordParser(limits)
        self._failed = False

    def segments(self, data: bytes) -> list[Segment]:
        """Divide `data`, which is not empty. No record follows one that exceeds the limits."""
        if self._is_one_record(data):
            return [(data, (b"", data[6:-2]), len(data))]
        segments: list[Segment] = []
        start = 0
        for stop, end in (*_possible_ends(data), (len(data), len(data))):
            if start < stop:
                segment = data[start:stop]
                segments.append((segment, self._feed(segment), end))
                start = stop
        return segments

    def end(self) -> Record | None:
        """Return the record that the end of input left unfinished, if it has data."""
        try:
            return None if self._failed else self._parser.end()
        except LimitExceeded:
            return None

    def _is_one_record(self, data: bytes) -> bool:
        """Whether `data` is a record as most servers write it. This saves half of the time."""
        size = len(data)
        if size > _SMALL or not data.startswith(b"data: ") or not data.endswith(b"\n\n"):
            return False
        if data.find(b"\n") < size - 2 or 13 in data:
            return False
        if self._failed or not self._parser.between_records:
            return False
        self._parser.at_start = False
        return True

    def _feed(self, segment: bytes) -> Record | None:
        if self._failed:
            return None
        try:
            if self._parser.hold(segment):
                return None
            records = list(self._parser.feed(segment))
        except LimitExceeded:
            self._failed = True
            return None
        return records[0] if records else None


def _possible_ends(data: bytes) -> Iterator[tuple[int, int]]:
    """Yield where to divide `data`, and where a record before that place would end.

    A record ends with the first of several blank lines. An LF behind the CR of that line completes
    nothing, so it may be in the same segment. What came before `data` is not known: a line end at
    its beginning may be a blank line.
    """
    for found in _LINE_ENDS.finditer(data):
        start, run_end = found.span()
        if start == 0:
            yield from ((end, end) for end in range(1, min(3, run_end) + 1))
            continue
        end = start + (3 if data.startswith(b"\r\n", start) else 2)
        if end <= run_end:
            yield end + data.startswith(b"\r\n", end - 1), end
