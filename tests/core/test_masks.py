"""Masks: which pixels an outline has."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageChops

from sansio_moondream import BBox, SegmentResult
from sansio_moondream.images import draw_mask
from sansio_moondream.paths import (
    MAX_BORDER,
    MAX_COMMANDS,
    MAX_POINTS,
    Command,
    PathError,
    Polygon,
    flatten,
)
from tests.core.pictures import BROKEN, SQUARE, rectangle


def rows(image: Image.Image) -> list[list[int]]:
    assert image.mode == "L"
    data = image.tobytes()
    return [list(data[at : at + image.width]) for at in range(0, len(data), image.width)]


class TestMask:
    def test_it_lies_in_its_box(self):
        assert SQUARE.polygons((8, 4)) == (((2, 2), (6, 2), (6, 4), (2, 4)),)
        assert rows(SQUARE.mask((8, 4))) == [[0] * 8] * 2 + [[0, 0, 255, 255, 255, 255, 0, 0]] * 2

    def test_pixels_on_the_border_have_their_share(self):
        mask = draw_mask([rectangle(0.5, 0.25, 2.75, 1.5)], (4, 2))
        assert rows(mask) == [[95, 191, 143, 0], [64, 128, 96, 0]]
        mask = draw_mask([rectangle(0.5, 0.25, 2.75, 1.75)], (4, 2), antialias=False)
        assert rows(mask) == [[255, 255, 255, 0]] * 2

    def test_shares_are_rounded_down(self):
        mask = draw_mask([rectangle(0.0005, 0, 0.9995, 1), rectangle(1.001, 0, 2.999, 1)], (3, 1))
        assert rows(mask) == [[254, 254, 254]]

    @pytest.mark.parametrize("antialias", [True, False])
    def test_a_shape_far_down_in_a_tall_picture(self, antialias: bool):
        """The lines of a picture are filled in strips."""
        shape = ((1.0, 0.3), (8.0, 3.3), (3.0, 40.7))
        at_the_top = draw_mask([shape], (9, 41), antialias=antialias)
        for down in (1, 15, 16, 17, 100):
            moved = tuple((x, y + down) for x, y in shape)
            mask = draw_mask([moved], (9, 41 + down), antialias=antialias)
            cropped = mask.crop((0, down, 9, 41 + down))
            assert ImageChops.difference(cropped, at_the_top).histogram()[2:] == [0] * 254
            assert mask.crop((0, 0, 9, down)).getbbox() is None

    def test_without_antialias_the_middle_decides(self):
        """Left and top edges are inside, right and bottom edges are not.

        So neighbours share no pixel.
        """
        mask = draw_mask([rectangle(0.5, 0.5, 1.5, 1.5)], (3, 3), antialias=False)
        assert rows(mask) == [[255, 0, 0], [0, 0, 0], [0, 0, 0]]

    @pytest.mark.parametrize("antialias", [True, False])
    def test_a_line_there_and_back_has_no_pixel(self, antialias: bool):
        """Both ways cross each row at one place, but for rounding. It may be a pixel's middle."""
        for end in [(x, y) for x in range(2, 42, 3) for y in range(16, 56, 3)]:
            mask = draw_mask([((2, 15), end, (2, 15))], (42, 56), antialias=antialias)
            assert mask.getbbox() is None, end

    def test_narrower_than_a_millionth_of_a_pixel_is_nothing(self):
        for right, pixel in ((0.5000003, 0), (0.500001, 255)):
            shapes = [rectangle(2.4999995, 0, 2 + right, 1), rectangle(0.4999995, 0, right, 1)]
            for polygons in (shapes, shapes[1:], shapes[:1]):
                mask = draw_mask(polygons, (3, 1), antialias=False)
                assert sum(rows(mask)[0]) == pixel * len(polygons)

    @pytest.mark.parametrize(("back", "inside"), [(False, 255), (True, 0)])
    def test_the_rule_is_nonzero(self, back: bool, inside: int):
        """A hole runs in the other direction than its outline.

        A polygon in the same direction is filled. By the rule even-odd it would be a hole.
        """
        mask = draw_mask([rectangle(0, 0, 9, 9), rectangle(3, 3, 6, 6, back=back)], (9, 9))
        assert mask.getpixel((4, 4)) == inside
        assert mask.getpixel((2, 4)) == mask.getpixel((6, 4)) == 255

    def test_a_star_has_no_hole(self):
        star = SegmentResult("M.5 0L.8 1L0 .4L1 .4L.2 1z", BBox(0, 0, 1, 1)).mask((100, 100))
        assert star.getpixel((50, 50)) == 255

    @pytest.mark.parametrize("antialias", [True, False])
    def test_what_is_outside_the_picture_is_clipped(self, antialias: bool):
        inside = (
            rectangle(-1e9, -1e9, 2, 1),
            rectangle(3, -5, 1e9, 2),
            rectangle(-9, 2, -1, 9),
            rectangle(9, 0, 12, 2),
            rectangle(0, 9, 4, 12),
        )
        assert rows(draw_mask(inside, (4, 3), antialias=antialias)) == [
            [255, 255, 0, 255],
            [0, 0, 0, 255],
            [0, 0, 0, 0],
        ]

    def test_nothing(self):
        for result in (
            SegmentResult(),
            SegmentResult("", None, "no path"),
            SegmentResult("", BBox(0, 0, 1, 1)),
            SegmentResult("M0 0", SQUARE.bbox),
        ):
            assert result.polygons((3, 2)) == ()
            assert rows(result.mask((3, 2))) == [[0, 0, 0]] * 2

    @pytest.mark.parametrize("tolerance", [0, -1, float("nan")])
    def test_a_tolerance_that_is_none(self, tolerance: float):
        with pytest.raises(ValueError, match=r"tolerance should be more than 0 pixels"):
            SQUARE.polygons((8, 4), tolerance=tolerance)

    def test_a_path_without_a_box(self):
        for draw in (SegmentResult("M0 0H1V1z").svg, SegmentResult("M0 0H1V1z").mask):
            with pytest.raises(ValueError, match="a path without a box"):
                draw((4, 4))

    @pytest.mark.parametrize("edge", [1e7, float("inf"), float("nan")])
    def test_a_box_that_is_nonsense(self, edge: float):
        with pytest.raises(ValueError, match="the box should be in or near the picture"):
            SegmentResult("M0 0H1V1z", BBox(0, 0, edge, 1)).mask((4, 4))

    def test_a_path_that_is_none(self):
        for draw in (BROKEN.polygons, BROKEN.svg, BROKEN.mask):
            with pytest.raises(PathError, match="at character 8"):
                draw((4, 4))
        with pytest.raises(PathError, match="it ends"):
            SegmentResult("M0 0H1V1L1", SQUARE.bbox).mask((4, 4))

    @pytest.mark.parametrize(
        "box", [BBox(0.5, 0.5, 0.5, 0.5), BBox(0.5, 0.5, 0.50001, 0.50001), BBox(0.2, 0, 0.2, 1)]
    )
    def test_a_box_without_a_size(self, box: BBox):
        assert SegmentResult("M0 0H1V1H0z", box).mask((100, 100)).getextrema() == (0, 0)


