"""Pixels to polygons: the outlines of a mask along the edges between its pixels.

1. Between two rows, a border runs where the pixel above and the pixel below differ. We find these
   borders for the whole row at once, as bits that differ.
2. A border has its inside on its right hand: one above the inside runs to the right, one below it
   to the left. So outlines run clockwise, as a picture shows them, and holes the other way.
3. In each column between pixels, the ends of borders are joined in pairs, from top to bottom. Where
   two pixels of the inside touch only at a corner, four borders meet. There we turn right, so that
   the two pixels are apart.
"""

from __future__ import annotations

from collections import defaultdict
from itertools import pairwise
from typing import TypeAlias

_Border: TypeAlias = tuple[int, int, int]  # y, and x of its start and its end
Outline: TypeAlias = list[tuple[int, int]]


def trace(mask: bytes | bytearray, width: int) -> tuple[list[Outline], list[Outline]]:
    """Trace the outlines and the holes of a mask.

    Args:
        mask: a byte for each pixel, row by row: 1 inside, 0 outside.
        width: of a row.

    Returns:
        Closed polygons of whole numbers, which do not cross or touch along a line: first those
        around the inside, then those around holes.
    """
    borders = _borders(mask, width)
    after = _joined(borders)
    outlines: list[Outline] = []
    holes: list[Outline] = []
    for first, (_, start, end) in enumerate(borders):
        outline: Outline = []
        number = first
        while (following := after.pop(number, None)) is not None:
            y, *ends = borders[number]
            outline.extend((x, y) for x in ends)
            number = following
        if outline:  # its first border is its highest one: the inside is below that of an outline
            (outlines if start < end else holes).append(outline)
    return outlines, holes


def _borders(mask: bytes | bytearray, width: int) -> list[_Border]:
    borders: list[_Border] = []
    rows = [bytes(mask[at : at + width]) for at in range(0, len(mask), width)]
    outside = bytes(width)
    for y, (above, below) in enumerate(pairwise((outside, *rows, outside))):
        if above == below:
            continue
        differ = (int.from_bytes(above) ^ int.from_bytes(below)).to_bytes(width)
        x = differ.find(1)
        while x >= 0:
            end = _end_of(below, x, _end_of(differ, x, width))
            borders.append((y, x, end) if below[x] else (y, end, x))
            x = differ.find(1, end)
    return borders


def _end_of(row: bytes, start: int, end: int) -> int:
    """Find where the run of equal bytes from `start` ends."""
    at = row.find(1 - row[start], start, end)
    return end if at < 0 else at


def _joined(borders: list[_Border]) -> dict[int, int]:
    """Map the number of each border to that of the border that follows it."""
    columns = defaultdict[int, list[tuple[int, bool, bool, int]]](list)
    for number, (y, start, end) in enumerate(borders):
        # Of two borders that meet in one point, the one to the left is joined upward.
        columns[start].append((y, start < end, False, number))
        columns[end].append((y, start < end, True, number))
    after: dict[int, int] = {}
    for ends in columns.values():
        ends.sort()
        for (*_, is_end, number), (*_, other) in zip(ends[::2], ends[1::2], strict=True):
            if is_end:
                after[number] = other
            else:
                after[other] = number
    return after
