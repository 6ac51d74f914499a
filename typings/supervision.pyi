# What `sansio_moondream.exports` uses of the library. The type checkers read this instead of it, as
# it is too large to be installed with what `make test` needs.

from typing import Any

import numpy as np
from numpy.typing import NDArray

class Detections:
    def __init__(
        self,
        xyxy: NDArray[np.number],
        mask: NDArray[np.bool_] | None = None,
        *,
        class_id: NDArray[np.integer] | None = None,
        data: dict[str, Any] = ...,
    ) -> None: ...
    def __len__(self) -> int: ...

class KeyPoints:
    def __init__(
        self,
        xy: NDArray[np.float32],
        class_id: NDArray[np.integer] | None = None,
        *,
        data: dict[str, Any] = ...,
    ) -> None: ...
    def __len__(self) -> int: ...
