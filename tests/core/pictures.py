"""Small masks and pictures."""

from __future__ import annotations

from sansio_moondream import BBox, SegmentResult
from sansio_moondream.paths import Polygon

SQUARE = SegmentResult("M0 0H1V1H0z", BBox(0.25, 0.5, 0.75, 1))
BROKEN = SegmentResult("M0 0H1V1x", BBox(0, 0, 1, 1))


def rectangle(
    left: float, top: float, right: float, bottom: float, *, back: bool = False
) -> Polygon:
    polygon = ((left, top), (right, top), (right, bottom), (left, bottom))
    return polygon[::-1] if back else polygon
