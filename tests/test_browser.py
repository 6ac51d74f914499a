"""Masks against an independent renderer:

Chromium, drawing the same paths in the position that docs/how-to/pictures.md gives in CSS.
"""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

import pytest
from msgspec.structs import replace
from PIL import Image, ImageChops, ImageFilter

from sansio_moondream import BBox, SegmentResult
from tests import chromium
from tests.chromium import SIZE, inside, overlap
from tests.shapes import random_path, random_segment

pytestmark = pytest.mark.slow

_rng = Random(6)
IN_CSS = [random_segment(_rng, SIZE) for _ in range(200)]
AS_SVG = [random_segment(_rng) for _ in range(20)]


def tiny(rng: Random) -> SegmentResult:
    """Draw in a box of at most six pixels, at any offset inside a pixel."""
    x, y = rng.random(), rng.random()
    return SegmentResult(
        random_path(rng), BBox(x, y, x + rng.uniform(0.3, 6) / SIZE, y + rng.uniform(0.3, 6) / SIZE)
    )


TINY = [tiny(_rng) for _ in range(20)]


@dataclass(frozen=True)
class Drawn:
    """Return the picture of mode L that Chromium drew for each result."""

    in_css: list[Image.Image]
    as_svg: list[Image.Image]
    tiny: list[Image.Image]


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Drawn:
    if chromium.PROGRAM is None:
        pytest.skip("needs Chromium: `make ci-tools`")
    elements = [chromium.in_css(result) for result in IN_CSS] + [
        result.svg((SIZE, SIZE)) for result in (*AS_SVG, *TINY)
    ]
    pictures = chromium.draw(elements, tmp_path_factory.mktemp("chromium"))
    return Drawn(
        pictures[: len(IN_CSS)], pictures[len(IN_CSS) : -len(TINY)], pictures[-len(TINY) :]
    )


@pytest.mark.parametrize("antialias", [True, False])
def test_masks_are_what_a_browser_draws_in_css(drawn: Drawn, antialias: bool):
    overlaps = [
        overlap(result.mask((SIZE, SIZE), antialias=antialias), seen)
        for result, seen in zip(IN_CSS, drawn.in_css, strict=True)
    ]
    assert len(overlaps) == 200
    assert min(overlaps) >= 0.99, f"shape {overlaps.index(min(overlaps))}"
    assert sum(overlaps) / len(overlaps) >= 0.998


def test_the_svg_document_is_the_same_shape(drawn: Drawn):
    for result, seen in zip(AS_SVG, drawn.as_svg, strict=True):
        assert overlap(result.mask((SIZE, SIZE)), seen) >= 0.99


def test_borders_are_as_smooth_as_a_browsers(drawn: Drawn):
    """The share of a pixel is that of the browser to less than a tenth on the average, and never
    0.5 pixels away.
    """
    for result, seen in zip(AS_SVG, drawn.as_svg, strict=True):
        difference = ImageChops.difference(result.mask((SIZE, SIZE)), seen)
        border = sum(seen.histogram()[1:255])
        assert (
            sum(value * count for value, count in enumerate(difference.histogram()))
            < 0.1 * 255 * border
        )
        assert not any(difference.histogram()[127:])


def test_tiny_boxes_are_right_to_the_pixel(drawn: Drawn):
    """Each pixel that one program draws is at most one pixel from those of the other."""
    some = 0
    for result, seen in zip(TINY, drawn.tiny, strict=True):
        ours, theirs = inside(result.mask((SIZE, SIZE)), 0.1), inside(seen, 0.1)
        some += ours.getbbox() is not None
        for one, other in ((ours, theirs), (theirs, ours)):
            assert (
                ImageChops.subtract(one, other.filter(ImageFilter.MaxFilter(3))).getbbox() is None
            )
    assert some > len(TINY) / 2


def test_the_documentations_sample_draws_it_elsewhere(drawn: Drawn):
    """Draw the path in the unit square of the picture, not of the box."""
    overlaps = [
        overlap(replace(result, bbox=BBox(0, 0, 1, 1)).mask((SIZE, SIZE)), seen)
        for result, seen in zip(IN_CSS, drawn.in_css, strict=True)
    ]
    assert max(overlaps) < 0.99
    assert sum(overlaps) / len(overlaps) < 0.5
