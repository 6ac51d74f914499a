"""The records of an event stream, with the byte at which each of them ends.

The core's parser reads them. It does not say where they end, so we cut its input behind each line
that may end a record: the last byte that it has is then that place. A needless cut does no harm.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import pairwise
from typing import Final

from sansio_moondream import LimitExceeded, Limits
from sansio_moondream._wire.sse import Record, RecordParser

_SMALL: Final = 4 * 1024
_LINE_ENDS: Final = re.compile(rb"[\r\n]{2,}|\A[\r\n]")


class Records:
    """Read an event stream in segments, each of which completes at most one record."""

    def __init__(self, limits: Limits) -> None:
        self._parser = RecordParser(limits)
        self._failed = False

    def segments(self, data: bytes) -> list[tuple[bytes, Record | None]]:
        """Divide `data` into segments, and return them with the record that each completes.

        No record follows one that exceeds the limits.
        """
        if self._is_one_record(data):
            return [(data, (b"", data[6:-2]))]
        ends = [*_possible_ends(data), len(data)]
        segments = [data[start:end] for start, end in pairwise([0, *ends]) if end > start]
        return [(segment, self._feed(segment)) for segment in segments]

    def _is_one_record(self, data: bytes) -> bool:
        """Whether a chunk is a record as most servers write it. That saves half of the time."""
        if not (data.startswith(b"data: ") and data.endswith(b"\n\n") and len(data) <= _SMALL):
            return False
        is_one = data.find(b"\n") == len(data) - 2 and 13 not in data
        if is_one and self._parser.between_records and not self._failed:
            self._parser.at_start = False
            return True
        return False

    def end(self) -> Record | None:
        """Return the record that the end of input left unfinished, if it has data."""
        try:
            return None if self._failed else self._parser.end()
        except LimitExceeded:
            return None

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


def _possible_ends(data: bytes) -> Iterator[int]:
    """Yield the offsets at which a record may end: behind the first blank line of several.

    What is before `data` is not known, so at its beginning that may be each of three bytes.
    """
    for found in _LINE_ENDS.finditer(data):
        start, end = found.span()
        if start == 0:
            yield from range(1, min(3, end) + 1)
        else:
            end_of_line = start + (2 if data.startswith(b"\r\n", start) else 1)
            if end_of_line < end:
                yield end_of_line + 1
