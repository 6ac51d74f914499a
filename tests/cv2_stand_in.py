"""What docs/how-to/latest.md uses of OpenCV, which is too large to be there always: a camera with
a few frames, and a window that nobody sees.
"""

from __future__ import annotations

import io
import time
from typing import Any, ClassVar

import numpy as np
from PIL import Image, ImageDraw

windows: dict[str, Any] = {}


class VideoCapture:
    """Give ten frames, 30 a second."""

    opened: ClassVar[set[VideoCapture]] = set()

    def __init__(self, index: int) -> None:
        self.left = 10
        self.opened.add(self)

    def read(self) -> tuple[bool, Any]:
        if not self.left:
            return False, None
        self.left -= 1
        time.sleep(1 / 30)
        return True, np.full((48, 64, 3), self.left, np.uint8)

    def release(self) -> None:
        self.opened.remove(self)


def imencode(kind: str, frame: Any) -> tuple[bool, Any]:
    assert kind == ".jpg"
    buffer = io.BytesIO()
    Image.fromarray(frame[..., ::-1]).save(buffer, "JPEG")
    return True, np.frombuffer(buffer.getvalue(), np.uint8)


def polylines(frame: Any, outlines: Any, closed: bool, color: Any, thickness: int) -> Any:
    picture = Image.fromarray(frame)
    for outline in outlines:
        assert outline.dtype == np.int32
        assert outline.shape[1:] == (2,)
        points = [*map(tuple, outline.tolist())]
        ImageDraw.Draw(picture).line([*points, points[0]], fill=color, width=thickness)
    drawn = np.asarray(picture)
    assert not outlines or (drawn == color).all(axis=2).any(), "nothing was drawn"
    return drawn


def imshow(window: str, frame: Any) -> None:
    windows[window] = frame


def waitKey(milliseconds: int) -> int:  # noqa: N802 - OpenCV names it so
    return -1


def destroyAllWindows() -> None:  # noqa: N802
    assert windows
    assert not VideoCapture.opened
    windows.clear()
