"""Polygons to pixels by the rule `nonzero`, in strips of scan lines.

The coverage of a pixel by one scan line is exact. A point is inside if a different number of sides
go down and go up to its left. We sort the crossings of a line with the sides that go down, and the
crossings with the sides that go up. The inside then lies between the first crossings of both
lists, between the second ones, and so on. Where two of these spans touch, we draw them as one:
drawn one by one, each would round its share of the pixel between them.

docs/how-to/pictures.md says why we use no library for this.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from math import ceil, floor
from typing import TypeAlias

from sansio_moondream._geometry import check_size

from .opening import MAX_MEMORY
from .polygons import Polygon, check_border

# Lines of a strip. More lines need more memory; fewer lines need more passes over the sides.
STRIP = 64
# Through each row of pixels where borders are soft. A mask with hard borders has one.
LINES = 4
# Spans with a smaller gap, in pixels, touch, and narrower spans are none: where a line is drawn
# twice, it may be computed in two ways, which differ by rounding.
_GAP = 1e-6

# The largest picture that is opened: one byte for a pixel in grey, and four in its upright copy.
_MAX_PIXELS = MAX_MEMORY // 5

_TO_ONES = bytes([0]) + bytes([1]) * 255

# The first line that a side crosses, the line after the last one, x of the first crossing, the step
# of x to the next line, and whether the side goes down.
_Side: TypeAlias = tuple[int, int, float, float, bool]


def fill(polygons: Iterable[Polygon], size: tuple[int, int]) -> bytearray:
    """Fill polygons with hard borders.

    Args:
        polygons: in pixels.
        size: width and height of the picture.

    Returns:
        A byte for each pixel, row by row: 1 where its centre is inside, else 0.

    Raises:
        PathError: the border is longer than `MAX_BORDER`.
        ValueError: the picture has more pixels than the largest one that is opened.
    """
    (width, height), polygons = check_pixels(size), tuple(polygons)
    check_border(polygons, (width, height))
    mask = bytearray(width * height)
    if polygons:
        left, right = columns(polygons, width)
        for line, strip in strips(polygons, (left, right), height, 1, soft=False):
            ones = strip.translate(_TO_ONES)
            for row in range(min(STRIP, height - line)):
                at, start = (line + row) * width, row * (right - left)
                mask[at + left : at + right] = ones[start : start + right - left]
    return mask


def covered_area(polygons: Iterable[Polygon], size: tuple[int, int]) -> float:
    """Measure what polygons cover of a picture, in pixels: exactly along `LINES` lines of each row.

    The arguments and errors are those of `fill`, but the picture may have any number of pixels.
    """
    (width, height), polygons = check_size(size), tuple(polygons)
    check_border(polygons, (width, height))
    return (
        sum(
            end - start
            for _, downs, ups in _crossings(_sides(polygons, 0, height, LINES))
            for line in range(STRIP)
            for start, end in _spans(downs[line], ups[line], width)
        )
        / LINES
    )


def check_pixels(size: tuple[int, int]) -> tuple[int, int]:
    """Return the size of a mask as `check_size` does, before its pixels take memory.

    Raises:
        ValueError: they are more than those of the largest picture that is opened.
    """
    width, height = check_size(size)
    if width * height > _MAX_PIXELS:
        raise ValueError(
            f"a mask of {width} x {height} is more than {_MAX_PIXELS:,} pixels. Make it smaller, "
            "or take the outline as polygons or SVG"
        )
    return width, height


def columns(polygons: Sequence[Polygon], width: int) -> tuple[int, int]:
    """Find the columns of a picture that polygons may touch: the first one, and the end.

    There is at least one polygon. If they touch no column, the end is the first one.
    """
    xs = [x for polygon in polygons for x, _ in polygon]
    left = max(floor(min(xs)), 0)
    return left, max(min(ceil(max(xs)), width), left)


def strips(
    polygons: Iterable[Polygon], columns: tuple[int, int], height: int, lines: int, *, soft: bool
) -> Iterator[tuple[int, bytearray]]:
    """Fill the strips that the polygons touch, from top to bottom.

    Args:
        polygons: in pixels.
        columns: the first column and the one after the last.
        height: rows of the picture.
        lines: scan lines in each row.
        soft: True gives each byte the share of the pixel that is inside, 0 to 255; False gives it
            255 where the centre is inside, else 0.

    Yields:
        The number of the first line of a strip, and a byte for each column of `STRIP` lines. The
        next strip overwrites the bytearray.
    """
    column, width = columns[0], columns[1] - columns[0]
    white, black = memoryview(b"\xff" * width), bytes(width * STRIP)
    strip = bytearray(width * STRIP)
    for first, downs, ups in _crossings(_sides(polygons, column, height, lines)):
        strip[:] = black
        for line in range(STRIP):
            at = line * width
            for left, right in _spans(downs[line], ups[line], width):
                if soft:
                    start, end = int(left), int(right)
                    if start == end:
                        strip[at + start] += int((right - left) * 255)
                        continue
                    strip[at + start] += int((start + 1 - left) * 255)
                    if end < right:
                        strip[at + end] += int((right - end) * 255)
                    start += 1
                else:
                    start, end = ceil(left - 0.5), ceil(right - 0.5)
                if start < end:
                    strip[at + start : at + end] = white[start:end]
        yield first, strip


def _spans(downs: list[float], ups: list[float], width: int) -> list[tuple[float, float]]:
    """Find what is inside along a line, from left to right, with a gap between any two spans."""
    spans: list[tuple[float, float]] = []
    left = right = 0.0
    for start, end in zip(sorted(downs), sorted(ups), strict=True):
        if end < start:
            start, end = end, start
        if end > width:
            end = width
        if start <= right + _GAP:
            if right < end:
                right = end
            continue
        if left + _GAP < right:
            spans.append((left, right))
        left, right = start, end
    if left + _GAP < right:
        spans.append((left, right))
    return spans


def _crossings(
    sides: Iterable[_Side],
) -> Iterator[tuple[int, list[list[float]], list[list[float]]]]:
    """Group the crossings by strip and line.

    Yields:
        The first line of a strip, and for each of its lines the x of the sides that go down, and of
        the sides that go up.
    """
    waiting = defaultdict[int, list[_Side]](list)
    for side in sides:
        waiting[side[0] // STRIP].append(side)
    while waiting:
        number = min(waiting)
        start, after = number * STRIP, (number + 1) * STRIP
        downs: list[list[float]] = [[] for _ in range(STRIP)]
        ups: list[list[float]] = [[] for _ in range(STRIP)]
        for first, end, x, step, is_down in waiting.pop(number):
            for crossings in (downs if is_down else ups)[first - start : end - start]:
                crossings.append(x)
                x += step
            if end > after:
                waiting[number + 1].append((after, end, x, step, is_down))
        yield start, downs, ups


def _sides(polygons: Iterable[Polygon], column: int, height: int, lines: int) -> Iterator[_Side]:
    """Find the sides that cross a line of the picture, with x relative to `column`.

    A line lies in the middle of its share of a row.
    """
    for polygon in polygons:
        ax, ay = polygon[-1]
        for bx, by in polygon:
            top, bottom = (ay, by) if ay < by else (by, ay)
            first = max(ceil(top * lines - 0.5), 0)
            end = min(ceil(bottom * lines - 0.5), height * lines)
            if first < end:
                step = (bx - ax) / (by - ay)
                x = ax - column + ((first + 0.5) / lines - ay) * step
                yield first, end, x, step / lines, ay < by
            ax, ay = bx, by
