"""What changes a recorded body before it is played: an error inside it, and another fragmentation.

Each step takes the lines of a recording and yields others. It holds no more than one chunk.
"""

from __future__ import annotations

import sys
from collections.abc import Collection, Iterable, Iterator
from enum import Enum
from itertools import chain, pairwise, repeat
from typing import TypeAlias, cast

from msgspec import Struct

from sansio_moondream.recording import Chunk, Ending, RecordingError, ending_error
from sansio_moondream.testing import BreakAt

_REST = sys.maxsize  # the size of a chunk that takes all the rest
_MAX_RANDOM_SIZE = 4096  # exclusive, in bytes


class Fragmentation(Enum):
    """Where a replayed body is cut into chunks.

    A size of the chunks in bytes, or a collection of offsets, can be given instead.

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


AnyFragmentation: TypeAlias = Fragmentation | int | Collection[int]
"""A fragmentation, the size of each chunk in bytes, or offsets in the body."""


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
    find = break_at.finder()
    for line in lines:
        size = find(line.data) if isinstance(line, Chunk) else 0
        if isinstance(line, Chunk) and size != 0:
            yield Chunk(line.seconds, line.data[:size])
        if size is not None:
            yield End(0.0 if size else line.seconds, break_at.error)
            return


def chunk_sizes(fragmentation: AnyFragmentation, seed: int, number: int) -> Iterator[int] | None:
    """Return the sizes of the chunks for exchange `number` of a run. None keeps the chunks.

    Raises ValueError for a size that is not above 0, and TypeError for another type.
    """
    match fragmentation:
        case int(size):
            if size < 1:
                raise ValueError(f"the size of the chunks should be above 0, not {size}")
            return repeat(size)
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
            inside = pairwise([0, *_sorted(offsets)])
            return chain((end - start for start, end in inside), repeat(_REST))


def _sorted(offsets: object) -> list[int]:
    if isinstance(offsets, Collection) and not isinstance(offsets, str | bytes):
        given = cast("Collection[object]", offsets)
        found = {offset for offset in given if isinstance(offset, int)}
        if len(found) == len(set(given)):
            return sorted(offset for offset in found if offset > 0)
    raise TypeError(f"fragmentation should be a Fragmentation, a size or offsets, not {offsets!r}")


def fragment_lines(lines: Iterable[Chunk | End], sizes: Iterator[int]) -> Iterator[Chunk | End]:
    """Yield the same bytes in chunks of other sizes, each at the time of its last byte.

    A last chunk that is smaller than its size comes at the time of the end.
    """
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
