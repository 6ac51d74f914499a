"""Small pictures that are made and opened with Pillow."""

from __future__ import annotations

import io
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
