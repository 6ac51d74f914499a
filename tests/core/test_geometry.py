"""Boxes and points in pixels, areas of boxes, and how much two boxes overlap."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from sansio_moondream import BBox, DetectResult, Point, PointResult, SegmentResult
from sansio_moondream.exports import coco_annotations, yolo_labels

SIZE = (8, 4)
NAN = float("nan")


class TestBoxToPixels:
    @pytest.mark.parametrize(
        ("box", "pixels"),
        [
            (BBox(0, 0, 1, 1), (0, 0, 8, 4)),
            (BBox(0.25, 0.5, 0.75, 1), (2, 2, 6, 4)),
            (BBox(0.0624, 0.1249, 0.9374, 0.8749), (0, 0, 7, 3)),  # a bit less than half a pixel
            (BBox(0.0625, 0.125, 0.9375, 0.875), (1, 1, 8, 4)),  # half a pixel
            (BBox(0.75, 1, 0.25, 0.5), (2, 2, 6, 4)),  # corners in the wrong order
            (BBox(0.25, 1, 0.75, 0.5), (2, 2, 6, 4)),
            (BBox(0.5, 0.5, 0.5, 0.5), (4, 2, 4, 2)),  # no area
            (BBox(0.51, 0, 0.55, 1), (4, 0, 4, 4)),  # narrower than half a pixel
            (BBox(-5, -0.25, 1.25, 1e300), (0, 0, 8, 4)),  # beyond the picture
            (BBox(1.5, -2, 3, -1), (8, 0, 8, 0)),  # all of it
            (BBox(-1e308, -float("inf"), 1e308, float("inf")), (0, 0, 8, 4)),
        ],
    )
    def test_edges(self, box: BBox, pixels: tuple[int, int, int, int]):
        assert box.to_pixels(SIZE) == pixels
        assert {type(edge) for edge in box.to_pixels(SIZE)} == {int}

    def test_noise_of_floats_adds_no_pixel(self):
        assert BBox(0, 0, 0.1 * 3, 1).to_pixels((10, 1)) == (0, 0, 3, 1)

    def test_pillow_and_arrays_take_them(self):
        picture = Image.new("L", SIZE)
        picture.paste(255, (2, 1, 5, 4))
        left, top, right, bottom = pixels = BBox(0.25, 0.25, 0.625, 1).to_pixels(SIZE)
        assert picture.crop(pixels).tobytes() == bytes([255]) * 9
        rows = [list(range(8)) for _ in range(4)]
        assert [row[left:right] for row in rows[top:bottom]] == [[2, 3, 4]] * 3


class TestPointToPixels:
    @pytest.mark.parametrize(
        ("point", "pixel"),
        [
            (Point(0, 0), (0, 0)),
            (Point(0.12, 0.24), (0, 0)),
            (Point(0.125, 0.25), (1, 1)),
            (Point(0.999, 0.999), (7, 3)),
            (Point(1, 1), (7, 3)),  # the last pixel, so that it is an index
            (Point(-3, 7), (0, 3)),
            (Point(1e308, -1e308), (7, 0)),
        ],
    )
    def test_the_pixel_that_has_it(self, point: Point, pixel: tuple[int, int]):
        assert point.to_pixels(SIZE) == pixel
        assert {type(value) for value in point.to_pixels(SIZE)} == {int}


class TestSizes:
    """All that take the size of a picture refuse a wrong one in the same words."""

    USES: tuple[Any, ...] = (
        BBox(0, 0, 1, 1).to_pixels,
        Point(0, 0).to_pixels,
        SegmentResult("M0 0H1V1z", BBox(0, 0, 1, 1)).polygons,
        SegmentResult().svg,
        SegmentResult().mask,
        SegmentResult().mask_array,
        SegmentResult().area,
    )

    @pytest.mark.parametrize(
        ("size", "seen"),
        [
            (None, "None"),
            (8, "8"),
            ((8,), r"\(8,\)"),
            ((4, 8, 3), r"\(4, 8, 3\)"),
            ((8.0, 4), r"\(8.0, 4\)"),
            ((True, 4), r"\(True, 4\)"),
            ((8, False), r"\(8, False\)"),
            ("84", "'84'"),
            ("8" * 58, "'8{58}'"),
            ("8" * 59, "'8{59}…"),
            ((10**5000,), "tuple with too many digits"),
        ],
    )
    def test_no_pair_of_whole_numbers(self, size: Any, seen: str):
        words = r"size should be \(width, height\) in whole pixels, from 1 to 1,000,000 each, not "
        for use in self.USES:
            with pytest.raises(TypeError, match=f"^{words}{seen}$"):
                use(size)

    @pytest.mark.parametrize(
        "size", [(0, 1), (1, 0), (1, -1), (-8, 4), (1_000_001, 1), (1, 10**9), (10**400, 1)]
    )
    def test_less_than_a_pixel_or_more_than_any_picture(self, size: tuple[int, int]):
        for use in self.USES:
            with pytest.raises(ValueError, match=r", from 1 to 1,000,000 each, not \("):
                use(size)

    def test_a_picture(self):
        """It may be turned, so its own size can be the wrong one."""
        for use in self.USES:
            with pytest.raises(TypeError, match=r"not a picture: pass .*upright\(picture\).size"):
                use(Image.new("L", SIZE))

    def test_one_pixel_and_other_kinds_of_whole_numbers(self):
        class Whole:
            def __index__(self) -> int:
                return 1

        size: Any = [Whole(), 1]
        for use in self.USES:
            use(size)
        assert BBox(0, 0, 1, 1).to_pixels(size) == (0, 0, 1, 1)

    def test_the_longest_side(self):
        assert BBox(0, 0, 1, 1).to_pixels((1_000_000, 1_000_000)) == (0, 0, 1_000_000, 1_000_000)
        assert SegmentResult("M0 0H1V1z", BBox(0, 0, 0, 0)).area((1_000_000, 1_000_000)) == 0

    def test_more_pixels_than_the_largest_picture(self):
        """They are refused before they take memory."""
        for use in (SegmentResult().mask, SegmentResult().mask_array):
            with pytest.raises(
                ValueError, match=r"^a mask of 160001 x 1000 is more than 160,000,000 pixels"
            ):
                use((160_001, 1000))
        assert SegmentResult().mask_array((160_000, 1000)).shape == (1000, 160_000)


NAN_IN_A_BOX = (BBox(NAN, 0, 1, 1), BBox(0, NAN, 1, 1), BBox(0, 0, NAN, 1), BBox(0, 0, 1, NAN))


class TestNaN:
    """No server can send it, but a program can make it."""

    @pytest.mark.parametrize("box", NAN_IN_A_BOX)
    def test_in_a_box(self, box: BBox):
        uses: tuple[Any, ...] = (
            lambda: box.to_pixels(SIZE),
            lambda: box.area,
            lambda: box.iou(BBox(0, 0, 1, 1)),
            lambda: BBox(0, 0, 1, 1).iou(box),
            lambda: DetectResult((box,)).overlay(Image.new("L", SIZE)),
            lambda: coco_annotations(DetectResult((box,)), SIZE, image_id=1, category_id=1),
            lambda: yolo_labels(DetectResult((box,)), class_id=0),
        )
        for use in uses:
            with pytest.raises(ValueError, match=r"numbers, not NaN as in BBox\(.*nan"):
                use()

    @pytest.mark.parametrize("point", [Point(NAN, 0), Point(0, NAN)])
    def test_in_a_point(self, point: Point):
        uses: tuple[Any, ...] = (
            lambda: point.to_pixels(SIZE),
            lambda: PointResult((point,)).overlay(Image.new("L", SIZE)),
        )
        for use in uses:
            with pytest.raises(ValueError, match=r"numbers, not NaN as in Point\(.*nan"):
                use()


class TestArea:
    @pytest.mark.parametrize(
        ("box", "area"),
        [
            (BBox(0, 0, 1, 1), 1),
            (BBox(0.25, 0.5, 0.75, 1), 0.25),
            (BBox(0.75, 0.5, 0.25, 1), 0.25),
            (BBox(0.75, 1, 0.25, 0.5), 0.25),
            (BBox(0.5, 0, 0.5, 1), 0),
            (BBox(-0.5, 0, 1.5, 2), 4),
        ],
    )
    def test_of_a_box(self, box: BBox, area: float):
        assert box.area == area


class TestIoU:
    @pytest.mark.parametrize(
        ("box", "other", "iou"),
        [
            (BBox(0, 0, 0.5, 0.5), BBox(0, 0, 0.5, 0.5), 1),
            (BBox(0, 0, 0.5, 1), BBox(0.25, 0, 0.75, 1), 1 / 3),
            (BBox(0, 0, 0.5, 1), BBox(0.25, 0.5, 0.75, 1), 0.125 / 0.625),
            (BBox(0, 0, 1, 1), BBox(0.25, 0.25, 0.75, 0.75), 0.25),
            (BBox(0, 0, 0.5, 1), BBox(0.5, 0, 1, 1), 0),  # side by side
            (BBox(0, 0, 0.25, 0.25), BBox(0.5, 0.5, 1, 1), 0),
            (BBox(0, 0, 0.25, 1), BBox(0.5, 0, 1, 1), 0),
            (BBox(0.5, 1, 0, 0), BBox(0, 0, 0.5, 1), 1),  # corners in the wrong order
            (BBox(0.5, 0, 0.5, 1), BBox(0.5, 0, 0.5, 1), 1),  # no area, equal
            (BBox(0.5, 0, 0.5, 1), BBox(0.5, 0, 0.5, 0.5), 0),
            (BBox(0.5, 0, 0.5, 1), BBox(0, 0, 1, 1), 0),
            (BBox(-1e308, -1e308, 1e308, 1e308), BBox(0, 0, 1, 1), 0),  # an area beyond floats
        ],
    )
    def test_of_two_boxes(self, box: BBox, other: BBox, iou: float):
        assert box.iou(other) == other.iou(box) == iou


_eighths = st.integers(-4, 12).map(lambda eighths: eighths / 8)
_boxes = st.builds(BBox, _eighths, _eighths, _eighths, _eighths)
_any_edge = st.floats(-1e6, 1e6)
_any_boxes = st.builds(BBox, _any_edge, _any_edge, _any_edge, _any_edge)


def cells(box: BBox) -> set[tuple[int, int]]:
    """Return the squares with a side of an eighth that a box of eighths has."""
    xs, ys = sorted((box.x_min, box.x_max)), sorted((box.y_min, box.y_max))
    return {
        (x, y)
        for x in range(int(xs[0] * 8), int(xs[1] * 8))
        for y in range(int(ys[0] * 8), int(ys[1] * 8))
    }


@given(_boxes, _boxes)
def test_iou_is_that_of_the_cells(box: BBox, other: BBox):
    one, two = cells(box), cells(other)
    assert box.area == len(one) / 64
    if one | two:
        assert box.iou(other) == float(Fraction(len(one & two), len(one | two)))


@given(_any_boxes, _any_boxes)
def test_iou_of_any_boxes(box: BBox, other: BBox):
    assert 0 <= box.iou(other) <= 1
    assert box.iou(other) == other.iou(box)
    assert box.iou(box) == 1


@settings(max_examples=50)
@given(_any_boxes | _boxes, st.integers(1, 99), st.integers(1, 99))
def test_pixels_are_within_half_a_pixel_of_the_box(box: BBox, width: int, height: int):
    left, top, right, bottom = box.to_pixels((width, height))
    assert 0 <= left <= right <= width
    assert 0 <= top <= bottom <= height
    for edge, fraction, length in (
        (left, min(box.x_min, box.x_max), width),
        (right, max(box.x_min, box.x_max), width),
        (top, min(box.y_min, box.y_max), height),
        (bottom, max(box.y_min, box.y_max), height),
    ):
        assert abs(edge - min(max(fraction, 0), 1) * length) <= 0.5 + 1e-9
