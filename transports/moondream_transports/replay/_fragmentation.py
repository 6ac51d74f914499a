"""What changes a recorded body before it is played: an error inside it, and another fragmentation.

Each step takes the lines of a recording and yields others. It holds no more than one chunk.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Collection, Iterable, Iterator
from enum import Enum
from itertools import chain, pairwise, repeat

from msgspec import Struct

from sansio_moondream.recording import Chunk, Ending, RecordingError, ending_error

_LINE_END = re.compile(rb"\r\n|\n|\r")
_REST = sys.maxsize  # the size of a chunk that takes all the rest
_MAX_RANDOM_SIZE = 4096  # exclusive, in bytes


class Fragmentation(Enum):
    """Where a replayed body is cut into chunks. A collection of offsets can be given instead.

    Attributes:
        AS_RECORDED: into the recorded chunks.
        WHOLE: nowhere. The body arrives with its last byte.
        EACH_BYTE: after each byte.
        AT_RANDOM: anywhere, from a seed. The chunks have 1 to 4,095 bytes; small ones are as likely
            as large ones.
    """

    AS_RECORDED = "as-recorded"
    WHOLE = "whole"
    EACH_BYTE = "each-byte"
    AT_RANDOM = "at-random"


class BreakAt(Struct, frozen=True):
    """Where a replay breaks. What is recorded after that point is dropped.

    Attributes:
        error: what the transport raises there (see `Transport`). The builtin TimeoutError is
            silence. None ends the body as if it were complete.
        after_bytes: so many bytes of the body come before it.
        after_events: so many records of the event stream come before it. Comments do not count.

    With neither number the replay breaks before the head. In a shorter body it breaks at the end.
    Raises ValueError for both numbers at once, for a negative number, and for neither number
    without an error.
    """

    error: Exception | None
    after_bytes: int | None = None
    after_events: int | None = None

    def __post_init__(self) -> None:
        given = [count for count in (self.after_bytes, self.after_events) if count is not None]
        if len(given) > 1 or any(count < 0 for count in given):
            raise ValueError("give after_bytes or after_events, 0 or more of them, not both")
        if not given and self.error is None:
            raise ValueError(
                "a replay without a head needs an error; for an empty body give after_bytes=0"
            )

    @property
    def before_head(self) -> bool:
        """Whether the replay breaks before the head of the response."""
        return self.after_bytes is self.after_events is None


class End(Struct, frozen=True):
    """The end of a body, `seconds` after the last line, and the error raised there, or None."""

    seconds: float
    error: Exception | None


def end_lines(lines: Iterable[Chunk | Ending]) -> Iterator[Chunk | End]:
    """Convert the ending of a recording to the error that is raised.

    A line that cannot be read ends the recording with that error.
    """
    try:
        for line in lines:
            yield line if isinstance(line, Chunk) else End(line.seconds, ending_error(line))
    except (RecordingError, OSError) as error:
        yield End(0.0, error)


def break_lines(lines: Iterable[Chunk | End], break_at: BreakAt) -> Iterator[Chunk | End]:
    """Yield the lines before the break, and the error there."""
    counter = (
        _Bytes(break_at.after_bytes)
        if break_at.after_bytes is not None
        else _Records(break_at.after_events or 0)
    )
    for line in lines:
        size = counter.reached(line.data) if isinstance(line, Chunk) else 0
        if isinstance(line, Chunk) and size != 0:
            yield Chunk(line.seconds, line.data[:size])
        if size is not None:
            yield End(0.0 if size else line.seconds, break_at.error)
            return


def chunk_sizes(
    fragmentation: Fragmentation | Collection[int], seed: int, number: int
) -> Iterator[int] | None:
    """Return the sizes of the chunks for exchange `number` of a run. None keeps the chunks."""
    match fragmentation:
        case Fragmentation.AS_RECORDED:
            return None
        case Fragmentation.WHOLE:
            return repeat(_REST)
        case Fragmentation.EACH_BYTE:
            return repeat(1)
        case Fragmentation.AT_RANDOM:
            from random import Random  # a slow import

            # Python promises that `random` gives the same numbers for a seed in every version.
            random = Random(f"{seed}, {number}").random
            return (int(_MAX_RANDOM_SIZE ** random()) for _ in repeat(None))
        case offsets:
            inside = sorted({offset for offset in offsets if offset > 0})
            return chain((end - start for start, end in pairwise([0, *inside])), repeat(_REST))


def fragment_lines(lines: Iterable[Chunk | End], sizes: Iterator[int]) -> Iterator[Chunk | End]:
    """Yield the same bytes in chunks of other sizes, each at the time of its last byte."""
    held = bytearray()
    seconds = 0.0
    size = next(sizes)
    for line in lines:
        seconds += line.seconds
        if isinstance(line, End):
            if held:
                yield Chunk(seconds, bytes(held))
                seconds = 0.0
            yield End(seconds, line.error)
            return
        at = 0
        while len(line.data) - at >= size - len(held):
            end = at + size - len(held)
            yield Chunk(seconds, bytes(held) + line.data[at:end])
            held.clear()
            at, seconds, size = end, 0.0, next(sizes)
        held += line.data[at:]


class _Bytes:
    """Find the place after `count` bytes."""

    def __init__(self, count: int) -> None:
        self._left = count

    def reached(self, data: bytes) -> int | None:
        """Return how many of these bytes come before the place, or None if it is further on."""
        if len(data) >= self._left:
            return self._left
        self._left -= len(data)
        return None


class _Records:
    """Find the end of record number `count`: a blank line after lines that are not all comments."""

    def __init__(self, count: int) -> None:
        self._left = count
        self._first = b""  # byte of the line, if it has arrived
        self._in_record = False
        self._after_cr = False

    def reached(self, data: bytes) -> int | None:
        """Do as `_Bytes.reached`."""
        if self._left == 0:
            return 0
        start = 1 if self._after_cr and data[:1] == b"\n" else 0
        for end in _LINE_END.finditer(data, start):
            if first := self._first or data[start : end.start()][:1]:
                self._in_record |= first != b":"
            elif self._in_record:
                self._in_record = False
                self._left -= 1
                if self._left == 0:
                    return end.end()
            self._first = b""
            start = end.end()
        self._first = self._first or data[start : start + 1]
        self._after_cr = data.endswith(b"\r")
        return None
