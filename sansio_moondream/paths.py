"""SVG path text to commands, and commands to polygons, for whole and for partial paths.

Use this to draw a segmentation yourself. `SegmentResult.polygons`, `.svg` and `.mask` use it too.
"""

from ._pictures.paths import MAX_COMMANDS, Command, PathError, PathParser, parse_path
from ._pictures.polygons import MAX_BORDER, MAX_POINTS, Polygon, flatten

__all__ = [
    "MAX_BORDER",
    "MAX_COMMANDS",
    "MAX_POINTS",
    "Command",
    "PathError",
    "PathParser",
    "Polygon",
    "flatten",
    "parse_path",
]
