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


def every_cutting(data: bytes) -> Iterator[tuple[str, Pieces]]:
    """The cuttings that matter, each with its name: whole, byte by byte, with empty pieces, and cut once at every offset."""
    yield "whole", [data]
    yield "byte by byte", each_byte(data)
    yield "byte by byte with empty pieces", with_empty_pieces(each_byte(data))
    for offset, pieces in enumerate(one_cut(data), 1):
        yield f"cut at {offset}", pieces
