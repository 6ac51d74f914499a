"""Polygons to pixels, in strips: what of each line through the picture is inside them, by the rule
`nonzero`.

Along a line everything is exact: where it crosses the polygons, and how much of each pixel is
inside. A point is inside if, to its left, more sides go down than up, or fewer. So, with the
crossings of sides that go down and of those that go up each in order, what is inside is what lies
between the first two, the second two, and so on.

Why this is no library: see docs/pictures.md.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from math import ceil

from .polygons import Polygon

# lines: so many that a side is asked for many crossings at once, so few that a large picture needs
# no more memory
STRIP = 64
_Side = tuple[
    int, int, float, float, bool
]  # first line, the line after the last, x on the first, step to the next line, down?


def strips(
    polygons: Iterable[Polygon], columns: tuple[int, int], height: int, lines: int, *, soft: bool
) -> Iterator[tuple[int, bytearray]]:
    """The strips that the polygons touch, from the top: the number of the first line, and a byte
    for each column of `STRIP` lines.

    `columns` are the first and the one after the last. Each row of pixels, of which there are
    `height`, has `lines` lines. A byte is the share of the pixel that is inside, 0 to 255; if not
    `soft`, 255 where its middle is inside. The next strip takes the place of the last one."""
    column, width = columns[0], columns[1] - columns[0]
    white, black = memoryview(b"\xff" * width), bytes(width * STRIP)
    strip = bytearray(width * STRIP)
    for first, downs, ups in _crossings(_sides(polygons, column, height, lines)):
        strip[:] = black
        for line in range(STRIP):
            at = line * width
            before = 0.0
            for down, up in zip(sorted(downs[line]), sorted(ups[line]), strict=True):
                left, right = (down, up) if down < up else (up, down)
                if left < before:
                    left = before
                if right > width:
                    right = width
                if left >= right:
                    continue
                before = right
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


def _crossings(
    sides: Iterable[_Side],
) -> Iterator[tuple[int, list[list[float]], list[list[float]]]]:
    """For each strip its first line, and for each of its lines where sides that go down cross it,
    and where those that go up.
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
    """The sides that cross a line of the picture, with x from `column` on.

    A line is in the middle of its share of a row.
    """
    for polygon in polygons:
        ax, ay = polygon[-1]
        for bx, by in polygon:
            top, bottom = (ay, by) if ay < by else (by, ay)
            first, end = (
                max(ceil(top * lines - 0.5), 0),
                min(ceil(bottom * lines - 0.5), height * lines),
            )
            if first < end:
                step = (bx - ax) / (by - ay)
                yield (
                    first,
                    end,
                    ax - column + ((first + 0.5) / lines - ay) * step,
                    step / lines,
                    ay < by,
                )
            ax, ay = bx, by
