"""Points and boxes in fractions of the image, and their pixels in a picture of a given size."""

from __future__ import annotations

from math import floor, isnan
from operator import index
from typing import Any

from msgspec import Struct

from ._repr import short_repr
from ._value import Value

_MAX_SIDE = 1_000_000  # of a picture, in pixels: no real one is longer


class BBox(Struct, Value, frozen=True):
    """A box in fractions of the image: 0 is its left or top edge, 1 its right or bottom edge.

    As an event of a segmentation it is the coarse box, which comes first. The result has the
    refined box. A server may send corners in the wrong order, and a box without an area, or beyond
    the image. `to_pixels`, `area` and `iou` take the corners in the right order, and refuse NaN.

    Attributes:
        x_min, y_min: the left top corner.
        x_max, y_max: the right bottom corner.
    """

    x_min: float
    y_min: float
    x_max: float
    y_max: float

    def to_pixels(self, size: tuple[int, int]) -> tuple[int, int, int, int]:
        """Compute the pixels of the box in a picture, as `Image.crop` and array slices take them.

        Each edge is rounded to the nearest edge between two pixels; half goes to the right and
        down. What is beyond the picture is cut off. A box that is narrower than a pixel, or beyond
        the picture, may have no pixels: then `left == right` or `top == bottom`.

        Args:
            size: width and height of the picture in pixels.

        Returns:
            `(left, top, right, bottom)`: the first column and row, and those after the last.
        """
        width, height = check_size(size)
        (left, right), (top, bottom) = sides(self)
        return (
            _nearest_edge(left, width),
            _nearest_edge(top, height),
            _nearest_edge(right, width),
            _nearest_edge(bottom, height),
        )

    @property
    def area(self) -> float:
        """The area as a fraction of the image. What is beyond the image counts, too."""
        (left, right), (top, bottom) = sides(self)
        return (right - left) * (bottom - top)

    def iou(self, other: BBox) -> float:
        """Compute intersection over union with the box `other`: 0 if they are apart, 1 if equal.

        Equal boxes have 1 even if they have no area.
        """
        mine, others = sides(self), sides(other)
        if mine == others:
            return 1.0
        common = 1.0
        for (low, high), (other_low, other_high) in zip(mine, others, strict=True):
            common *= max(min(high, other_high) - max(low, other_low), 0.0)
        union = self.area + other.area - common
        return common / union if union > 0 else 0.0


class Point(Struct, Value, frozen=True):
    """A point in fractions of the image: (0, 0) is its top left corner.

    Attributes:
        x: from the left edge, 0, to the right one, 1.
        y: from the top edge, 0, to the bottom one, 1.
    """

    x: float
    y: float

    def to_pixels(self, size: tuple[int, int]) -> tuple[int, int]:
        """Find the pixel `(column, row)` that has the point, in a picture of `size`.

        `size` is width and height in pixels. Of a point beyond the picture, and of one on its right
        or bottom edge, it is the nearest pixel. An array has it at `array[row, column]`.
        """
        width, height = check_size(size)
        x, y = coordinates(self)
        return _pixel(x, width), _pixel(y, height)


def sides(box: BBox) -> tuple[tuple[float, float], tuple[float, float]]:
    """Return left and right, and top and bottom, the smaller one first.

    Raises ValueError if one of them is NaN.
    """
    _check_numbers(box, box.x_min, box.y_min, box.x_max, box.y_max)
    left, right = sorted((box.x_min, box.x_max))
    top, bottom = sorted((box.y_min, box.y_max))
    return (left, right), (top, bottom)


def coordinates(point: Point) -> tuple[float, float]:
    """Return x and y. Raises ValueError if one of them is NaN."""
    _check_numbers(point, point.x, point.y)
    return point.x, point.y


def _check_numbers(shape: BBox | Point, *values: float) -> None:
    if any(map(isnan, values)):
        raise ValueError(f"all coordinates should be numbers, not NaN as in {shape!r}")


def check_size(size: Any) -> tuple[int, int]:
    """Return width and height of a picture in pixels as two ints.

    Raises:
        TypeError: `size` is not a pair of whole numbers.
        ValueError: one of them is less than 1, or more than a million.
    """
    what = f"size should be (width, height) in whole pixels, from 1 to {_MAX_SIDE:,} each"
    if hasattr(size, "getexif"):
        raise TypeError(
            f"{what}, not a picture: pass sansio_moondream.images.upright(picture).size, as the "
            "picture may be turned"
        )
    try:
        width, height = map(_whole, size)
    except (TypeError, ValueError):
        raise TypeError(f"{what}, not {short_repr(size, 60)}") from None
    if not 1 <= min(width, height) <= max(width, height) <= _MAX_SIDE:
        raise ValueError(f"{what}, not {short_repr(size, 60)}")
    return width, height


def _whole(value: Any) -> int:
    if isinstance(value, bool):  # most likely meant for another argument
        raise TypeError
    return index(value)


def _nearest_edge(fraction: float, length: int) -> int:
    return floor(min(max(fraction * length, 0), length) + 0.5)


def _pixel(fraction: float, length: int) -> int:
    return floor(min(max(fraction * length, 0), length - 1))
