"""Masks, overlays, cutouts, boxes and points on pictures, with Pillow (extra `images`).

`open_image` opens the bytes of a picture: only the formats of `FORMATS`, up to `MAX_MEMORY`.

The methods of the results are shortcuts to these functions: `SegmentResult.mask`, `.overlay` and
`.cutout`, `DetectResult.overlay`, `PointResult.overlay`. All of them take a picture in any form
that `encode_image` takes (`Picture`), and return copies.
"""

from ._pictures.draw import Color, cut_out, draw_boxes, draw_mask, draw_points, lay_over
from ._pictures.opening import FORMATS, MAX_MEMORY, open_image
from ._pictures.picture import Picture
from ._pictures.upright import upright

__all__ = [
    "FORMATS",
    "MAX_MEMORY",
    "Color",
    "Picture",
    "cut_out",
    "draw_boxes",
    "draw_mask",
    "draw_points",
    "lay_over",
    "open_image",
    "upright",
]
