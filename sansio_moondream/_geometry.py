"""Points and boxes, in fractions of the image."""

from __future__ import annotations

from msgspec import Struct

from ._value import Value


class BBox(Struct, Value, frozen=True):
    """A box in fractions of the image: 0 is its left or top edge, 1 its right or bottom edge.

    As an event of a segmentation it is the coarse box, which comes first. The result has the
    refined box.
    """

    x_min: float
    y_min: float
    x_max: float
    y_max: float


class Point(Struct, Value, frozen=True):
    """A point in fractions of the image: (0, 0) is its top left corner."""

    x: float
    y: float
