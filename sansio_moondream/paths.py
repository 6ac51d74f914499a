"""SVG path text to commands, and commands to polygons: whole paths and paths that still grow.

For people who draw a segmentation themselves. `SegmentResult.polygons`, `.svg` and `.mask` are made
of this."""

from ._pictures.paths import Command, GrowingPath, PathError, parse_path
from ._pictures.polygons import MAX_POINTS, Polygon, flatten

__all__ = ["MAX_POINTS", "Command", "GrowingPath", "PathError", "Polygon", "flatten", "parse_path"]
