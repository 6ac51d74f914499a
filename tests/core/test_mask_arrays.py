"""Masks as arrays, and areas: the same pixels as those of the Pillow image."""

from __future__ import annotations

import sys
from random import Random

import numpy as np
import pytest

from sansio_moondream import BBox, SegmentResult
from sansio_moondream.paths import MAX_BORDER, PathError
from tests.core.pictures import BROKEN, SQUARE
from tests.shapes import random_segment

HOLE = "M0 0H1V1H0zM.25 .25V.75H.75V.25z"
TWO = "M0 0H.5V1H0zM.25 0H1V1H.25z"  # they overlap
PICTURE = BBox(0, 0, 1, 1)


class TestMaskArray:
    def test_true_inside(self):
        array = SQUARE.mask_array((8, 4))
        assert array.dtype == np.bool_
        assert array.shape == (4, 8)
        assert array.astype(int).tolist() == [[0] * 8] * 2 + [[0, 0, 1, 1, 1, 1, 0, 0]] * 2

    @pytest.mark.parametrize("seed", range(10))
    def test_the_pixels_of_the_hard_mask(self, seed: int):
        rng = Random(seed)
        result, size = random_segment(rng), (rng.randint(1, 200), rng.randint(1, 200))
        expected = np.asarray(result.mask(size, antialias=False)) > 0
        assert np.array_equal(result.mask_array(size), expected)

    def test_it_is_writable_and_each_is_its_own(self):
        array = SQUARE.mask_array((8, 4))
        array[:] = True
        assert array.flags.c_contiguous
        assert not SQUARE.mask_array((8, 4)).all()

    def test_bytes_are_0_and_1(self):
        assert SQUARE.mask_array((8, 4)).view("uint8").sum() == 8

    @pytest.mark.parametrize(
        "box", [BBox(1.5, 0, 2, 1), BBox(-2, 0, -1, 1), BBox(0, 2, 1, 3), BBox(0, -2, 1, -1)]
    )
    def test_beyond_the_picture(self, box: BBox):
        result = SegmentResult("M0 0H1V1H0z", box)
        assert not result.mask_array((8, 4)).any()
        assert result.area((8, 4)) == 0

    @pytest.mark.parametrize("box", [BBox(-1, -2, 0.25, 0.5), BBox(0.75, 0.5, 2, 3)])
    def test_cut_off_at_the_edges(self, box: BBox):
        left, top, right, bottom = box.to_pixels((8, 4))
        expected = np.zeros((4, 8), np.bool_)
        expected[top:bottom, left:right] = True
        result = SegmentResult("M0 0H1V1H0z", box)
        assert np.array_equal(result.mask_array((8, 4)), expected)
        assert result.area((8, 4)) == expected.sum() == 4

    def test_in_a_tall_picture(self):
        """It is filled in strips, and the last one ends below the picture."""
        result = SegmentResult("M0 0H1V1H0z", BBox(0.5, 0.3, 1, 1))
        assert result.mask_array((2, 100)).tolist() == [[False] * 2] * 30 + [[False, True]] * 70

    def test_nothing(self):
        for result in (SegmentResult(), SegmentResult("", None, "no path")):
            assert result.mask_array((3, 2)).tolist() == [[False] * 3] * 2
            assert result.area((3, 2)) == 0

    def test_a_path_that_is_none(self):
        for measure in (BROKEN.mask_array, BROKEN.area):
            with pytest.raises(PathError, match="at character 8"):
                measure((4, 4))

    def test_a_border_that_is_too_long(self):
        comb = SegmentResult("M0 0" + "H1H0" * 1000, PICTURE)
        for measure in (comb.mask_array, comb.area):
            with pytest.raises(PathError, match=f"longer than {MAX_BORDER:,} pixels"):
                measure((1000, 10))

    def test_without_numpy_it_says_what_to_install(self, monkeypatch: pytest.MonkeyPatch):
        monkeypatch.setitem(sys.modules, "numpy", None)
        assert SQUARE.area((8, 4)) == 8
        with pytest.raises(
            ModuleNotFoundError,
            match=r"this needs numpy, which is not installed: pip .*sansio-moondream\[numpy\]'",
        ) as caught:
            SQUARE.mask_array((8, 4))
        assert caught.value.name == "numpy"


class TestArea:
    @pytest.mark.parametrize(
        ("path", "box", "area"),
        [
            ("M0 0H1V1H0z", PICTURE, 800),
            ("M0 0H1V1H0z", BBox(0.25, 0.5, 0.75, 1), 200),
            ("M0 0H1V1H0z", BBox(0.5, 0.5, 1.5, 1.5), 200),  # cut off at the edges
            ("M0 0H1V1H0z", BBox(-1, -1, 2, 2), 800),
            ("M0 0H1V1H0z", BBox(0.0125, 0, 0.0375, 1), 20),  # half pixels
            ("M0 0H1V1z", PICTURE, 400),
            (HOLE, PICTURE, 600),
            (TWO, PICTURE, 800),  # what overlaps counts once
            (TWO.replace("H1V1H.25z", "V1H1V0z"), PICTURE, 600),  # the other way: a hole
        ],
    )
    def test_of_a_shape(self, path: str, box: BBox, area: float):
        assert SegmentResult(path, box).area((40, 20)) == pytest.approx(area)

    def test_of_a_disc(self):
        disc = SegmentResult("M0 .5a.5 .5 0 1 1 1 0a.5 .5 0 1 1-1 0z", PICTURE)
        assert disc.area((400, 200)) == pytest.approx(3.14159265 * 200 * 100, rel=1e-3)

    @pytest.mark.parametrize("seed", range(20))
    def test_it_is_the_sum_of_the_mask(self, seed: int):
        """To less than 0.01 for each pixel on the border."""
        rng = Random(seed)
        result, size = random_segment(rng), (rng.randint(1, 300), rng.randint(1, 300))
        mask = np.asarray(result.mask(size)).astype(float)
        border = np.count_nonzero((mask > 0) & (mask < 255))
        assert abs(result.area(size) - mask.sum() / 255) <= 0.01 * border
