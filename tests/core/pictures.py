"""Small masks and pictures."""

from __future__ import annotations

from sansio_moondream import BBox, SegmentResult

SQUARE = SegmentResult("M0 0H1V1H0z", BBox(0.25, 0.5, 0.75, 1))
BROKEN = SegmentResult("M0 0H1V1x", BBox(0, 0, 1, 1))
