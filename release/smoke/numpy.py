"""Masks as arrays, and none of Pillow: it is not installed."""

import numpy as np

from sansio_moondream import BBox, SegmentResult

left = SegmentResult("M0 0H1V1H0z", BBox(0, 0, 0.5, 1))
mask = left.mask_array((8, 4))
assert mask.dtype == np.bool_
assert mask.astype(int).tolist() == [[1, 1, 1, 1, 0, 0, 0, 0]] * 4
