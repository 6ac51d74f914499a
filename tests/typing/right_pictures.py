"""Results in pixels, on pictures, and as labels, as users write it."""

from __future__ import annotations

from typing import Any, assert_type

import numpy as np
import supervision
from numpy.typing import NDArray
from PIL import Image

from sansio_moondream import (
    BBox,
    DetectResult,
    EncodedImage,
    Point,
    PointResult,
    SegmentResult,
)
from sansio_moondream.exports import (
    coco_annotations,
    coco_polygons,
    coco_rle,
    to_supervision,
    yolo_labels,
)
from sansio_moondream.images import Picture, upright

SIZE = (8, 4)


def pixels(box: BBox, point: Point, segment: SegmentResult) -> None:
    assert_type(box.to_pixels(SIZE), tuple[int, int, int, int])
    assert_type(point.to_pixels(SIZE), tuple[int, int])
    assert_type(box.area, float)
    assert_type(box.iou(box), float)
    assert_type(segment.area(SIZE), float)
    assert_type(segment.mask_array(SIZE), NDArray[np.bool_])


def draw(
    segment: SegmentResult, boxes: DetectResult, points: PointResult, encoded: EncodedImage
) -> None:
    pictures: list[Picture] = [b"", bytearray(), memoryview(b""), "data:", encoded]
    for picture in (*pictures, Image.new("L", SIZE)):
        assert_type(segment.overlay(picture), Image.Image)
        assert_type(segment.cutout(picture), Image.Image)
        assert_type(boxes.overlay(picture), Image.Image)
        assert_type(points.overlay(picture), Image.Image)
        assert_type(upright(picture), Image.Image)


def export(segment: SegmentResult, boxes: DetectResult, points: PointResult) -> None:
    assert_type(coco_rle(segment, SIZE), dict[str, Any])
    assert_type(coco_polygons(segment, SIZE), list[list[float]])
    for result in (segment, boxes):
        made = coco_annotations(result, SIZE, image_id=1, category_id=1, segmentation="rle")
        assert_type(made, list[dict[str, Any]])
        found = to_supervision(result, SIZE, class_name="moon", class_id=0)
        assert_type(found, supervision.Detections)
    assert_type(to_supervision(points, SIZE, class_name="moon"), supervision.KeyPoints)
    assert_type(yolo_labels(segment, SIZE, class_id=0), str)
    assert_type(yolo_labels(boxes, class_id=0), str)
