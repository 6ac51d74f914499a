"""Masks, overlays, cutouts, boxes and points on pictures, with Pillow (extra `images`).

The methods of the results are shortcuts to these functions: `SegmentResult.mask`, `.overlay` and
`.cutout`, `DetectResult.overlay`, `PointResult.overlay`. All functions return copies.
"""

from ._pictures.draw import Color, cut_out, draw_boxes, draw_mask, draw_points, lay_over
from ._pictures.upright import upright

__all__ = ["Color", "cut_out", "draw_boxes", "draw_mask", "draw_points", "lay_over", "upright"]
