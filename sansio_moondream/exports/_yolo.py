"""Labels of YOLO: a line of text for each object, in fractions of the picture.

Source: the pages "Object Detection Datasets" and "Instance Segmentation Datasets" of Ultralytics.
Its reader refuses the labels of a picture in which a number is below 0 or above 1.
"""

from __future__ import annotations

from typing import overload

from sansio_moondream._geometry import check_size
from sansio_moondream._pictures.trace import Outline, trace
from sansio_moondream._results import DetectResult, SegmentResult

from ._coco import box_in_pixels, hard_mask


@overload
def yolo_labels(result: DetectResult, *, class_id: int) -> str: ...
@overload
def yolo_labels(result: SegmentResult, size: tuple[int, int], *, class_id: int) -> str: ...
def yolo_labels(
    result: DetectResult | SegmentResult, size: tuple[int, int] | None = None, *, class_id: int
) -> str:
    """Write the labels of one picture: the text of its file, or of a part of it.

    A box is `class x_center y_center width height`. A segmentation is `class x1 y1 x2 y2 ...`: one
    polygon. Each hole, and each further part of the object, is joined to the part before it by a
    line there and back, which has no area. Readers that fill by the rule `nonzero` or `evenodd`
    both find the pixels of `mask(size, antialias=False)`.

    Args:
        result: of the request.
        size: width and height of the picture in pixels. Only a segmentation needs it.
        class_id: number of the class in the dataset, from 0 on.

    Returns:
        A line for each object, with its line end. What is beyond the picture is cut off. An object
        without an area in the picture has no line.

    Raises:
        ValueError: as `SegmentResult.mask`.
        TypeError: the size of a segmentation's picture is missing, or the result has neither boxes
            nor an outline.
    """
    if isinstance(result, DetectResult):
        boxes = (box_in_pixels(box, (1, 1)) for box in result.objects)
        shapes: list[tuple[float, ...]] = [
            ((left + right) / 2, (top + bottom) / 2, right - left, bottom - top)
            for left, top, right, bottom in boxes
            if left < right and top < bottom
        ]
    else:
        width, height = check_size(size)  # None is refused in words
        outlines, holes = trace(hard_mask(result, (width, height)), width)
        joined = _joined(outlines + holes)
        shapes = [tuple(f for x, y in joined for f in (x / width, y / height))] if joined else []
    return "".join(
        f"{class_id} {' '.join(format(value, '.6g') for value in shape)}\n" for shape in shapes
    )


def _joined(outlines: list[Outline]) -> Outline:
    """Join polygons to one. It goes from each to the next, and back the same way."""
    there = [point for outline in outlines for point in (*outline, outline[0])]
    back = [outline[0] for outline in reversed(outlines[:-1])]
    return there + back if back else there[:-1]
