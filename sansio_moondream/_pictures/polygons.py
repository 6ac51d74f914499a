"""Path commands to polygons: curves become chords within a tolerance.

Sources: SVG 2, chapter 9 (the commands), and its implementation notes, B.2 (arcs from end points to
centres).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from typing import TypeAlias

from .paths import Command, PathError

_XY: TypeAlias = tuple[float, float]
_Handle: TypeAlias = tuple[bool, _XY]
Polygon: TypeAlias = tuple[tuple[float, float], ...]
"""The points (x, y) of a closed polygon. The last is joined with the first."""

MAX_POINTS = 100_000
"""Maximum number of points in all polygons of one path.

An outline has a few thousand points. A hostile path of a few kilobytes could have any number.
"""
MAX_BORDER = 275_000
"""Maximum length of the border of a mask, in pixels, without what lies outside the picture.

A captured outline has 11,000 pixels at 4000 x 3000. A hostile path of a few kilobytes could have
millions, and each pixel takes time.
"""
_MAX_CHORDS = 1000  # of one curve: enough for a curve that fills a picture
_MIN_RADIUS = 1e-30  # of an arc
_MIN_DISTANCE = 1e-9  # between the ends of an arc, in radii: below it is only rounding


def flatten(
    commands: Iterable[Command],
    *,
    scale: tuple[float, float] = (1.0, 1.0),
    offset: tuple[float, float] = (0.0, 0.0),
    tolerance: float = 0.1,
    size: tuple[float, float] | None = None,
) -> tuple[Polygon, ...]:
    """Convert a path into polygons, one for each subpath. Fill them by the rule `nonzero`.

    Args:
        commands: of the path. Without an `M` first, it begins at (0, 0).
        scale: factors for x and y, applied first.
        offset: added to x and y after that.
        tolerance: maximum distance of a chord from its curve, in the unit of the result.
        size: width and height of a picture with its corner at (0, 0), if only its inside matters. A
            curve beyond one edge of the picture becomes a single chord, which fills the same pixels
            of the picture.

    Returns:
        Closed polygons of at least three points. They may overlap.

    Raises:
        PathError: more than `MAX_POINTS` points.
    """
    pen = _Pen(scale, offset, tolerance, size)
    for command in commands:
        pen.draw(command)
    return tuple(tuple(polygon) for polygon in pen.polygons if len(polygon) > 2)


def check_border(polygons: Iterable[Polygon], size: tuple[float, float]) -> None:
    """Raise PathError if the border inside a picture of this size is longer than `MAX_BORDER`."""
    width, height = size
    length = 0.0
    for polygon in polygons:
        inside = [(min(max(x, 0), width), min(max(y, 0), height)) for x, y in polygon]
        length += sum(map(math.dist, inside, (*inside[1:], inside[0])))
    if length > MAX_BORDER:
        raise PathError(f"its border is longer than {MAX_BORDER:,} pixels", None)


class _Pen:
    """Draws in the unit of the path, and stores the points scaled and moved."""

    def __init__(
        self,
        scale: tuple[float, float],
        offset: tuple[float, float],
        tolerance: float,
        size: tuple[float, float] | None,
    ) -> None:
        self.polygons: list[list[_XY]] = []
        self._width, self._height = scale
        self._left, self._top = offset
        self._tolerance = tolerance
        self._size = size
        self._count = 0
        self._start: _XY = (0.0, 0.0)
        self._at: _XY = (0.0, 0.0)
        # If the last command was a curve: if it was cubic, and its last control point, for S and T.
        self._handle: _Handle | None = None
        self._open = False

    def draw(self, command: Command) -> None:
        letter, values = command.letter.upper(), command.arguments
        x, y = self._at if command.letter.islower() else (0.0, 0.0)
        ends_in: _Handle | None = None
        if letter == "Z":
            self._at, self._open = self._start, False
        elif letter == "H":
            (dx,) = values
            self._add([(x + dx, self._at[1])])
        elif letter == "V":
            (dy,) = values
            self._add([(self._at[0], y + dy)])
        elif letter == "A":
            rx, ry, degrees, large, sweep, dx, dy = values
            self._add(self._arc(rx, ry, degrees, large == sweep, bool(sweep), x + dx, y + dy))
        else:
            points = [(x + dx, y + dy) for dx, dy in zip(values[::2], values[1::2], strict=True)]
            if letter == "M":
                self._start = self._at = points[0]
                self._open = False
            elif letter == "L":
                self._add(points)
            else:
                ends_in = self._curve(letter, points)
        self._handle = ends_in

    def _curve(self, letter: str, points: list[_XY]) -> _Handle:
        start, cubic = self._at, letter in ("C", "S")
        if letter in ("S", "T"):  # the first control point mirrors the last one of the same kind
            match self._handle:
                case (kind, (x, y)) if kind == cubic:
                    points.insert(0, (2 * start[0] - x, 2 * start[1] - y))
                case _:
                    points.insert(0, start)
        first, second, end = points[0], points[-2], points[-1]
        if not cubic:  # a quadratic curve as a cubic curve
            first, second = (
                (p[0] + 2 * (first[0] - p[0]) / 3, p[1] + 2 * (first[1] - p[1]) / 3)
                for p in (start, end)
            )
        self._add(self._cubic(start, first, second, end))
        return cubic, points[-2]

    def _add(self, points: Iterable[_XY]) -> None:
        if not self._open:
            self.polygons.append([])
            self._open = True
            self._store(self._at)
        for point in points:
            self._store(point)
            self._at = point

    def _store(self, point: _XY) -> None:
        if self._count == MAX_POINTS:
            raise PathError(f"it has more than {MAX_POINTS:,} points", None)
        self._count += 1
        self.polygons[-1].append(self._placed(point))

    def _placed(self, point: _XY) -> _XY:
        return self._left + point[0] * self._width, self._top + point[1] * self._height

    def _is_beyond(self, *corners: _XY) -> bool:
        """Test if the hull of these corners lies beyond one edge of the picture."""
        if self._size is None:
            return False
        xs, ys = zip(*map(self._placed, corners), strict=True)
        return any(
            all(value <= 0 for value in values) or all(value >= edge for value in values)
            for values, edge in zip((xs, ys), self._size, strict=True)
        )

    def _cubic(self, p: _XY, q: _XY, r: _XY, s: _XY) -> Iterator[_XY]:
        bend = 6 * max(
            math.hypot(
                (a[0] - 2 * b[0] + c[0]) * self._width, (a[1] - 2 * b[1] + c[1]) * self._height
            )
            for a, b, c in ((p, q, r), (q, r, s))
        )
        count = self._chords(bend)
        for i in () if self._is_beyond(p, q, r, s) else range(1, count):
            t = i / count
            u = 1 - t
            a, b, c, d = u * u * u, 3 * u * u * t, 3 * u * t * t, t * t * t
            yield (
                a * p[0] + b * q[0] + c * r[0] + d * s[0],
                a * p[1] + b * q[1] + c * r[1] + d * s[1],
            )
        yield s

    def _arc(
        self, rx: float, ry: float, degrees: float, same: bool, sweep: bool, x: float, y: float
    ) -> Iterator[_XY]:
        """Draw an arc to (x, y). `same` is True if the flags for large arc and sweep are equal."""
        (x0, y0), rx, ry = self._at, max(abs(rx), _MIN_RADIUS), max(abs(ry), _MIN_RADIUS)
        cos, sin = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
        # Half of the vector between the ends, where the ellipse is a unit circle.
        hx = (cos * (x0 - x) + sin * (y0 - y)) / 2 / rx
        hy = (cos * (y0 - y) - sin * (x0 - x)) / 2 / ry
        distance = math.hypot(hx, hy)
        if min(rx, ry) > _MIN_RADIUS and distance > _MIN_DISTANCE:  # else it is a line
            if distance > 1:  # the radii are too small: enlarge them (B.2.5)
                rx, ry, distance = rx * distance, ry * distance, 1.0
            away = math.sqrt((1 - distance) * (1 + distance)) / distance * (-1 if same else 1)
            cx, cy = away * hy, -away * hx
            first = math.atan2(hy - cy, hx - cx)
            turn = (math.atan2(-hy - cy, -hx - cx) - first) % math.tau - (0 if sweep else math.tau)
            # Back in the path's unit: centre + a * cos(angle) + b * sin(angle).
            (ax, ay), (bx, by) = (rx * cos, rx * sin), (-ry * sin, ry * cos)
            mx, my = (x0 + x) / 2 + cx * ax + cy * bx, (y0 + y) / 2 + cx * ay + cy * by
            width, height = self._width, self._height
            reach = math.hypot(ax * width, ay * height, bx * width, by * height)
            # The box of the ellipse. We add the ends, as rounding may move them out of it.
            ex, ey = math.hypot(ax, bx), math.hypot(ay, by)
            is_beyond = self._is_beyond((mx - ex, my - ey), (mx + ex, my + ey), (x0, y0), (x, y))
            count = self._chords(turn * turn * reach)
            for i in () if is_beyond else range(1, count):
                angle = first + turn * i / count
                c, s = math.cos(angle), math.sin(angle)
                yield mx + c * ax + s * bx, my + c * ay + s * by
        yield x, y

    def _chords(self, bend: float) -> int:
        """Count the chords that a curve needs. 0 and 1 mean that one is enough.

        `bend` is the largest length of its second derivative. The distance between n chords and the
        curve is at most bend / (8 * n * n).
        """
        count = math.sqrt(bend / self._tolerance / 8)
        return math.ceil(count) if count < _MAX_CHORDS else _MAX_CHORDS
