"""Small pictures that are made and opened with Pillow."""

from __future__ import annotations

import io
import struct
import zlib
from typing import Any

from PIL import Image

WHITE, RED, GREEN, BLUE, BLACK = (255, 255, 255), (255, 0, 0), (0, 255, 0), (0, 0, 255), (0, 0, 0)


def saved(image: Image.Image, format: str, **options: Any) -> bytes:
    out = io.BytesIO()
    image.save(out, format, **options)
    return out.getvalue()


def four_corners(size: int = 32) -> Image.Image:
    """Draw red and green above blue and white, large enough that blocks of JPEG do not mix them."""
    image = Image.new("RGB", (2 * size, 4 * size), RED)
    image.paste(GREEN, (size, 0, 2 * size, 2 * size))
    image.paste(BLUE, (0, 2 * size, size, 4 * size))
    image.paste(WHITE, (size, 2 * size, 2 * size, 4 * size))
    return image


def png(
    width: int,
    height: int,
    *,
    depth: int = 8,
    color: int = 0,
    rows: bytes = b"",
    more: tuple[tuple[bytes, bytes], ...] = (),
) -> bytes:
    """Write a PNG, of the colour type as in its header, with further chunks before the pixels."""
    chunks = (
        (b"IHDR", struct.pack(">IIBBBBB", width, height, depth, color, 0, 0, 0)),
        *more,
        (b"IDAT", zlib.compress(rows)),
        (b"IEND", b""),
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
        for name, data in chunks
    )
