"""Outlines traced from pixels fill the same pixels, by either rule."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from sansio_moondream._pictures.fill import fill
from sansio_moondream._pictures.trace import Outline, trace


def rows(text: str) -> tuple[bytes, int]:
    """Read a mask from words of 0 and 1."""
    words = text.split()
    return bytes(int(character) for character in "".join(words)), len(words[0])


def test_a_pixel():
    assert trace(*rows("000 010 000")) == ([[(1, 1), (2, 1), (2, 2), (1, 2)]], [])


def test_nothing_and_everything():
    assert trace(bytes(6), 3) == ([], [])
    assert trace(bytes([1] * 6), 3) == ([[(0, 0), (3, 0), (3, 2), (0, 2)]], [])


def test_a_hole_runs_the_other_way():
    outlines, holes = trace(*rows("111 101 111"))
    assert outlines == [[(0, 0), (3, 0), (3, 3), (0, 3)]]
    assert holes == [[(2, 1), (1, 1), (1, 2), (2, 2)]]


def test_pixels_that_touch_at_a_corner_are_apart():
    for text in ("10 01", "01 10"):
        outlines, holes = trace(*rows(text))
        assert sorted(map(len, outlines)) == [4, 4]
        assert holes == []


def test_holes_that_touch_at_a_corner_are_one():
    """Their corner is where two pixels of the inside touch, and these are apart."""
    outlines, holes = trace(*rows("1111 1011 1101 1111"))
    assert (len(outlines), list(map(len, holes))) == (1, [8])


def test_an_island_in_a_hole():
    outlines, holes = trace(*rows("11111 10001 10101 10001 11111"))
    assert (len(outlines), len(holes)) == (2, 1)


@st.composite
def masks(draw: st.DrawFn) -> tuple[bytes, int]:
    width, height = draw(st.integers(1, 7)), draw(st.integers(1, 7))
    pixels = draw(
        st.lists(st.sampled_from([0, 1]), min_size=width * height, max_size=width * height)
    )
    return bytes(pixels), width


def crossings(outlines: list[Outline], x: float, y: float) -> int:
    """Count the sides to the left of a point."""
    return sum(
        (ay <= y) != (by <= y) and ax < x
        for outline in outlines
        for (ax, ay), (_, by) in zip(outline, (*outline[1:], outline[0]), strict=True)
    )


@settings(max_examples=50)
@given(masks())
def test_they_fill_the_same_pixels(mask: tuple[bytes, int]):
    pixels, width = mask
    height = len(pixels) // width
    outlines, holes = trace(pixels, width)
    traced = outlines + holes
    assert fill(map(tuple, traced), (width, height)) == pixels  # nonzero
    even_odd = [
        crossings(traced, x + 0.5, y + 0.5) % 2 for y in range(height) for x in range(width)
    ]
    assert bytes(even_odd) == pixels


@settings(max_examples=50)
@given(masks())
def test_corners_only_and_the_inside_on_the_right(mask: tuple[bytes, int]):
    pixels, width = mask
    outlines, holes = trace(pixels, width)
    for outline in outlines + holes:
        sides = zip(outline, (*outline[1:], outline[0]), strict=True)
        assert [ay == by for (_, ay), (_, by) in sides] == [True, False] * (len(outline) // 2)
    doubled = [
        sum(ax * by - bx * ay for (ax, ay), (bx, by) in zip(o, (*o[1:], o[0]), strict=True))
        for o in outlines + holes
    ]
    assert [area > 0 for area in doubled] == [True] * len(outlines) + [False] * len(holes)
    assert sum(doubled) == 2 * sum(pixels)


def test_a_picture_with_many_corners():
    """A chessboard has the longest border of all."""
    pixels = b"".join(bytes([0, 1] * 50 if y % 2 else [1, 0] * 50) for y in range(100))
    outlines, holes = trace(pixels, 100)
    assert (len(outlines), holes) == (5000, [])
