"""COCO annotations, against COCO's own reader."""

from __future__ import annotations

import json
from random import Random
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pycocotools import mask as reader  # type: ignore[import-untyped]
from pycocotools.coco import COCO  # type: ignore[import-untyped]

from sansio_moondream import BBox, DetectResult, PointResult, SegmentResult
from sansio_moondream.exports import coco_annotations, coco_polygons, coco_rle
from sansio_moondream.paths import PathError
from tests.core.pictures import BROKEN, SQUARE
from tests.shapes import random_segment

# pycocotools 2.0.11 decodes in the way of numpy 1.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy")

HOLE = SegmentResult("M0 0H1V1H0zM.25 .25V.75H.75V.25z", BBox(0.25, 0.5, 0.75, 1))
STAR = SegmentResult("M.5 0L.8 1L0 .4L1 .4L.2 1z", BBox(0, 0, 1, 1))
TWO = SegmentResult("M0 0H.25V1H0zM.75 0H1V1H.75z", BBox(0, 0, 1, 1))
NOTHING = (
    SegmentResult(),
    SegmentResult("", None, "no path"),
    SegmentResult("M0 0H1V1z", BBox(2, 2, 3, 3)),
)


def annotation(result: SegmentResult, size: tuple[int, int], **options: Any) -> dict[str, Any]:
    (made,) = coco_annotations(result, size, image_id=1, category_id=1, **options)
    assert json.loads(json.dumps(made)) == made  # plain JSON types
    return made


class TestRunLengths:
    def test_they_go_down_the_columns_and_begin_outside(self):
        assert coco_rle(SQUARE, (8, 4), compressed=False) == {
            "size": [4, 8],
            "counts": [10, 2, 2, 2, 2, 2, 2, 2, 8],
        }
        whole = SegmentResult("M0 0H1V1H0z", BBox(0, 0, 1, 1))
        assert coco_rle(whole, (3, 2), compressed=False)["counts"] == [0, 6]
        assert coco_rle(SegmentResult(), (3, 2), compressed=False)["counts"] == [6]

    @settings(max_examples=50)
    @given(st.lists(st.integers(0, 1), min_size=12, max_size=12))
    def test_any_pixels(self, pixels: list[int]):
        """Draw each pixel of 4 x 3 as a square of its own."""
        path = "".join(f"M{i % 4} {i // 4}h1v1h-1z" for i, inside in enumerate(pixels) if inside)
        result = SegmentResult(path, BBox(0, 0, 1 / 4, 1 / 3))
        counts = coco_rle(result, (4, 3), compressed=False)
        assert counts["counts"][0] == 0 or not pixels[0]
        assert all(counts["counts"][1:])
        decoded = reader.decode(reader.frPyObjects(counts, 3, 4))
        assert decoded.flatten().tolist() == pixels
        assert (
            reader.encode(np.asfortranarray(decoded))["counts"].decode()
            == (coco_rle(result, (4, 3))["counts"])
        )

    @pytest.mark.parametrize(
        "size", [(1, 1), (31, 1), (32, 1), (1, 33), (1023, 2), (1024, 2), (40_000, 1), (2, 1100)]
    )
    def test_long_runs(self, size: tuple[int, int]):
        """A number of the text has five bits in each character."""
        width, height = size
        for box in (BBox(0, 0, 1, 1), BBox(0.25, 0, 0.75, 1), BBox(0, 0.25, 1, 0.5)):
            result = SegmentResult("M0 0H1V1H0z", box)
            array = np.asfortranarray(result.mask_array(size).view("uint8"))
            assert coco_rle(result, size)["counts"] == reader.encode(array)["counts"].decode()
            assert array.shape == (height, width)

    def test_errors_are_those_of_the_mask(self):
        for export in (coco_rle, coco_polygons):
            with pytest.raises(PathError, match="at character 8"):
                export(BROKEN, (4, 4))
            with pytest.raises(TypeError, match="size should be"):
                export(SQUARE, None)  # type: ignore[arg-type]
            with pytest.raises(TypeError, match=r"outline of a SegmentResult, not DetectResult\. "):
                export(DetectResult(), (4, 4))  # type: ignore[arg-type]


class TestPolygons:
    def test_edges_of_pixels(self):
        assert coco_polygons(SQUARE, (8, 4)) == [[2.0, 2.0, 6.0, 2.0, 6.0, 4.0, 2.0, 4.0]]
        assert coco_polygons(TWO, (4, 1)) == [[0, 0, 1, 0, 1, 1, 0, 1], [3, 0, 4, 0, 4, 1, 3, 1]]
        assert {type(x) for polygon in coco_polygons(TWO, (4, 1)) for x in polygon} == {float}

    def test_holes_are_refused_in_words(self):
        words = r"the object has holes, and polygons of COCO cannot have them: take run lengths"
        with pytest.raises(ValueError, match=words):
            coco_polygons(HOLE, (16, 8))
        with pytest.raises(ValueError, match=words):
            annotation(HOLE, (16, 8), segmentation="polygons")

    def test_another_kind_of_segmentation_is_refused(self):
        with pytest.raises(ValueError, match=r'"polygons", "rle" or None, not \'polygon\'$'):
            annotation(SQUARE, (8, 4), segmentation="polygon")

    def test_a_star_stays_filled(self):
        """COCO fills a polygon by the rule `evenodd`, so that of the path itself had a hole."""
        (polygon,) = coco_polygons(STAR, (100, 100))
        decoded = reader.decode(reader.frPyObjects([polygon], 100, 100))[:, :, 0]
        assert np.array_equal(decoded, STAR.mask_array((100, 100)))
        assert decoded[50, 50] == 1


