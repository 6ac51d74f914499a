"""Masks as arrays of numpy (extra `numpy`)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sansio_moondream._geometry import check_size

from .opening import require

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


def to_array(mask: bytearray, size: tuple[int, int]) -> NDArray[np.bool_]:
    """Make an array of shape (height, width) of a mask of `fill`, which it shares its memory with.

    Raises:
        ModuleNotFoundError: numpy is not installed.
    """
    require("numpy", "numpy", extra="numpy")
    import numpy as np

    width, height = check_size(size)
    return np.frombuffer(mask, np.bool_).reshape(height, width)
