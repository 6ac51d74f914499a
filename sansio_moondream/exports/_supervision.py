"""Results as values of the library `supervision`, which draws, counts, tracks and saves them."""

from __future__ import annotations

from typing import TYPE_CHECKING, overload

from sansio_moondream._geometry import BBox, check_size, coordinates
from sansio_moondream._pictures.opening import require
from sansio_moondream._results import DetectResult, PointResult, SegmentResult

from ._coco import box_in_pixels

if TYPE_CHECKING:
    import supervision


@overload
def to_supervision(
    result: SegmentResult | DetectResult,
    size: tuple[int, int],
    *,
    class_name: str,
    class_id: int = 0,
) -> supervision.Detections: ...
@overload
def to_supervision(
    result: PointResult, size: tuple[int, int], *, class_name: str, class_id: int = 0
) -> supervision.KeyPoints: ...
def to_supervision(
    result: SegmentResult | DetectResult | PointResult,
    size: tuple[int, int],
    *,
    class_name: str,
    class_id: int = 0,
) -> supervision.Detections | supervision.KeyPoints:
    """Convert a result for `supervision` (extra `supervision`).

    Args:
        result: of the request.
        size: width and height of the picture in pixels.
        class_name: of all objects, for example the request's `object`. Annotators write it.
        class_id: of all objects. Annotators choose colours by it.

    Returns:
        `Detections` with a row for each box, in pixels, or one for a segmentation, with its mask;
        none if nothing was segmented. Of points `KeyPoints`: a row for each, of one key point.
        The model gives no confidence. Boxes are cut off at the edges of the picture.

    Raises:
        ValueError: as `SegmentResult.mask`.
        TypeError: the result has neither boxes nor points nor an outline.
        ModuleNotFoundError: `supervision` is not installed.
    """
    require("supervision", "supervision", extra="supervision")
    import numpy as np
    import supervision

    width, height = check_size(size)
    if isinstance(result, PointResult):
        fractions = map(coordinates, result.points)
        points = [(x * width, y * height) for x, y in fractions]
        return supervision.KeyPoints(
            np.array(points, np.float32).reshape(-1, 1, 2),
            class_id=np.full(len(points), class_id),
            data={"class_name": np.full(len(points), class_name)},
        )
    boxes: tuple[BBox, ...]
    if isinstance(result, SegmentResult):
        mask = result.mask_array(size)
        boxes = (result.bbox,) if result.bbox is not None and mask.any() else ()
        masks = mask[np.newaxis][: len(boxes)]
    elif isinstance(result, DetectResult):  # pyright: ignore[reportUnnecessaryIsInstance]
        boxes, masks = result.objects, None
    else:
        raise TypeError(
            "supervision shows a SegmentResult, DetectResult or PointResult, not "
            f"{type(result).__name__}"
        )
    return supervision.Detections(
        np.array([box_in_pixels(box, size) for box in boxes], np.float32).reshape(-1, 4),
        masks,
        class_id=np.full(len(boxes), class_id),
        data={"class_name": np.full(len(boxes), class_name)},
    )
