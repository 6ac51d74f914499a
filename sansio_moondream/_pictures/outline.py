"""The outline of a segmentation in the picture: `SegmentResult.svg` and `.polygons`.

The path is in the unit square of the box, and the box is in the unit square of the picture. The
service's own servers draw the path so: they scale it by the width and height of the box, move it
to the corner of the box, and fill it by SVG's default rule, `nonzero`.
"""

from __future__ import annotations

from typing import NamedTuple

from sansio_moondream._geometry import BBox, check_size

from .paths import PathParser
from .polygons import Polygon, flatten

_MAX_EDGE = 1e6  # in widths of the picture: a box beyond it is nonsense, and so is its arithmetic


def svg(path: str, box: BBox | None, size: tuple[int, int], *, partial: bool) -> str:
    """Write the outline as an SVG document of the picture's size.

    Args:
        path: SVG path text, in fractions of `box`.
        box: in fractions of the picture. None where no box has come.
        size: width and height of the picture in pixels.
        partial: True where the path may end in the middle of a command.

    Raises:
        PathError: `path` is not a path.
        ValueError: the box is missing or far outside the picture, or `size` is not positive.
        TypeError: `size` is not a pair of whole numbers.
    """
    width, height = size = check_size(size)
    parser, place = _parse(path, partial=partial), _place(path, box, size, partial=partial)
    shape = ""
    if place is not None:
        (scale_x, scale_y), (left, top) = place
        # Only letters of commands, numbers, commas and blanks are left after parsing. A form feed
        # is a blank in a path and not allowed in XML.
        data = path[: parser.position].replace("\f", " ")
        transform = f"translate({left} {top}) scale({scale_x} {scale_y})"
        shape = f'<path fill-rule="nonzero" transform="{transform}" d="{data}"/>'
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" '
        f'viewBox="0 0 {width} {height}">{shape}</svg>'
    )


def polygons(
    path: str, box: BBox | None, size: tuple[int, int], tolerance: float, *, partial: bool
) -> tuple[Polygon, ...]:
    """Compute the outline as polygons in pixels of the picture.

    The arguments and errors are those of `svg`; `tolerance` is as in `flatten`.
    """
    if not tolerance > 0:
        raise ValueError(f"tolerance should be more than 0 pixels, not {tolerance!r}")
    size = check_size(size)
    parser, place = _parse(path, partial=partial), _place(path, box, size, partial=partial)
    if place is None:
        return ()
    return flatten(
        parser.commands, scale=place.scale, offset=place.offset, tolerance=tolerance, size=size
    )


class _Place(NamedTuple):
    scale: tuple[float, float]  # width and height of the box in pixels
    offset: tuple[float, float]  # its top left corner


def _parse(path: str, *, partial: bool) -> PathParser:
    parser = PathParser()
    parser.append(path)
    if not partial:
        parser.end()
    return parser


def _place(path: str, box: BBox | None, size: tuple[int, int], *, partial: bool) -> _Place | None:
    if box is None:
        if path and not partial:
            raise ValueError(
                "the server gave a path without a box: the place of the path in the picture is "
                "not known"
            )
        return None
    if not all(abs(edge) <= _MAX_EDGE for edge in (box.x_min, box.y_min, box.x_max, box.y_max)):
        raise ValueError(f"the box should be in or near the picture, not {box!r}")
    width, height = size
    scale = (box.x_max - box.x_min) * width, (box.y_max - box.y_min) * height
    return _Place(scale, (box.x_min * width, box.y_min * height))
