"""Results for `supervision`: by a stand-in for its classes, and by the library itself."""

from __future__ import annotations

import math
import sys
import warnings
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image

from sansio_moondream import BBox, DetectResult, Point, PointResult, QueryResult, SegmentResult
from sansio_moondream.exports import to_supervision
from sansio_moondream.paths import PathError
from tests.core.pictures import BROKEN, SQUARE

BOXES = DetectResult((BBox(0.25, 0.5, 0.75, 1), BBox(0.5, 2, -1, 0.25)))
POINTS = PointResult((Point(0.5, 0.25), Point(1, 0)))
NOTHING = (
    SegmentResult(),
    SegmentResult("", None, "no path"),
    SegmentResult("", BBox(0, 0, 1, 1), partial=True),  # its path has not come yet
    SegmentResult("M0 0H1V1z", BBox(2, 2, 3, 3)),
)


def values(places: Any, masks: Any = None, **fields: Any) -> SimpleNamespace:
    return SimpleNamespace(places=places, masks=masks, **fields)


@pytest.fixture
def stand_in(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let `supervision` be two classes that keep what they are given, installed or not."""
    module: Any = SimpleNamespace(Detections=values, KeyPoints=values)
    monkeypatch.setitem(sys.modules, "supervision", module)


@pytest.mark.usefixtures("stand_in")
class TestFields:
    def test_boxes(self):
        made: Any = to_supervision(BOXES, (8, 4), class_name="moon", class_id=5)
        assert made.places.tolist() == [[2, 2, 6, 4], [0, 1, 4, 4]]
        assert made.masks is None
        assert made.class_id.tolist() == [5, 5]
        assert made.data["class_name"].tolist() == ["moon", "moon"]

    def test_a_segmentation(self):
        made: Any = to_supervision(SQUARE, (8, 4), class_name="moon")
        assert made.places.tolist() == [[2, 2, 6, 4]]
        assert made.masks.dtype == np.bool_
        assert np.array_equal(made.masks, [SQUARE.mask_array((8, 4))])
        assert made.class_id.tolist() == [0]

    def test_points(self):
        made: Any = to_supervision(POINTS, (8, 4), class_name="moon")
        assert made.places.tolist() == [[[4, 1]], [[8, 0]]]
        assert made.class_id.tolist() == [0, 0]
        assert made.data["class_name"].tolist() == ["moon", "moon"]

    def test_nothing(self):
        made: Any
        for result in NOTHING:
            made = to_supervision(result, (8, 4), class_name="moon")
            assert (made.places.shape, made.masks.shape) == ((0, 4), (0, 4, 8))
        made = to_supervision(DetectResult(), (8, 4), class_name="moon")
        assert (made.places.shape, made.class_id.shape) == ((0, 4), (0,))
        made = to_supervision(PointResult(), (8, 4), class_name="moon")
        assert (made.places.shape, made.data["class_name"].shape) == ((0, 1, 2), (0,))

    def test_errors(self):
        with pytest.raises(PathError, match="at character 8"):
            to_supervision(BROKEN, (4, 4), class_name="moon")
        for result in (SQUARE, BOXES, POINTS):
            with pytest.raises(TypeError, match="size should be"):
                to_supervision(result, None, class_name="moon")  # type: ignore[call-overload]
        other: Any = QueryResult("moon")
        with pytest.raises(TypeError, match=r"or PointResult, not QueryResult$"):
            to_supervision(other, (4, 4), class_name="moon")
        with pytest.raises(ValueError, match=r"numbers, not NaN as in Point"):
            to_supervision(PointResult((Point(0, math.nan),)), (4, 4), class_name="moon")


def test_without_the_library_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "supervision", None)
    with pytest.raises(
        ModuleNotFoundError,
        match=r"this needs supervision, .*: pip install 'sansio-moondream\[supervision\]'",
    ):
        to_supervision(SQUARE, (8, 4), class_name="moon")


@pytest.fixture(scope="module")
def library() -> Iterator[Any]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it recommends OpenCV, and warns of names of its own
        yield pytest.importorskip("supervision", reason="needs supervision: `make ci-tools`")


class TestLibrary:
    SIZE = (64, 32)

    def scene(self) -> Any:
        return np.zeros((32, 64, 3), np.uint8)

    def test_boxes_are_drawn_and_named(self, library: Any):
        made = to_supervision(BOXES, self.SIZE, class_name="moon")
        assert isinstance(made, library.Detections)
        assert made == library.Detections(
            xyxy=np.array([[16, 16, 48, 32], [0, 8, 32, 32]], np.float32),
            class_id=np.array([0, 0]),
            data={"class_name": np.array(["moon", "moon"])},
        )
        drawn = library.BoxAnnotator(thickness=1).annotate(self.scene(), made)
        assert drawn[16, 40].any()
        assert not drawn[12, 50].any()
        assert library.LabelAnnotator().annotate(self.scene(), made).any()
        crop = library.crop_image(self.scene(), made.xyxy[0])
        assert crop.shape == (16, 32, 3)

    def test_a_mask_is_drawn_where_it_is(self, library: Any):
        made: Any = to_supervision(SQUARE, self.SIZE, class_name="moon")
        drawn = library.MaskAnnotator(opacity=1).annotate(self.scene(), made)
        assert np.array_equal(drawn.any(axis=2), SQUARE.mask_array(self.SIZE))
        assert made.area.tolist() == [512]
        assert np.array_equal(made[np.array([True])].mask, made.mask)

    def test_points_are_drawn(self, library: Any):
        made = to_supervision(POINTS, self.SIZE, class_name="moon")
        assert isinstance(made, library.KeyPoints)
        assert len(made) == 2
        drawn = library.VertexAnnotator(radius=2).annotate(self.scene(), made)
        assert drawn[8, 32].any()
        assert not drawn[16, 32].any()

    def test_nothing_is_drawn_of_nothing(self, library: Any):
        for result in (*NOTHING, DetectResult()):
            made: Any = to_supervision(result, self.SIZE, class_name="moon")
            assert len(made) == 0
            for annotator in (library.BoxAnnotator(), library.MaskAnnotator()):
                assert not annotator.annotate(self.scene(), made).any()
        assert len(to_supervision(PointResult(), self.SIZE, class_name="moon")) == 0

    def test_results_of_several_requests_are_merged(self, library: Any):
        """As in a data set: one request for each class."""
        moon = to_supervision(BOXES, self.SIZE, class_name="moon", class_id=0)
        star = to_supervision(
            DetectResult((BBox(0, 0, 1, 1),)), self.SIZE, class_name="star", class_id=1
        )
        merged = library.Detections.merge([moon, star])
        assert merged.class_id.tolist() == [0, 0, 1]
        assert merged.data["class_name"].tolist() == ["moon", "moon", "star"]

    def test_a_pillow_picture_can_be_the_scene(self, library: Any):
        picture = Image.new("RGB", self.SIZE)
        made = to_supervision(SQUARE, picture.size, class_name="moon")
        drawn = library.MaskAnnotator(opacity=1).annotate(picture, made)
        assert drawn.getbbox() == (16, 16, 48, 32)
