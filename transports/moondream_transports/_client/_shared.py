"""The arguments of both clients: their types, and a check."""

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


def require(name: str, value: object, kind: type) -> None:
    """Raise TypeError for an argument of another type. None is the default."""
    if value is not None and not isinstance(value, kind):
        raise TypeError(f"{name} should be {kind.__name__}(...), not {type(value).__name__}")
