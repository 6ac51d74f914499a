"""Boxes and points drawn on pictures."""

from __future__ import annotations

from typing import Any

import pytest
from PIL import Image

from sansio_moondream import BBox, DetectResult, Point, PointResult
from sansio_moondream.images import draw_boxes, draw_points
from tests.core.pillow import BLUE, GREEN, RED, WHITE


class TestBoxesAndPoints:
    def test_boxes(self):
        image = Image.new("RGB", (100, 50), WHITE)
        seen = DetectResult((BBox(0.1, 0.2, 0.5, 0.8), BBox(0.9, 0.9, 1, 1))).overlay(
            image, width=3
        )
        assert [seen.getpixel((x, 25)) for x in (9, 10, 12, 13, 46, 47, 49, 50)] == [
            WHITE,
            RED,
            RED,
            WHITE,
            WHITE,
            RED,
            RED,
            WHITE,
        ]
        assert [seen.getpixel((30, y)) for y in (9, 10, 12, 13, 36, 37, 39, 40)] == [
            WHITE,
            RED,
            RED,
            WHITE,
            WHITE,
            RED,
            RED,
            WHITE,
        ]
        assert seen.getpixel((99, 49)) == RED
        assert image.getcolors() == [(5000, WHITE)]

    @pytest.mark.parametrize(
        "box", [BBox(0.5, 0.5, 0.5, 0.5), BBox(0.6, 0.7, 0.4, 0.3), BBox(-5, -1e308, 1e308, 9)]
    )
    def test_odd_boxes(self, box: BBox):
        seen = draw_boxes(Image.new("RGB", (100, 50), WHITE), [box], color="blue")
        assert (WHITE in dict_of(seen)) is True
        assert (BLUE in dict_of(seen)) is (box.x_min > -1)

    def test_points(self):
        seen = PointResult((Point(0.5, 0.5), Point(1, 0))).overlay(
            Image.new("RGB", (100, 50), WHITE), radius=5
        )
        assert [seen.getpixel((x, 25)) for x in (44, 45, 50, 55, 56)] == [
            WHITE,
            RED,
            RED,
            RED,
            WHITE,
        ]
        assert seen.getpixel((99, 0)) == RED
        assert BLUE in dict_of(
            draw_points(Image.new("RGB", (1000, 50), WHITE), [Point(0.5, 0.5)], color=BLUE)
        )

    def test_a_box_without_a_size_is_a_pixel(self):
        seen = draw_boxes(Image.new("RGB", (8, 4), WHITE), [BBox(0.5, 0.25, 0.5, 0.25)])
        assert dict_of(seen) == {RED: 1, WHITE: 31}
        assert seen.getpixel((4, 1)) == RED

    @pytest.mark.parametrize(("size", "width"), [(10, 2), (500, 2), (900, 4), (1100, 6)])
    def test_lines_and_discs_are_in_proportion(self, size: int, width: int):
        """A line has a 200th of the longer side; half of that is rounded to the even number."""
        picture = Image.new("RGB", (size, 30), WHITE)
        reds = Image.new("RGB", (width, 30), RED)
        seen = draw_boxes(picture, [BBox(0, -9, 9, 9)])
        assert seen.crop((0, 0, width, 30)).tobytes() == reds.tobytes()
        assert RED not in dict_of(seen.crop((width, 0, size, 30)))
        seen = draw_points(picture.resize((size, size)), [Point(0, 0)])
        assert dict_of(seen.crop((0, 0, size, 1)))[RED] == 2 * width + 1

    def test_each_side_of_a_box(self):
        """A line is inside of its box, and never wider than the box."""
        picture = Image.new("RGB", (9, 7), WHITE)
        box = BBox(1 / 9, 1 / 7, 8 / 9, 6 / 7)
        drawn = draw_boxes(picture, [box], width=2)
        whites = {(x, y) for x in range(9) for y in range(7) if drawn.getpixel((x, y)) == WHITE}
        frame = {(x, y) for x in range(9) for y in range(7) if x in (0, 8) or y in (0, 6)}
        assert whites == frame | {(3, 3), (4, 3), (5, 3)}
        for width in (3, 4, 9):
            assert dict_of(draw_boxes(picture, [box], width=width)) == {RED: 35, WHITE: 28}

    @pytest.mark.parametrize(
        ("box", "columns"),
        [
            (BBox(0.5, -9, 1, 9), [2, 3]),
            (BBox(0.5, -1e300, 1.25, 1e300), [2]),
            (BBox(0.5, -9, 1e300, 9), [2]),
            (BBox(0, -9, 0.5, 9), [0, 1]),
            (BBox(-0.25, -9, 0.5, 9), [1]),
            (BBox(-1e300, -9, 0.5, 9), [1]),
        ],
    )
    def test_sides_outside_of_the_picture(self, box: BBox, columns: list[int]):
        """They are not moved to its edge."""
        seen = draw_boxes(Image.new("RGB", (4, 4), WHITE), [box], width=1)
        turned = draw_boxes(
            Image.new("RGB", (4, 4), WHITE),
            [BBox(box.y_min, box.x_min, box.y_max, box.x_max)],
            width=1,
        )
        expected = Image.new("RGB", (4, 4), WHITE)
        for column in columns:
            expected.paste(RED, (column, 0, column + 1, 4))
        assert seen.tobytes() == expected.tobytes()
        assert turned.tobytes() == expected.transpose(Image.Transpose.TRANSPOSE).tobytes()

    @pytest.mark.parametrize("at", [(-1, 0), (0, -1), (2, 0), (0, 2), (-9, 0.5), (1e300, -1e300)])
    @pytest.mark.parametrize("radius", [1, 8])
    def test_a_point_outside_of_the_picture(self, at: tuple[float, float], radius: int):
        """Its disc is seen as far as it reaches."""
        size, (x, y) = 10, at
        seen = draw_points(Image.new("RGB", (size, size), WHITE), [Point(x, y)], radius=radius)
        reaches = all(-radius <= value * size < size + radius for value in at)
        assert (RED in dict_of(seen)) is reaches

    def test_nothing_found(self):
        image = Image.new("RGB", (10, 5), GREEN)
        assert (
            DetectResult().overlay(image).tobytes()
            == PointResult().overlay(image).tobytes()
            == image.tobytes()
        )


def dict_of(image: Image.Image) -> dict[Any, int]:
    return {color: count for count, color in image.getcolors() or []}
