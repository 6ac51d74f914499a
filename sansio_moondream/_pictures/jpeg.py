"""Encode a Pillow image as a JPEG within limits of pixels and bytes.

1. `max_side` is applied first. The filter is Lanczos.
2. A JPEG of more than `max_bytes` is encoded again: in the qualities of `_LOWER`, and then smaller,
   always from the whole picture. Each size is computed from the bytes of the attempt before, and is
   at least a little smaller. There are at most `_MAX_SIZES` of them.
3. We measured which of two JPEGs with as many bytes is more like the picture: one of lower quality,
   or a smaller one. Down to quality 80 it is the one of lower quality; see docs/how-to/pictures.md.
"""

from __future__ import annotations

import io
from math import sqrt
from typing import TYPE_CHECKING

from .upright import upright

if TYPE_CHECKING:
    from PIL import Image

Size = tuple[int, int]

MAX_JPEG_SIDE = 65_500  # of libjpeg, which prints to stderr for a larger one
_LOWER = (90, 85, 80)
_MAX_SIZES = 8
_MARGIN = 0.98  # a smaller picture has more bytes for each pixel
_MIB = 1024 * 1024


def to_jpeg(
    image: Image.Image, quality: int, max_side: int | None, max_bytes: int, refit: bool = False
) -> tuple[bytes, str | None]:
    """Encode a picture as a JPEG: upright, on white where it is transparent.

    Args:
        image: is copied.
        quality: of the JPEG, if it fits.
        max_side: limit of the longer side in pixels, or None.
        max_bytes: limit of the JPEG, at least 1.
        refit: the picture is of a file above `max_bytes`. The note says so, unless `max_side`
            explains it.

    Returns:
        The JPEG, and a note for people: what was done to make it fit, or None.

    Raises:
        ValueError: the picture is broken, or it cannot be made to fit.
    """
    picture = upright(image)
    size = wanted = picture.size
    if not all(size):
        raise ValueError(f"the picture has no pixels: it has a size of {size[0]} x {size[1]}")
    if max_side is not None and max(size) > max_side:
        wanted, refit = _scaled(size, max_side), False
    if max(wanted) > MAX_JPEG_SIDE:
        raise ValueError(
            f"the picture has {wanted[0]} x {wanted[1]} pixels, and a JPEG has at most "
            f"{MAX_JPEG_SIDE:,} a side: give max_side"
        )
    picture.info.clear()  # else Pillow writes the comment, and refuses a long one
    picture = _resized(_on_white(picture), wanted)
    data = _encoded(picture, quality)
    for lower in _LOWER:
        if len(data) > max_bytes and lower < quality:
            data, quality, refit = _encoded(picture, lower), lower, True
    steps = 0
    while len(data) > max_bytes:
        longest = int(max(wanted) * _MARGIN * sqrt(max_bytes / len(data)))
        steps += 1
        if steps > _MAX_SIZES:
            raise ValueError(
                f"the picture cannot be made to fit into {max_bytes:,} bytes: of {wanted[0]} x "
                f"{wanted[1]} pixels, as a JPEG of quality {quality}, it has {len(data):,}"
            )
        wanted, refit = _scaled(size, longest), True
        data = _encoded(_resized(picture, wanted), quality)
    return data, _note(size, wanted, quality, max_bytes if refit else None)


def _note(size: Size, sent: Size, quality: int, max_bytes: int | None) -> str | None:
    """Say what was done. `max_bytes` is None if it was not the reason."""
    smaller = f"made smaller from {size[0]} x {size[1]} to {sent[0]} x {sent[1]}"
    if max_bytes is None:
        return smaller if sent != size else None
    limit = f"{max_bytes:,} bytes" if max_bytes % _MIB else f"{max_bytes // _MIB} MB"
    done = smaller if sent != size else "encoded again"
    return f"{done}, JPEG quality {quality}, to fit into {limit}"


def _scaled(size: Size, longest: int) -> Size:
    """Return the size in the same ratio whose longer side is `longest`."""
    width, height = (max(1, round(side * longest / max(size))) for side in size)
    return width, height


def _on_white(picture: Image.Image) -> Image.Image:
    from PIL import Image

    if picture.mode != "RGBA":
        return picture
    white = Image.new("RGB", picture.size, "white")
    white.paste(picture, mask=picture)
    return white


def _resized(picture: Image.Image, size: Size) -> Image.Image:
    from PIL.Image import Resampling

    if size == picture.size:
        return picture
    return picture.resize(size, Resampling.LANCZOS)  # pyright: ignore[reportUnknownMemberType]


def _encoded(picture: Image.Image, quality: int) -> bytes:
    out = io.BytesIO()
    picture.save(out, "JPEG", quality=quality)
    return out.getvalue()