class TestAnnotations:
    def test_a_segmentation(self):
        assert annotation(SQUARE, (8, 4)) == {
            "id": 1,
            "image_id": 1,
            "category_id": 1,
            "bbox": [2, 2, 4, 2],
            "area": 8,
            "segmentation": [[2, 2, 6, 2, 6, 4, 2, 4]],
            "iscrowd": 0,
        }

    def test_a_hole_takes_run_lengths(self):
        made = annotation(HOLE, (16, 8))
        assert made["segmentation"] == coco_rle(HOLE, (16, 8))
        assert (made["bbox"], made["area"]) == ([4, 4, 8, 4], 24)

    def test_run_lengths_for_all(self):
        made = annotation(SQUARE, (8, 4), segmentation="rle")
        assert made["segmentation"] == coco_rle(SQUARE, (8, 4))

    def test_boxes(self):
        boxes = DetectResult(
            (
                BBox(0.25, 0.5, 0.75, 1),
                BBox(0.5, 0.5, 0.5, 1),  # without an area: it has no annotation
                BBox(0, 0.5, 1, 0.5),
                BBox(1.5, 0, 2, 1),  # beyond the picture
                BBox(0.75, 0.125, -0.5, 7),  # corners in the wrong order, and cut off
            )
        )
        made = coco_annotations(boxes, (8, 4), image_id=7, category_id=3, first_id=10)
        about = {"image_id": 7, "category_id": 3, "segmentation": [], "iscrowd": 0}
        assert made == [
            {"id": 10, "bbox": [2, 2, 4, 2], "area": 8, **about},
            {"id": 11, "bbox": [0, 0.5, 6, 3.5], "area": 21, **about},
        ]
        assert json.loads(json.dumps(made)) == made

    def test_nothing(self):
        for result in (*NOTHING, DetectResult()):
            assert coco_annotations(result, (8, 4), image_id=1, category_id=1) == []
        for result in NOTHING:
            assert coco_polygons(result, (8, 4)) == []

    def test_points_have_no_annotation(self):
        points: Any = PointResult()
        with pytest.raises(TypeError, match="outline of a SegmentResult, not PointResult"):
            coco_annotations(points, (8, 4), image_id=1, category_id=1)

    def test_a_whole_data_set(self, capsys: pytest.CaptureFixture[str]):
        made = coco_annotations(HOLE, (16, 8), image_id=1, category_id=1)
        made += coco_annotations(SQUARE, (16, 8), image_id=1, category_id=1, first_id=2)
        boxes = DetectResult((SQUARE.bbox or BBox(0, 0, 1, 1),))
        made += coco_annotations(boxes, (16, 8), image_id=1, category_id=1, first_id=3)
        data = COCO()
        data.dataset = {
            "images": [{"id": 1, "width": 16, "height": 8, "file_name": "moon.jpg"}],
            "categories": [{"id": 1, "name": "moon"}],
            "annotations": made,
        }
        data.createIndex()
        assert data.getAnnIds(imgIds=[1], catIds=[1]) == [1, 2, 3]
        for number, result in ((1, HOLE), (2, SQUARE)):
            (loaded,) = data.loadAnns([number])
            assert np.array_equal(data.annToMask(loaded), result.mask_array((16, 8)))


def with_holes(count: int, seed: int) -> list[tuple[SegmentResult, tuple[int, int]]]:
    """Draw shapes until so many have holes, in pictures of different sizes."""
    rng, found = Random(seed), list[tuple[SegmentResult, tuple[int, int]]]()
    while len(found) < count:
        result, size = random_segment(rng), (rng.randint(30, 200), rng.randint(30, 200))
        if "counts" in annotation(result, size)["segmentation"]:
            found.append((result, size))
    return found


@pytest.mark.parametrize("count", [10, pytest.param(200, marks=pytest.mark.slow)])
def test_random_shapes_with_holes_are_what_cocos_reader_finds(count: int):
    for result, size in with_holes(count, seed=count):
        (width, height), mask = size, result.mask_array(size).view("uint8")
        made = annotation(result, size)
        assert (
            reader.encode(np.asfortranarray(mask))["counts"].decode()
            == (made["segmentation"]["counts"])
        )
        plain = reader.frPyObjects(coco_rle(result, size, compressed=False), height, width)
        for lengths in (made["segmentation"], plain):
            assert np.array_equal(reader.decode(lengths), mask)
            assert reader.area(lengths) == made["area"]
            assert reader.toBbox(lengths).tolist() == made["bbox"]


@pytest.mark.parametrize("count", [10, pytest.param(200, marks=pytest.mark.slow)])
def test_random_shapes_as_polygons(count: int):
    """Those that have no hole: the reader fills the same pixels."""
    rng, polygons = Random(count), 0
    for _ in range(count):
        result, size = random_segment(rng), (rng.randint(30, 200), rng.randint(30, 200))
        made, (width, height) = annotation(result, size), size
        if isinstance(made["segmentation"], list):
            polygons += 1
            lengths = reader.merge(reader.frPyObjects(made["segmentation"], height, width))
            assert np.array_equal(reader.decode(lengths), result.mask_array(size))
            assert reader.area(lengths) == made["area"]
            assert reader.toBbox(lengths).tolist() == made["bbox"]
    assert polygons > count / 4
