"""Open pictures with Pillow: by a list of formats, and up to a limit of memory.

1. Pillow has decoders for some forty formats. One of them starts another program (PostScript), and
   many are hardly used or tested. We open and decode only `FORMATS`.
2. A file of a few kilobytes may have as many pixels as its header says. We compute the memory that
   they take before a decoder runs.
3. For a broken file, Pillow raises errors of many classes. `map_pillow_errors` makes each of them a
   ValueError.
4. In a broken file, Pillow looks for the next marker or block byte by byte: half a minute for one
   of 10 MB. We count its reads while it opens a file.
"""

from __future__ import annotations

import io
from collections.abc import Generator
from contextlib import contextmanager
from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from PIL import Image

FORMATS = ("JPEG", "MPO", "PNG", "GIF", "WEBP", "BMP", "TIFF", "PPM", "AVIF")
"""Pillow's names of the formats that are opened. AVIF needs Pillow 11.3. MPO is a kind of JPEG."""
MAX_MEMORY = 800_000_000
"""Maximum size of a picture and its copies, in bytes: 100 million pixels in mode `RGB`.

It is copied upright, and again on white if it has transparency.
"""

_MAX_READS = 20_000  # a photo needs some 100, and each 8 KB of comments in a GIF 64 more
_NAMES = "JPEG, PNG, GIF, WebP, BMP, TIFF, PPM or AVIF"
_COPY_BYTES = 4  # of each pixel, in mode RGB and in mode RGBA
# Of each pixel in Pillow's memory. A mode that is not listed has at most four.
_BYTES = {"1": 1, "L": 1, "P": 1}


class _File(io.BytesIO):
    """The bytes of a picture, with a limit of reads until it is opened."""

    reads_left: int | None = _MAX_READS

    def read(self, size: int | None = -1, /) -> bytes:
        if self.reads_left is not None:
            self.reads_left -= 1
            if self.reads_left < 0:
                raise ValueError(f"it is broken: its header is not found in {_MAX_READS:,} reads")
        return super().read(size)


def open_image(data: bytes) -> Image.Image:
    """Open `data`, the bytes of a picture, with Pillow. The pixels are decoded when they are used.

    Raises:
        ValueError: the bytes are not a picture in one of `FORMATS`, or the picture needs more
            memory than `MAX_MEMORY`.
        ModuleNotFoundError: Pillow is not installed.
    """
    require_pillow()
    from PIL import Image, UnidentifiedImageError

    Image.init()
    file = _File(data)
    with map_pillow_errors("open"):
        try:
            image = Image.open(file, formats=[f for f in FORMATS if f in Image.OPEN])
        except UnidentifiedImageError:
            raise ValueError(
                f"it should be an intact {_NAMES}; its bytes begin {data[:12]!r}"
            ) from None
    file.reads_left = None
    check_image(image)
    return image


def check_image(image: Image.Image) -> None:
    """Check the format and the memory of a picture before it is decoded.

    Raises:
        ValueError: it is of a format that is not in `FORMATS`, or needs more than `MAX_MEMORY`.
    """
    if image.format not in (None, *FORMATS):
        raise ValueError(
            f"the picture should be a {_NAMES}, not {image.format}. If you trust the file, convert "
            "it with Pillow first: image.copy()"
        )
    copies = 2 if image.has_transparency_data else 1  # upright, and on white
    needed = image.width * image.height * (_BYTES.get(image.mode, 4) + copies * _COPY_BYTES)
    if needed > MAX_MEMORY:
        raise ValueError(
            f"the picture has {image.width} x {image.height} pixels, which need {needed:,} bytes "
            f"of memory in mode {image.mode}, more than {MAX_MEMORY:,}: a decompression bomb, or "
            "too large. Make it smaller first"
        )


def require_pillow() -> None:
    """Raise ModuleNotFoundError in words if Pillow is not installed."""
    require("PIL", "Pillow", extra="images")


def require(module: str, name: str, *, extra: str) -> None:
    """Raise ModuleNotFoundError in words if the library `name` is not installed."""
    try:
        import_module(module)
    except ImportError:
        raise ModuleNotFoundError(
            f"this needs {name}, which is not installed: pip install 'sansio-moondream[{extra}]'",
            name=module,
        ) from None


@contextmanager
def map_pillow_errors(verb: str) -> Generator[None, None, None]:
    """Turn every error of Pillow into a ValueError that says what was tried."""
    try:
        yield
    except Exception as error:
        raise ValueError(
            f"Pillow cannot {verb} the picture: {str(error) or type(error).__name__}"
        ) from error
