"""Polygons of paths: chords of curves are close enough to the curve."""

from __future__ import annotations

import math
import pickle
from itertools import pairwise
from typing import Any

import pytest

from sansio_moondream.paths import MAX_POINTS, Command, PathError, Polygon, flatten, parse_path


class TestPolygons:
    @pytest.mark.parametrize(
        ("text", "expected"),
        [
            ("", []),
            ("M0 0", []),
            ("M0 0L1 1z", []),  # encloses nothing
            ("M0 0L1 0 1 1", [[(0, 0), (1, 0), (1, 1)]]),
            ("M0 0L1 0 1 1z", [[(0, 0), (1, 0), (1, 1)]]),
            ("M0 0H1V1h-1v-1", [[(0, 0), (1, 0), (1, 1), (0, 1), (0, 0)]]),
            (
                "m1 1h1v1zh2v2zm2 3h1v1z",
                [[(1, 1), (2, 1), (2, 2)], [(1, 1), (3, 1), (3, 3)], [(3, 4), (4, 4), (4, 5)]],
            ),
            ("M9 9M0 0m1 0 1 0 0 1", [[(1, 0), (2, 0), (2, 1)]]),
            (
                "M0 0L1 0A0 1 0 0 0 1 1A1 0 0 0 0 0 0",
                [[(0, 0), (1, 0), (1, 1), (0, 0)]],
            ),  # arcs without a radius are lines
            (
                "M0 0L1 0L1 1A2 2 0 1 1 1 1",
                [[(0, 0), (1, 0), (1, 1), (1, 1)]],
            ),  # and so are those that go nowhere
        ],
    )
    def test_lines(self, text: str, expected: list[Any]):
        assert [list(polygon) for polygon in flatten(parse_path(text))] == expected

    def test_place(self):
        assert flatten(parse_path("M0 0H1V1z"), scale=(4, 3), offset=(10, 20)) == (
            ((10, 20), (14, 20), (14, 23)),
        )

    @pytest.mark.parametrize(
        ("text", "same"),
        [
            ("M0 0C0 1 1 1 1 0S2-1 2 0", "M0 0C0 1 1 1 1 0C1-1 2-1 2 0"),
            ("M0 0C0 1 1 1 1 0s1-1 1 0", "M0 0C0 1 1 1 1 0C1-1 2-1 2 0"),
            ("M0 0C0 1 1 3 2 3S4 1 4 0", "M0 0C0 1 1 3 2 3C3 3 4 1 4 0"),
            ("M0 0S2-1 2 0", "M0 0C0 0 2-1 2 0"),
            (
                "M0 0Q1 1 2 1S3 1 3 0",
                "M0 0Q1 1 2 1C2 1 3 1 3 0",
            ),  # the last curve was of the other kind
            ("M0 0Q1 1 2 0T4 0 6 0", "M0 0Q1 1 2 0Q3-1 4 0Q5 1 6 0"),
            ("M0 0q1 1 2 0t2 0 2 0", "M0 0Q1 1 2 0Q3-1 4 0Q5 1 6 0"),
            ("M0 0C0 1 1 1 1 0T2 1L2 0", "M0 0C0 1 1 1 1 0L2 1L2 0"),
            ("M0 0Q1 1 2 0L2 0T3 3L0 3", "M0 0Q1 1 2 0L2 0L3 3L0 3"),
            ("M0 0Q3 0 3 3L0 3", "M0 0C2 0 3 1 3 3L0 3"),
            ("M0 0A1 1 0 0 1 2 0", "M0 0A.5.5 0 0 1 2 0"),  # too small a radius is made to reach
            ("M0 0A2 1 90 0 1 2 2L0 2", "M0 0A1 2 0 0 1 2 2L0 2"),
            ("M0 0A-2 1 0 0 1 2 1L0 2", "M0 0A2-1 180 0 1 2 1L0 2"),
        ],
    )
    def test_curves(self, text: str, same: str):
        (one,), (other,) = (
            flatten(parse_path(text), tolerance=0.01),
            flatten(parse_path(same), tolerance=0.01),
        )

        def hull(polygon: Polygon) -> list[float]:
            return [edge(values) for values in zip(*polygon, strict=True) for edge in (min, max)]

        assert hull(one) == pytest.approx(hull(other), abs=0.02)
        assert area(one) == pytest.approx(area(other), abs=0.03)
        assert math.dist(one[-1], other[-1]) < 1e-9

    @pytest.mark.parametrize(
        ("large", "sweep", "share"), [(0, 1, 0.25), (1, 1, 0.75), (0, 0, 0.25), (1, 0, 0.75)]
    )
    @pytest.mark.parametrize("tilt", [0, 30, -135])
    def test_the_four_arcs_between_two_points(
        self, large: int, sweep: int, share: float, tilt: float
    ):
        (polygon,) = flatten(parse_path(f"M1 0A1 1 {tilt} {large} {sweep} 0 1"), tolerance=1e-5)
        around = (0, 0) if (large == 0) == (sweep == 1) else (1, 1)
        assert all(abs(math.dist(point, around) - 1) < 1e-9 for point in polygon)
        sector = share * math.pi - 0.5 if large == 0 else share * math.pi + 0.5
        assert area(polygon) == pytest.approx(sector if sweep else -sector, abs=1e-3)

    @pytest.mark.parametrize("text", ["M0 0C0 1 1 1 1 0", "M0 0Q.5 1 1 0", "M0 0A.6.3 20 1 1 1 0"])
    @pytest.mark.parametrize("scale", [(1, 1), (640, 480), (10, 4000)])
    @pytest.mark.parametrize("tolerance", [0.1, 0.01])
    def test_chords_are_within_the_tolerance(
        self, text: str, scale: tuple[float, float], tolerance: float
    ):
        commands = parse_path(text)
        (coarse,), (fine,) = (
            flatten(commands, scale=scale, tolerance=within)
            for within in (tolerance, tolerance / 9)
        )
        assert len(coarse) < len(fine)
        for point in fine[::7]:
            nearest = min(_distance(point, a, b) for a, b in pairwise(coarse))
            assert nearest <= tolerance * 1.01

    @pytest.mark.parametrize(
        "text",
        [
            "M0 0C3e38 3e38-3e38 3e38 1 0",
            "M0 0A1e-29 3e38 7 1 1 3e38 1",
            "M0 0A3e38 3e38 7 1 1 1e-38 1L1 1",
            "M3e38 0" + "l3e38 0" * 100,
        ],
    )
    def test_absurd_numbers_end(self, text: str):
        for scale in ((1, 1), (1e300, 1e-300)):
            assert sum(map(len, flatten(parse_path(text), scale=scale))) < 2000

    @pytest.mark.parametrize(
        ("text", "is_beyond"),
        [
            ("M0 0C-1-1-9 9 0 9", True),  # left of the picture
            ("M5 0q9 0 9 3", True),  # right of it
            ("M0 0C-5-5 9-4 9 0", True),  # above
            ("M-1 3q3 9 6 0", True),  # below
            ("M-3 0a2 1 0 0 0 0 2", True),
            ("M7 0a2 1 0 0 1 0 2", True),
            ("M1-2a1 1 0 0 0 2 0", True),
            ("M1 5a1 1 0 1 1 2 0", True),
            ("M0 0C9-1-9 9 0 9", False),  # through it
            ("M-1-1Q-1 9 9 9", False),  # around it: beyond two edges, but wholly beyond neither
            ("M-3 0a5 1 0 0 1 0 2", False),
        ],
    )
    @pytest.mark.parametrize(
        ("scale", "offset"), [((1, 1), (0, 0)), ((2, 3), (0, 0)), ((-1, -1), (4, 3))]
    )
    def test_what_is_beyond_the_picture_is_a_chord(
        self, text: str, is_beyond: bool, scale: tuple[int, int], offset: tuple[int, int]
    ):
        """The picture has 4 x 3 pixels, is larger, or is mirrored."""
        size = (4 * abs(scale[0]), 3 * abs(scale[1]))
        (whole,) = flatten(parse_path(text + "l1 1"), scale=scale, offset=offset)
        assert len(whole) > 5
        expected = (whole[0], *whole[-2:]) if is_beyond else whole
        assert flatten(parse_path(text + "l1 1"), scale=scale, offset=offset, size=size) == (
            expected,
        )


