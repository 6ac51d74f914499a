"""Fragmentations: the same bytes in other chunks."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise

Chunks = list[bytes]


def each_byte(data: bytes) -> Chunks:
    """Make each byte of `data` a chunk of its own."""
    return [data[at : at + 1] for at in range(len(data))]


def at_offsets(data: bytes, offsets: Iterable[int]) -> Chunks:
    """Split `data` at `offsets`. Offsets outside of it are ignored."""
    inside = sorted({offset for offset in offsets if 0 < offset < len(data)})
    return [data[start:end] for start, end in pairwise([0, *inside, len(data)])]


def in_two(data: bytes) -> Iterator[Chunks]:
    """Split `data` into two chunks, once at every offset."""
    return (at_offsets(data, [offset]) for offset in range(1, len(data)))


def with_empty_chunks(chunks: Sequence[bytes]) -> Chunks:
    """Add an empty chunk before, between and after `chunks`."""
    return [b"", *(part for chunk in chunks for part in (chunk, b""))]


def every_fragmentation(
    data: bytes, max_offsets: int | None = None
) -> Iterator[tuple[str, Chunks]]:
    """Generate the fragmentations that matter, each with its name.

    They are: whole, split once at every offset, byte by byte, and byte by byte with empty chunks.

    Args:
        data: the bytes to split.
        max_offsets: maximum number of offsets, for long data. Half of them are after line ends and
            inside of characters, the others are spread evenly. They are always the same.
    """
    yield "whole", [data]
    for offset in _offsets(data, max_offsets):
        yield f"split at {offset}", at_offsets(data, [offset])
    yield "byte by byte", each_byte(data)
    yield "byte by byte with empty chunks", with_empty_chunks(each_byte(data))


def _offsets(data: bytes, limit: int | None) -> Iterable[int]:
    every = range(1, len(data))
    if limit is None or len(every) <= limit:
        return every
    critical = [at for at in every if data[at - 1] in b"\r\n" or data[at] & 0xC0 == 0x80]
    return sorted({*_spread(critical, limit // 2), *_spread(every, limit - limit // 2)})


def _spread(offsets: Sequence[int], limit: int) -> Iterable[int]:
    """Select at most `limit` offsets at equal distances."""
    if len(offsets) <= limit:
        return offsets
    return (offsets[at * len(offsets) // limit] for at in range(limit))
