"""Polygons to pixels: how much of each pixel they cover.

Each row of pixels is cut by a few level lines. Along a line everything is exact: where it crosses the polygons, which parts of it
are inside by the rule `nonzero`, and how much of each pixel these are. Why this is no library: see docs/pictures.md.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from math import ceil

from ._polygons import Polygon

_LINES = 4  # through each row, if it is to be smooth
_Side = tuple[int, int, float, float, int]  # first line, line after the last, x on the first, step, 1 if it goes down and -1 if up


def fill(polygons: Iterable[Polygon], size: tuple[int, int], *, antialias: bool = True) -> bytearray:
    """The share of each pixel that is inside, 0 to 255, row by row. Without `antialias`, 255 where the middle of a pixel is inside."""
    width, height = size
    lines = _LINES if antialias else 1
    pixels = bytearray(width * height)
    row = 0
    turns = defaultdict[int, float](float)  # turns[x]: how much more of the pixel at x is inside than of the one before
    for line, spans in _spans(_sides(polygons, height, lines)):
        if line // lines != row:
            _paint(pixels, row * width, turns, 255 / lines)
            row = line // lines
        for left, right in spans:
            if not antialias:
                left, right = ceil(left - 0.5), ceil(right - 0.5)
            if left < width and right > 0:
                for x, turn in ((max(left, 0), 1), (min(right, width), -1)):
                    pixel = int(x)
                    beyond = (x - pixel) * turn
                    turns[pixel] += turn - beyond
                    turns[pixel + 1] += beyond
    _paint(pixels, row * width, turns, 255 / lines)
    return pixels


def _paint(pixels: bytearray, at: int, turns: defaultdict[int, float], white: float) -> None:
    """Write the row that begins at `at`, and forget its turns."""
    level, value, before = 0.0, 0, 0
    for x in sorted(turns):
        if value:
            pixels[at + before : at + x] = bytes((value,)) * (x - before)
        level += turns[x]
        value = int(level * white + 0.5)
        before = x
    turns.clear()


def _spans(sides: Iterable[_Side]) -> Iterator[tuple[int, list[tuple[float, float]]]]:
    """The lines that cross the polygons, from the top, and what of each is inside: from x to x."""
    coming = sorted(sides, reverse=True)
    active: list[_Side] = []
    line = 0
    while coming or active:
        if not active:
            line = coming[-1][0]
        while coming and coming[-1][0] == line:
            active.append(coming.pop())
        change = min(side[1] for side in active)
        if coming:
            change = min(change, coming[-1][0])
        while line < change:
            spans: list[tuple[float, float]] = []
            winding, start = 0, 0.0
            for x, turn in sorted([(x + (line - first) * step, turn) for first, _, x, step, turn in active]):
                if winding == 0:
                    start = x
                winding += turn
                if winding == 0:
                    spans.append((start, x))
            yield line, spans
            line += 1
        active = [side for side in active if side[1] > change]


def _sides(polygons: Iterable[Polygon], height: int, lines: int) -> Iterator[_Side]:
    """The sides of the polygons that cross a line of the picture. Each line is in the middle of its share of a row."""
    for polygon in polygons:
        ax, ay = polygon[-1]
        for bx, by in polygon:
            top, bottom = (ay, by) if ay < by else (by, ay)
            first, end = max(ceil(top * lines - 0.5), 0), min(ceil(bottom * lines - 0.5), height * lines)
            if first < end:
                step = (bx - ax) / (by - ay)
                yield first, end, ax + ((first + 0.5) / lines - ay) * step, step / lines, 1 if ay < by else -1
            ax, ay = bx, by
