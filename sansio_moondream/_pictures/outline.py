"""Where the outline of a segmentation is in the picture: `SegmentResult.svg` and `.polygons`.

The path is written in the unit square of the box, and the box in that of the picture. The service's
own servers draw it so: moved to the box's corner, scaled by its width and height, filled by the
rule that SVG has when none is named, `nonzero`."""

from __future__ import annotations

from operator import index

from sansio_moondream._results import SegmentResult

from .paths import GrowingPath
from .polygons import Polygon, flatten

# widths of the picture; a box that reaches beyond is nonsense, and arithmetic on it would be, too
_FAR = 1e6


def svg(result: SegmentResult, size: tuple[int, int]) -> str:
    """The outline as an SVG document of the picture's size."""
    width, height = _checked(size)
    path, place = _read(result), _place(result, size)
    shape = ""
    if place is not None:
        (scale_x, scale_y), (left, top) = place
        # The text has been read: it has nothing in it but letters of commands, numbers, commas and
        # blanks. Of the blanks, a form feed is no character of XML.
        data = result.path[: path.position].replace("\f", " ")
        shape = f'<path fill-rule="nonzero" transform="translate({left} {top}) scale({scale_x} {scale_y})" d="{data}"/>'
    return f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" viewBox="0 0 {width} {height}">{shape}</svg>'


def polygons(result: SegmentResult, size: tuple[int, int], tolerance: float) -> tuple[Polygon, ...]:
    """The outline as polygons in pixels of the picture."""
    if not tolerance > 0:
        raise ValueError(f"tolerance should be more than 0 pixels, not {tolerance!r}")
    path, place = _read(result), _place(result, _checked(size))
    if place is None:
        return ()
    scale, offset = place
    return flatten(path.commands, scale=scale, offset=offset, tolerance=tolerance, size=size)


def _read(result: SegmentResult) -> GrowingPath:
    path = GrowingPath()
    path.append(result.path)
    if not result.partial:
        path.end()
    return path


def _place(
    result: SegmentResult, size: tuple[int, int]
) -> tuple[tuple[float, float], tuple[float, float]] | None:
    """Width and height of the box in pixels, and its left top corner;

    None where there is nothing to place.
    """
    box = result.bbox
    if box is None:
        if result.path and not result.partial:
            raise ValueError(
                "the server gave a path but no box, so it is not known where in the picture the path is"
            )
        return None
    if not all(abs(edge) <= _FAR for edge in (box.x_min, box.y_min, box.x_max, box.y_max)):
        raise ValueError(f"the box should be in or near the picture, not {box!r}")
    width, height = size
    return ((box.x_max - box.x_min) * width, (box.y_max - box.y_min) * height), (
        box.x_min * width,
        box.y_min * height,
    )


def _checked(size: tuple[int, int]) -> tuple[int, int]:
    width, height = map(index, size)
    if min(width, height) < 1:
        raise ValueError(
            f"size should be width and height in pixels, at least 1 each, not {size!r}"
        )
    return width, height
