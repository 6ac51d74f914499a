"""A picture in each form in which it can be sent, as a Pillow image.

Whoever draws a result has the picture in the form in which it was sent.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol, TypeAlias, cast

from .data_url import NO_FILES, from_data_url
from .opening import open_image

if TYPE_CHECKING:
    from PIL import Image


class _Encoded(Protocol):
    """An `EncodedImage`."""

    @property
    def data(self) -> bytes: ...


Picture: TypeAlias = "Image.Image | bytes | bytearray | memoryview | str | _Encoded"
"""What `encode_image` takes: a Pillow image, bytes of a picture, a data URL, or an EncodedImage."""


def to_image(picture: Picture) -> Image.Image:
    """Return a Pillow image as it is, and open any other form of a picture.

    Raises:
        ValueError: as `open_image`, or the text is not a data URL.
        TypeError: `picture` is of another type.
    """
    if hasattr(picture, "getexif") and hasattr(picture, "convert"):
        return cast("Image.Image", picture)
    data: Any = getattr(picture, "data", picture)
    if isinstance(data, str):
        data = from_data_url(data)
    if not isinstance(data, bytes | bytearray) and not isinstance(picture, memoryview):
        raise TypeError(
            "a picture should be a Pillow image, bytes, a data URL or an EncodedImage, not "
            f"{type(picture).__name__}{NO_FILES}"
        )
    return open_image(bytes(data))