class TestBorder:
    def test_as_long_as_it_may_be(self):
        """In the picture, the border of each rectangle has 400 pixels."""
        inside = [rectangle(-5, -7, 105, 107)] * (MAX_BORDER // 400)
        rest = MAX_BORDER % 400 / 2
        whole = [*inside, rectangle(0, 0, 100, rest - 100)]
        assert draw_mask(whole, (100, 100), antialias=False).getextrema() == (255, 255)
        with pytest.raises(PathError, match="its border is longer than 275,000 pixels") as caught:
            draw_mask([*inside, rectangle(0, 0, 100, rest - 99.99)], (100, 100))
        assert caught.value.position is None

    def test_what_is_outside_the_picture_does_not_count(self):
        far = [
            rectangle(-1e9, -1e9, 1e9, 1e9),
            rectangle(-1e9, 2, -1e8, 3),
            rectangle(1e8, 2, 1e9, 3),
            rectangle(2, -1e9, 3, -1e8),
            rectangle(2, 1e8, 3, 1e9),
        ]
        assert draw_mask(far * 1000, (10, 10)).getextrema() == (255, 255)

    def test_a_path_of_too_many_commands(self):
        result = SegmentResult("M0 0" + "z" * MAX_COMMANDS, BBox(0, 0, 1, 1))
        for draw in (result.mask, result.polygons, result.svg):
            with pytest.raises(PathError, match="more than 10,000 commands"):
                draw((8, 8))


class TestSharedBorders:
    """Shapes that adjoin leave no seam: each pixel inside is 255."""

    @pytest.mark.parametrize("antialias", [True, False])
    @pytest.mark.parametrize(
        "path",
        [
            "M0 0H.55V1H0ZM.55 0H1V1H.55Z",
            "M0 0H.55V1H0ZM.55 0V1H1V0Z",  # in the other direction
            "M0 0H1V.55H0ZM0 .55H1V1H0Z",
            "M0 0H.333L.777 1H0ZM.333 0H1V1H.777Z",
            "M0 0H.4C.1 .3 .9 .6 .5 1H0ZM1 0V1H.5C.9 .6 .1 .3 .4 0Z",
            "M0 0H.301V1H0ZM.301 0H.349V1H.301ZM.349 0H1V1H.349Z",  # three in one pixel
        ],
    )
    @pytest.mark.parametrize("size", [(10, 10), (37, 23)])
    def test_no_seam(self, path: str, size: tuple[int, int], antialias: bool):
        mask = SegmentResult(path, BBox(0, 0, 1, 1)).mask(size, antialias=antialias)
        assert mask.getextrema() == (255, 255)

    def test_a_gap_stays(self):
        mask = draw_mask([rectangle(0, 0, 1.25, 1), rectangle(1.75, 0, 3, 1)], (3, 1))
        assert rows(mask) == [[255, 63 + 63, 255]]


points = st.tuples(st.floats(-3, 11), st.floats(-3, 9))


polygon_lists = st.lists(st.lists(points, min_size=3, max_size=7).map(tuple), max_size=4)


def winding(polygons: list[Polygon], x: float, y: float) -> int:
    """Count how often the polygons go around a point, by a ray to the left."""
    turns = 0
    for polygon in polygons:
        for (ax, ay), (bx, by) in zip(polygon, (*polygon[1:], polygon[0]), strict=True):
            if (ay <= y) != (by <= y) and ax + (y - ay) / (by - ay) * (bx - ax) <= x:
                turns += 1 if ay <= y else -1
    return turns


@settings(max_examples=50)
@given(polygon_lists)
def test_a_pixel_is_inside_if_its_middle_is(polygons: list[Polygon]):
    mask = rows(draw_mask(polygons, (8, 6), antialias=False))
    for y in range(6):
        for x in range(8):
            near = {
                winding(polygons, x + 0.5 + dx, y + 0.5 + dy) != 0
                for dx, dy in ((0, 0), (-1e-6, 0), (1e-6, 1e-6), (0, -1e-6))
            }
            assert len(near) == 2 or mask[y][x] == 255 * near.pop()


@settings(max_examples=50)
@given(polygon_lists)
def test_the_share_of_a_pixel_is_that_of_the_points_in_it(polygons: list[Polygon]):
    mask = rows(draw_mask(polygons, (8, 6)))
    rng = Random(0)
    for _ in range(6):
        x, y = rng.randrange(8), rng.randrange(6)
        inside = sum(
            winding(polygons, x + (i + 0.5) / 25, y + (j + 0.5) / 4) != 0
            for j in range(4)
            for i in range(25)
        )
        # Each of the four lines of a pixel has 25 points. At each border of a polygon, at most
        # 0.5 points of a line are counted wrongly.
        assert abs(mask[y][x] - 2.55 * inside) <= 2.55 * 14 * sum(map(len, polygons)) / 3


@settings(max_examples=100)
@given(polygon_lists, st.booleans())
def test_what_lies_further_out_changes_nothing(polygons: list[Polygon], antialias: bool):
    large = draw_mask(
        [tuple((x + 4, y + 4) for x, y in polygon) for polygon in polygons],
        (16, 16),
        antialias=antialias,
    ).crop((4, 4, 12, 10))
    assert (
        ImageChops.difference(draw_mask(polygons, (8, 6), antialias=antialias), large).histogram()[
            2:
        ]
        == [0] * 254
    )  # 1 of rounding


_far = st.integers(-40, 60).map(lambda value: value / 5)


_commands = st.tuples(
    st.sampled_from("LCQSTA"), st.lists(_far, min_size=6, max_size=6), st.booleans(), st.booleans()
)


@settings(max_examples=50)
@given(st.lists(_commands, min_size=1, max_size=6))
def test_curves_beyond_the_picture_fill_the_same_of_it(
    drawn: list[tuple[str, list[float], bool, bool]],
):
    """The number of chords is that of the whole path."""
    commands = [Command("M", (1.0, 1.0))]
    for letter, values, large, sweep in drawn:
        arguments = (
            (*values[:3], large, sweep, *values[4:])
            if letter == "A"
            else values[: {"C": 6, "S": 4, "Q": 4}.get(letter, 2)]
        )
        commands.append(Command(letter, tuple(map(float, arguments))))
    few, many = flatten(commands, size=(8, 6)), flatten(commands)
    assert sum(map(len, few)) <= sum(map(len, many))
    one, other = (draw_mask(polygons, (8, 6)) for polygons in (few, many))
    assert ImageChops.difference(one, other).histogram()[2:] == [0] * 254  # 1 of rounding


def test_a_path_far_outside_is_cheap_and_one_through_the_picture_is_refused():
    """The text has 18 kB, and its chords would have 1.5 million points."""
    curves = "q9e9 9e9 0 0" * 1500
    (polygon,) = SegmentResult("M2 2" + curves, BBox(0, 0, 1, 1)).polygons((640, 480))
    assert len(polygon) == 1501
    with pytest.raises(ValueError, match=f"it has more than {MAX_POINTS:,} points"):
        SegmentResult("M0-2" + curves, BBox(0, 0, 1, 1)).mask((640, 480))
