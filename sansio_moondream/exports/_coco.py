"""COCO annotations.

Source: the data format page of the COCO dataset, and `pycocotools` (`maskApi.c`), whose results the
tests compare: run lengths go down the columns, from left to right, and begin with pixels outside.
"""

from __future__ import annotations

from typing import Any, Literal

from sansio_moondream._geometry import BBox, check_size, sides
from sansio_moondream._pictures.fill import fill
from sansio_moondream._pictures.trace import Outline, trace
from sansio_moondream._results import DetectResult, SegmentResult


def coco_annotations(
    result: SegmentResult | DetectResult,
    size: tuple[int, int],
    *,
    image_id: int,
    category_id: int,
    first_id: int = 1,
    segmentation: Literal["polygons", "rle"] | None = None,
) -> list[dict[str, Any]]:
    """Make the annotations of one picture: one for each box, or one for a segmentation.

    Args:
        result: of the request.
        size: width and height of the picture in pixels.
        image_id: of the picture in the dataset.
        category_id: of the objects in the dataset.
        first_id: `id` of the first annotation. The others count up from it.
        segmentation: as polygons or as compressed run lengths. None takes polygons, or run lengths
            if the object has holes, as polygons of COCO have none.

    Returns:
        Dictionaries of plain JSON types, with `iscrowd` 0. `bbox` is `[x, y, width, height]` in
        pixels, and `area` is in pixels. The `segmentation` of a box is empty. What is beyond the
        picture is cut off. An object without an area in the picture has no annotation.

    Raises:
        ValueError: polygons are asked for, and the object has holes; or `segmentation` is another
            text. Also as `SegmentResult.mask`.
        TypeError: the result has neither boxes nor an outline.
    """
    if segmentation not in ("polygons", "rle", None):
        raise ValueError(f'segmentation should be "polygons", "rle" or None, not {segmentation!r}')
    shapes = (
        _boxes(result, size)
        if isinstance(result, DetectResult)
        else _segment(result, size, segmentation)
    )
    return [
        {
            "id": first_id + number,
            "image_id": image_id,
            "category_id": category_id,
            "bbox": bbox,
            "area": area,
            "segmentation": shape,
            "iscrowd": 0,
        }
        for number, (bbox, area, shape) in enumerate(shapes)
    ]


def coco_rle(
    result: SegmentResult, size: tuple[int, int], *, compressed: bool = True
) -> dict[str, Any]:
    """Encode the mask as run lengths: `{"size": [height, width], "counts": ...}`.

    `counts` is a text, which `pycocotools` decodes, or without `compressed` a list of numbers.

    Args:
        result: the segmentation.
        size: width and height of the picture in pixels.
        compressed: False gives `counts` as a list of numbers.

    Raises:
        ValueError: as `SegmentResult.mask`.
    """
    width, height = check_size(size)
    counts = _run_lengths(hard_mask(result, size), width)
    return {"size": [height, width], "counts": _compress(counts) if compressed else counts}


def coco_polygons(result: SegmentResult, size: tuple[int, int]) -> list[list[float]]:
    """Trace the mask as polygons `[x1, y1, x2, y2, ...]` in pixels.

    They run along the edges of pixels, so that every reader fills the same pixels. For smooth
    outlines, see `SegmentResult.polygons`.

    Args:
        result: the segmentation.
        size: width and height of the picture in pixels.

    Raises:
        ValueError: the object has holes, which polygons of COCO cannot have: take `coco_rle`.
            Also as `SegmentResult.mask`.
    """
    width, _ = check_size(size)
    return _polygons(*trace(hard_mask(result, size), width))


def _boxes(result: DetectResult, size: tuple[int, int]) -> list[tuple[list[float], float, Any]]:
    boxes = (box_in_pixels(box, size) for box in result.objects)
    return [
        ([left, top, right - left, bottom - top], (right - left) * (bottom - top), [])
        for left, top, right, bottom in boxes
        if left < right and top < bottom
    ]


def box_in_pixels(box: BBox, size: tuple[int, int]) -> tuple[float, float, float, float]:
    """Return left, top, right and bottom, not rounded. What is beyond the picture is cut off."""
    width, height = check_size(size)
    xs, ys = sides(box)
    left, right = (min(max(x * width, 0.0), width) for x in xs)
    top, bottom = (min(max(y * height, 0.0), height) for y in ys)
    return left, top, right, bottom


def hard_mask(result: SegmentResult, size: tuple[int, int]) -> bytearray:
    """Fill the pixels of `mask(size, antialias=False)`: a byte for each, 1 inside and 0 outside."""
    if not isinstance(result, SegmentResult):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise TypeError(
            f"this needs the outline of a SegmentResult, not {type(result).__name__}. The boxes of "
            "a DetectResult are taken by coco_annotations and yolo_labels"
        )
    return fill(result.polygons(size), size)


def _segment(
    result: SegmentResult, size: tuple[int, int], segmentation: Literal["polygons", "rle"] | None
) -> list[tuple[list[float], float, Any]]:
    width, height = check_size(size)
    mask = hard_mask(result, size)
    outlines, holes = trace(mask, width)
    if not outlines:
        return []
    xs, ys = zip(*(point for outline in outlines for point in outline), strict=True)
    bbox = [min(xs), min(ys), max(xs) - min(xs), max(ys) - min(ys)]
    shape: Any
    if segmentation == "rle" or (segmentation is None and holes):
        shape = {"size": [height, width], "counts": _compress(_run_lengths(mask, width))}
    else:
        shape = _polygons(outlines, holes)
    return [(bbox, mask.count(1), shape)]


def _polygons(outlines: list[Outline], holes: list[Outline]) -> list[list[float]]:
    if holes:
        raise ValueError(
            "the object has holes, and polygons of COCO cannot have them: take run lengths "
            '(coco_rle, or segmentation="rle")'
        )
    return [[float(value) for point in outline for value in point] for outline in outlines]


def _run_lengths(mask: bytearray, width: int) -> list[int]:
    """Count the runs down the columns of a mask. The first one is outside, and may be 0 long."""
    pixels = b"".join(mask[column::width] for column in range(width))
    counts: list[int] = []
    start = inside = 0
    while start < len(pixels):
        end = pixels.find(1 - inside, start)
        end = len(pixels) if end < 0 else end
        counts.append(end - start)
        start, inside = end, 1 - inside
    return counts


def _compress(counts: list[int]) -> str:
    """Write run lengths as text, as `rleToString` of `maskApi.c` does.

    From the fourth one on, a number is the difference to the last run of the same kind. Each
    character has five bits of it, the lowest first, and a bit that says if more follow. The last
    one's highest bit is the sign.
    """
    text = bytearray()
    for number, count in enumerate(counts):
        rest = count - counts[number - 2] if number > 2 else count
        more = True
        while more:
            bits, rest = rest & 0x1F, rest >> 5
            more = rest != (-1 if bits & 0x10 else 0)
            text.append(48 + bits + 0x20 * more)
    return text.decode("ascii")
