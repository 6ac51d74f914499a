"""Labels of YOLO: boxes and polygons in fractions, which every reader fills alike."""

from __future__ import annotations

from random import Random
from typing import Any

import numpy as np
import pytest
from pycocotools import mask as reader  # type: ignore[import-untyped]

from sansio_moondream import BBox, DetectResult, PointResult, SegmentResult
from sansio_moondream.exports import yolo_labels
from sansio_moondream.images import draw_mask
from sansio_moondream.paths import PathError, Polygon
from tests.core.pictures import BROKEN, SQUARE
from tests.shapes import random_segment

# pycocotools 2.0.11 decodes in the way of numpy 1.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy")

HOLE = SegmentResult("M0 0H1V1H0zM.25 .25V.75H.75V.25z", BBox(0.25, 0.5, 0.75, 1))
ISLANDS = SegmentResult(
    "M0 0H.25V1H0z M.75 0H1V1H.75z M.375 .25H.625V.75H.375z M.5 0H.75V1H.5z", BBox(0, 0, 1, 1)
)


def polygon_of(labels: str, size: tuple[int, int]) -> Polygon:
    """Read one line as Ultralytics does: a class, and pairs of numbers from 0 to 1."""
    (line,) = labels.splitlines()
    number, *values = line.split()
    assert int(number) == 3
    fractions = np.array(values, dtype=np.float64).reshape(-1, 2)
    assert fractions.min() >= 0
    assert fractions.max() <= 1
    return tuple((x * size[0], y * size[1]) for x, y in fractions.tolist())


def check(result: SegmentResult, size: tuple[int, int]) -> None:
    """Check that the label fills the pixels of the mask, by either rule."""
    polygon = polygon_of(yolo_labels(result, size, class_id=3), size)
    expected = result.mask_array(size)
    assert np.array_equal(np.asarray(draw_mask([polygon], size, antialias=False)) > 0, expected)
    # COCO's reader fills by the rule `evenodd`. It rounds to a fifth of a pixel, so we round first.
    edges = [float(round(value)) for point in polygon for value in point]
    lengths = reader.frPyObjects([edges], size[1], size[0])
    assert np.array_equal(reader.decode(lengths)[:, :, 0], expected)


class TestBoxes:
    def test_a_line_for_each(self):
        boxes = DetectResult((BBox(0.25, 0.5, 0.75, 1), BBox(0.1, 0.2, 0.3, 0.3)))
        assert yolo_labels(boxes, class_id=2) == "2 0.5 0.75 0.5 0.5\n2 0.2 0.25 0.2 0.1\n"

    def test_order_of_corners_and_what_is_beyond(self):
        boxes = DetectResult(
            (
                BBox(0.75, 1, 0.25, 0.5),
                BBox(-1, 0.5, 0.5, 1e300),
                BBox(2, 2, 3, 3),
                BBox(0.5, 0, 0.5, 1),
                BBox(0, 0.5, 1, 0.5),
            )
        )
        assert yolo_labels(boxes, class_id=0) == "0 0.5 0.75 0.5 0.5\n0 0.25 0.75 0.5 0.5\n"

    def test_nothing_found(self):
        assert yolo_labels(DetectResult(), class_id=0) == ""


class TestSegmentation:
    def test_one_outline(self):
        assert yolo_labels(SQUARE, (8, 4), class_id=0) == "0 0.25 0.5 0.75 0.5 0.75 1 0.25 1\n"

    def test_a_hole_is_joined_by_a_line_there_and_back(self):
        assert yolo_labels(HOLE, (16, 8), class_id=3) == (
            "3 0.25 0.5 0.75 0.5 0.75 1 0.25 1 0.25 0.5 "
            "0.625 0.625 0.375 0.625 0.375 0.875 0.625 0.875 0.625 0.625 0.25 0.5\n"
        )
        check(HOLE, (16, 8))

    @pytest.mark.parametrize("size", [(8, 8), (16, 4), (17, 9), (100, 100)])
    def test_parts_are_joined(self, size: tuple[int, int]):
        check(ISLANDS, size)

    @pytest.mark.parametrize("seed", range(20))
    def test_random_shapes(self, seed: int):
        rng = Random(seed)
        check(random_segment(rng), (rng.randint(30, 200), rng.randint(30, 200)))

    def test_numbers_are_precise_in_a_large_picture(self):
        result = SegmentResult("M0 0H1V1H0z", BBox(1 / 4001, 1 / 3001, 4000 / 4001, 3000 / 3001))
        label = yolo_labels(result, (4001, 3001), class_id=3)
        polygon = polygon_of(label, (4001, 3001))
        assert np.allclose(polygon, [(1, 1), (4000, 1), (4000, 3000), (1, 3000)], atol=0.01)

    def test_nothing(self):
        for result in (SegmentResult(), SegmentResult("", None, "no path")):
            assert yolo_labels(result, (8, 4), class_id=0) == ""

    def test_errors(self):
        export: Any = yolo_labels
        with pytest.raises(PathError, match="at character 8"):
            export(BROKEN, (4, 4), class_id=0)
        with pytest.raises(TypeError, match=r"size should be \(width, height\).*, not None"):
            export(SQUARE, class_id=0)
        with pytest.raises(TypeError, match="outline of a SegmentResult, not PointResult"):
            export(PointResult(), (4, 4), class_id=0)
