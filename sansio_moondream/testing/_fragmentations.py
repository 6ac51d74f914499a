"""Ways to cut the same bytes into chunks."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise

Chunks = list[bytes]


def each_byte(data: bytes) -> Chunks:
    """Every byte a chunk of its own."""
    return [data[at : at + 1] for at in range(len(data))]


def at_offsets(data: bytes, offsets: Iterable[int]) -> Chunks:
    """Cut at the given offsets; those outside `data` cut nothing."""
    inside = sorted({offset for offset in offsets if 0 < offset < len(data)})
    return [data[start:end] for start, end in pairwise([0, *inside, len(data)])]


def in_two(data: bytes) -> Iterator[Chunks]:
    """All the ways to cut `data` in two, one after the other."""
    return (at_offsets(data, [offset]) for offset in range(1, len(data)))


def with_empty_chunks(chunks: Sequence[bytes]) -> Chunks:
    """The same chunks with an empty one before, between and after them."""
    return [
        b"",
        *(chunk for pair in zip(chunks, [b""] * len(chunks), strict=True) for chunk in pair),
    ]


def every_fragmentation(data: bytes, most: int | None = None) -> Iterator[tuple[str, Chunks]]:
    """The fragmentations that matter, each with its name: whole, cut once at every offset, byte by
    byte, and that with empty chunks.

    Long data has many offsets. With `most`, no more than so many of them are cut at: half of them
    behind line ends and inside characters, the others spread evenly, the same each time."""
    yield "whole", [data]
    for offset in _offsets(data, most):
        yield f"cut at {offset}", at_offsets(data, [offset])
    yield "byte by byte", each_byte(data)
    yield "byte by byte with empty chunks", with_empty_chunks(each_byte(data))


def _offsets(data: bytes, most: int | None) -> Iterable[int]:
    every = range(1, len(data))
    if most is None or len(every) <= most:
        return every
    telling = [
        offset for offset in every if data[offset - 1] in b"\r\n" or data[offset] & 0xC0 == 0x80
    ]
    return sorted({*_spread(telling, most // 2), *_spread(every, most - most // 2)})


def _spread(offsets: Sequence[int], most: int) -> Iterable[int]:
    """As many of them, from the first to near the last."""
    return (
        (offsets[at * len(offsets) // most] for at in range(most))
        if len(offsets) > most
        else offsets
    )
