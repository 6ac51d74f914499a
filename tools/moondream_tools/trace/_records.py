"""The records of an event stream, with the byte at which each of them ends.

The core's parser reads them. It does not say where they end, so we cut its input behind each line
that may end a record: the last byte that it has is then that place. A needless cut does no harm.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import chain
from typing import Final

from sansio_moondream import LimitExceeded, Limits
from sansio_moondream._wire.sse import Record, RecordParser

_LINE_ENDS: Final = re.compile(rb"[\r\n]{2,}|\A[\r\n]")


class Records:
    """Read an event stream in segments, each of which completes at most one record."""

    def __init__(self, limits: Limits) -> None:
        self._parser = RecordParser(limits)
        self._failed = False

    def segments(self, data: bytes) -> Iterator[tuple[bytes, Record | None]]:
        """Yield `data` in segments, with the record that each of them completes.

        No record follows one that exceeds the limits.
        """
        start = 0
        for end in chain(_possible_ends(data), (len(data),)):
            if end > start:
                segment = data[start:end]
                yield segment, self._feed(segment)
                start = end

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

    That is the second line end in a row, or the third byte after CR LF. At the beginning of `data`
    it may also be the first byte.
    """
    for found in _LINE_ENDS.finditer(data):
        start, end = found.span()
        yield from range(start + (2 if start else 1), min(start + 3, end) + 1)
