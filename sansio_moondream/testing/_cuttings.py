"""Ways to cut the same bytes into pieces."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise

Pieces = list[bytes]


def each_byte(data: bytes) -> Pieces:
    """Every byte a piece of its own."""
    return [data[at : at + 1] for at in range(len(data))]


def at_offsets(data: bytes, offsets: Iterable[int]) -> Pieces:
    """Cut at the given offsets; those outside `data` cut nothing."""
    inside = sorted({offset for offset in offsets if 0 < offset < len(data)})
    return [data[start:end] for start, end in pairwise([0, *inside, len(data)])]


def one_cut(data: bytes) -> Iterator[Pieces]:
    """All the ways to cut `data` in two, one after the other."""
    return (at_offsets(data, [offset]) for offset in range(1, len(data)))


def with_empty_pieces(pieces: Sequence[bytes]) -> Pieces:
    """The same pieces with an empty one before, between and after them."""
    return [b"", *(piece for pair in zip(pieces, [b""] * len(pieces), strict=True) for piece in pair)]


def every_cutting(data: bytes, most: int | None = None) -> Iterator[tuple[str, Pieces]]:
    """The cuttings that matter, each with its name: whole, cut once at every offset, byte by byte, and that with empty pieces.

    Long data has many offsets. With `most`, no more than so many of them are cut at: half of them behind line ends and inside characters,
    the others spread evenly, the same each time.
    """
    yield "whole", [data]
    for offset in _offsets(data, most):
        yield f"cut at {offset}", at_offsets(data, [offset])
    yield "byte by byte", each_byte(data)
    yield "byte by byte with empty pieces", with_empty_pieces(each_byte(data))


def _offsets(data: bytes, most: int | None) -> Iterable[int]:
    every = range(1, len(data))
    if most is None or len(every) <= most:
        return every
    telling = [offset for offset in every if data[offset - 1] in b"\r\n" or data[offset] & 0xC0 == 0x80]
    return sorted({*_spread(telling, most // 2), *_spread(every, most - most // 2)})


def _spread(offsets: Sequence[int], most: int) -> Iterable[int]:
    """As many of them, from the first to near the last."""
    return (offsets[at * len(offsets) // most] for at in range(most)) if len(offsets) > most else offsets
