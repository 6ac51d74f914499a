"""Where a stream breaks, and how."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Final

from msgspec import Struct

EOF: Final = None
"""The ending of a body that ends properly."""

_LINE_END = re.compile(rb"\r\n|\n|\r")


class BreakAt(Struct, frozen=True):
    """A plan to break a response at a byte or after an event.

    Attributes:
        error: what ends the response there, or `EOF` (None) for a body that ends early but
            properly. In a replay, the builtin TimeoutError is silence.
        after_bytes: length of the body before the break.
        after_events: number of records before the break, in a body that is an event stream. Records
            of comments do not count.

    Without `after_bytes` and `after_events`, the break takes the place of the head. A shorter body
    breaks at its end.

    Raises:
        TypeError: the error is neither an instance of an exception nor `EOF`.
        ValueError: both numbers, a negative number, or a break at the head without an error.
    """

    error: Exception | None
    after_bytes: int | None = None
    after_events: int | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.error, Exception | None):
            raise TypeError(f"error should be an exception or EOF, not {self.error!r}")
        given = [count for count in (self.after_bytes, self.after_events) if count is not None]
        if len(given) > 1 or any(count < 0 for count in given):
            raise ValueError(
                "a break should have after_bytes or after_events, at least 0, not both"
            )
        if not given and self.error is EOF:
            raise ValueError("a break at the head needs an error; an empty body is after_bytes=0")

    @property
    def before_head(self) -> bool:
        """True if the break takes the place of the head."""
        return self.after_bytes is self.after_events is None

    def apply(self, data: bytes) -> tuple[bytes, Exception | None]:
        """Break `data`, a whole body.

        Returns:
            `data` and `ending` for `run` and `check_fragmentations`.
        """
        return data[: self.finder()(data)], self.error

    def finder(self) -> Callable[[bytes], int | None]:
        """Return a function that finds the break in a body that comes in chunks.

        Call it with each chunk in order. It returns how many bytes of the chunk come before the
        break, or None if the whole chunk does and the break comes later.
        """
        left = self.after_events or self.after_bytes or 0
        records = _RecordScanner() if self.after_events else None

        def find(data: bytes) -> int | None:
            nonlocal left
            if records is None:
                found = left if len(data) >= left else None
                left -= len(data)
                return found
            for end in records.ends(data):
                left -= 1
                if left == 0:
                    return end
            return None

        return find


def record_ends(data: bytes) -> list[int]:
    """List the offsets in `data` after the blank line of each record. A break there is between
    events.
    """
    return list(_RecordScanner().ends(data))


class _RecordScanner:
    """Finds the ends of records in chunks. A record has a line that is not a comment."""

    def __init__(self) -> None:
        self._first = b""  # the first byte of the line, if it is there
        self._in_record = False
        self._after_cr = False

    def ends(self, data: bytes) -> Iterator[int]:
        """Find the offsets after blank lines in the next chunk."""
        start = 1 if self._after_cr and data[:1] == b"\n" else 0
        for end in _LINE_END.finditer(data, start):
            if first := self._first or data[start : end.start()][:1]:
                self._in_record |= first != b":"
            elif self._in_record:
                self._in_record = False
                yield end.end()
            self._first = b""
            start = end.end()
        self._first = self._first or data[start : start + 1]
        if data:
            self._after_cr = data.endswith(b"\r")