def lines(count: int) -> list[Command]:
    """Commands of a path without its M, with so many points after the first."""
    return [Command("L", (float(i), 0.0)) for i in range(count)]


class TestPoints:
    @pytest.mark.parametrize("first", [Command("Z"), Command("M", (0.0, 0.0))])
    def test_without_an_m_it_begins_at_the_origin(self, first: Command):
        after = [Command("L", (1.0, 0.0)), Command("L", (1.0, 1.0))]
        assert flatten([first, *after]) == flatten(after) == (((0, 0), (1, 0), (1, 1)),)

    def test_as_many_as_there_may_be(self):
        (polygon,) = flatten(lines(MAX_POINTS - 1))
        assert len(polygon) == MAX_POINTS
        with pytest.raises(PathError, match="^the path is not drawn: it has more than 100,000 "):
            flatten(lines(MAX_POINTS))

    def test_the_first_of_each_polygon_counts(self):
        pairs = [Command("M", (0.0, 0.0)), Command("H", (1.0,))] * (MAX_POINTS // 2)
        assert flatten(pairs) == ()
        with pytest.raises(PathError, match="100,000 points") as caught:
            flatten([*pairs, Command("M", (0.0, 0.0)), Command("H", (1.0,))])
        assert caught.value.position is None
        again = pickle.loads(pickle.dumps(caught.value))
        assert (str(again), again.position) == (str(caught.value), None)

    @pytest.mark.parametrize(
        ("text", "scale"),
        [
            ("M0 0C0 0 0 0 1 0", (800, 1)),  # bent at its end, in x
            ("M0 0C0 0 0 0 0 1", (1, 800)),  # in y
            ("M1 0C0 0 0 0 0 0", (800, 1)),  # at its beginning
            ("M0 1C0 0 0 0 0 0", (1, 800)),
            ("M0 0C0 0 .5 0 0 0", (800, 1)),  # in its middle, by half
        ],
    )
    def test_chords_of_a_curve(self, text: str, scale: tuple[int, int]):
        """The second derivative is at most 6 * 800 long: sqrt(4800 / 0.1 / 8) is 77.5."""
        (polygon,) = flatten(parse_path(text), scale=scale)
        assert len(polygon) == 1 + 78

    @pytest.mark.parametrize("text", ["M0 0C1 0 2 0 3 0L0 1", "M0 0C0 1 0 2 0 3L1 0"])
    def test_a_straight_curve_is_one_chord(self, text: str):
        (polygon,) = flatten(parse_path(text), scale=(800, 800))
        assert len(polygon) == 3

    @pytest.mark.parametrize(
        ("text", "scale"),
        [
            ("M0 0A1 .01 0 0 1 2 0", (800, 1)),  # the first radius, along x
            ("M0 0A1 .01 90 0 1 0 2", (1, 800)),  # along y
            ("M0 0A.01 1 0 0 1 0 2", (1, 800)),  # the second radius
            ("M0 0A.01 1 90 0 1 2 0", (800, 1)),
        ],
    )
    def test_chords_of_an_arc(self, text: str, scale: tuple[int, int]):
        """Half a turn, with a radius of 800 pixels: sqrt(pi * pi * 800 / 0.1 / 8) is 99.3."""
        (polygon,) = flatten(parse_path(text), scale=scale)
        assert len(polygon) == 1 + 100

    def test_a_curve_has_at_most_a_thousand_chords(self):
        (polygon,) = flatten(parse_path("M0 0C0 0 0 1 1 0"), scale=(1e9, 1e9))
        assert len(polygon) == 1 + 1000


def area(polygon: Polygon) -> float:
    """Return the signed area. It is positive for clockwise polygons, as y points down."""
    return (
        sum(
            ax * by - bx * ay
            for (ax, ay), (bx, by) in zip(polygon, (*polygon[1:], polygon[0]), strict=True)
        )
        / 2
    )


def _distance(point: tuple[float, float], a: tuple[float, float], b: tuple[float, float]) -> float:
    """Return the distance between a point and a line segment."""
    length = math.dist(a, b) ** 2
    share = (
        ((point[0] - a[0]) * (b[0] - a[0]) + (point[1] - a[1]) * (b[1] - a[1])) / length
        if length
        else 0
    )
    share = min(max(share, 0), 1)
    return math.dist(point, (a[0] + share * (b[0] - a[0]), a[1] + share * (b[1] - a[1])))
