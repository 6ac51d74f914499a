"""What becomes of a recorded body before it is played: a fault put into it, and other cuts.

Each step takes the lines of a recording and gives others, and holds no more than the chunk that it
is making."""

from __future__ import annotations

import sys
from collections.abc import Collection, Iterable, Iterator
from enum import Enum
from itertools import chain, pairwise, repeat

from msgspec import Struct

from sansio_moondream.recording import Chunk, Ending, RecordingError, ending_error
from sansio_moondream.testing import BreakAt

_REST = sys.maxsize  # a chunk that takes all there is
_LARGEST = 4096  # of the chunks cut at random, in bytes


class Fragmentation(Enum):
    """Where a replayed body is cut into chunks. A collection of offsets can be given in its place.

    Attributes:
        AS_RECORDED: as the chunks came.
        WHOLE: not at all; it comes when its last byte came.
        EACH_BYTE: behind every byte.
        AT_RANDOM: anywhere, from a seed: chunks of 1 to 4,095 bytes, as many short ones as long
            ones.
    """

    AS_RECORDED = "as-recorded"
    WHOLE = "whole"
    EACH_BYTE = "each-byte"
    AT_RANDOM = "at-random"


class End(Struct, frozen=True):
    """The end of a body, `seconds` after what came before, with the error that is raised there, or
    None.
    """

    seconds: float
    error: Exception | None


def with_end(lines: Iterable[Chunk | Ending]) -> Iterator[Chunk | End]:
    """The lines of a recording, its ending as the error to raise; one that cannot be read is an
    ending, behind what came before it.
    """
    try:
        for line in lines:
            yield line if isinstance(line, Chunk) else End(line.seconds, ending_error(line))
    except (RecordingError, OSError) as error:
        yield End(0.0, error)


def with_fault(lines: Iterable[Chunk | End], fault: BreakAt) -> Iterator[Chunk | End]:
    """The lines up to where the fault comes, and the fault."""
    find = fault.finder()
    for line in lines:
        inside = find(line.data) if isinstance(line, Chunk) else 0
        if isinstance(line, Chunk) and inside != 0:
            yield Chunk(line.seconds, line.data[:inside])
        if inside is not None:
            yield End(0.0 if inside else line.seconds, fault.error)
            return


def chunk_sizes(
    cut: Fragmentation | Collection[int], seed: int, number: int
) -> Iterator[int] | None:
    """The sizes of the chunks to cut, for exchange `number` of a run;

    None leaves them as they are.
    """
    match cut:
        case Fragmentation.AS_RECORDED:
            return None
        case Fragmentation.WHOLE:
            return repeat(_REST)
        case Fragmentation.EACH_BYTE:
            return repeat(1)
        case Fragmentation.AT_RANDOM:
            from random import Random  # imports much, so only where it is used

            chance = Random(
                f"{seed}, {number}"
            ).random  # of which Python promises that a seed gives the same for ever
            return (int(_LARGEST ** chance()) for _ in repeat(None))
        case offsets:
            inside = sorted({offset for offset in offsets if offset > 0})
            return chain((end - start for start, end in pairwise([0, *inside])), repeat(_REST))


def recut(lines: Iterable[Chunk | End], sizes: Iterator[int]) -> Iterator[Chunk | End]:
    """The same bytes in chunks of other sizes. Each comes when its last byte came."""
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
