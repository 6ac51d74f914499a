"""Pictures for requests, from files too. The core reads no files."""

from __future__ import annotations

import os
from pathlib import Path
from typing import IO, TYPE_CHECKING, TypeAlias, cast

from sansio_moondream import EncodedImage, encode_image
from sansio_moondream._pictures.formats import image_info
from sansio_moondream._repr import short_repr
from sansio_moondream.images import open_image

from ._concurrency import async_in_thread

if TYPE_CHECKING:
    from PIL import Image

PicturePath: TypeAlias = os.PathLike[str]
Picture: TypeAlias = (
    "PicturePath | Image.Image | bytes | bytearray | memoryview | str | EncodedImage"
)

UNREAD = EncodedImage("data:image/gif;base64,R0lGODlh")
"""Stands for a picture that is not read yet, so that the rest of its request can be checked."""


def read_image(
    file: str | PicturePath | IO[bytes], *, quality: int = 95, max_side: int | None = None
) -> EncodedImage:
    """Read a picture from a file, and encode it for requests.

    Args:
        file: a path, or a file that is open in binary mode. The bytes of a JPEG, PNG, WebP or GIF
            are sent as `encode_image` sends them. With Pillow (extra `images`) the other formats of
            `sansio_moondream.images.FORMATS` become a JPEG.
        quality, max_side: see `encode_image`.

    Raises:
        OSError: the file cannot be read.
        TypeError: it is neither a path nor open in binary mode.
        ValueError: it is no picture, or not within the limits. The message names the file.
        ModuleNotFoundError: a picture above `max_side` needs Pillow, which is not installed.
    """
    if isinstance(file, str | os.PathLike):
        data, name = Path(file).read_bytes(), str(file)
    else:
        data, name = _bytes_of(file), str(getattr(file, "name", "the file"))
    try:
        return _encode(data, quality, max_side)
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from error


def _bytes_of(file: object) -> bytes:
    read = getattr(file, "read", None)
    data: object = None if read is None else read()
    if not isinstance(data, bytes):
        kind = type(file).__name__
        raise TypeError(f"a picture's file should be a path, or open in binary mode, not a {kind}")
    return data


def _encode(data: bytes, quality: int, max_side: int | None) -> EncodedImage:
    if image_info(data[:16])[0] is not None:
        return encode_image(data, quality=quality, max_side=max_side)
    try:
        image = open_image(data)
    except ModuleNotFoundError as error:
        raise ValueError(f"it is no JPEG, PNG, WebP or GIF. To convert it: {error}") from error
    return encode_image(image, quality=quality, max_side=max_side)


def encoded(image: Picture) -> EncodedImage:
    """Encode a picture as a client takes it. Raises the errors of `read_image` and `encode_image`.

    A text is a data URL: whether it is a path cannot be known for certain.
    """
    if isinstance(image, os.PathLike):
        return read_image(image)
    if isinstance(image, str) and not image.startswith("data:"):
        raise ValueError(
            "a picture given as text should be a base64 data URL (data:image/...;base64,...), not "
            f"{image[:40]!r}. For a file, pass its path: Path({image[:40]!r})"
        )
    return encode_image(image)


async def async_encoded(image: Picture) -> EncodedImage:
    """Do the same. A file is read and encoded in a thread, so that other tasks go on."""
    if isinstance(image, os.PathLike):
        return await async_in_thread(read_image, image)
    return encoded(image)


def shown(picture: object) -> str:
    """Return what a repr shows of a picture: only the size of bytes and of a data URL."""
    if isinstance(picture, bytes | bytearray | memoryview):
        return f"<{memoryview(cast(bytes, picture)).nbytes:,} bytes>"
    if isinstance(picture, str) and picture.startswith("data:"):
        return f"<{len(picture):,} characters>"
    return short_repr(picture, 200)
