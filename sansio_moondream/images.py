"""Answers drawn on pictures, with Pillow (extra `images`): masks, overlays, cutouts, boxes and
points.

The methods of the results are the short way here: `SegmentResult.mask`, `.overlay` and `.cutout`,
`DetectResult.overlay`, `PointResult.overlay`. Nothing here changes the picture that it is given.
"""

from ._pictures.draw import Color, cut_out, draw_boxes, draw_mask, draw_points, lay_over
from ._requests.images import upright

__all__ = ["Color", "cut_out", "draw_boxes", "draw_mask", "draw_points", "lay_over", "upright"]
