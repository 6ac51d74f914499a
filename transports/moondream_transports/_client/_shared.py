"""Types of the arguments of both clients."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from typing import TYPE_CHECKING, TypeAlias

from sansio_moondream import BBox, EncodedImage, Point

if TYPE_CHECKING:
    from PIL import Image

Picture: TypeAlias = "Image.Image | bytes | bytearray | memoryview | str | EncodedImage"
SpatialRefs: TypeAlias = Iterable[Point | BBox | Iterable[float]]
Sleep: TypeAlias = Callable[[float], object]
AsyncSleep: TypeAlias = Callable[[float], Awaitable[object]]
