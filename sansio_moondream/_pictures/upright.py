"""A Pillow image as the service sees it: first frame, EXIF orientation applied, RGB or RGBA."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from PIL import Image


def upright(image: Image.Image) -> Image.Image:
    """Copy a picture as `encode_image` reads it. Coordinates in results are fractions of the copy.

    Returns:
        The first frame, turned as its EXIF orientation says, in mode `RGB`, or `RGBA` if it has
        transparency.
    """
    from PIL import Image

    frame = _first_frame(image)
    if frame.mode.startswith("I"):  # 16 bits a pixel: convert("RGB") would clip them at 255
        frame = Image.eval(frame.convert("I"), lambda value: value / 257).convert("L")
    if frame.has_transparency_data:
        return frame.convert("LA" if frame.mode == "La" else "RGBA").convert("RGBA")
    return frame.convert("RGB")


def _first_frame(image: Image.Image) -> Image.Image:
    """Copy the first frame, upright. The caller's image keeps its position."""
    from PIL import ImageOps

    position = image.tell()
    if position != 0:
        # From the middle of an animated PNG, Pillow (still in 13.0) seeks backward, and afterwards
        # never forward again. A seek to the last frame first avoids that.
        if image.format == "PNG":
            image.seek(getattr(image, "n_frames", 1) - 1)
        image.seek(0)
    try:
        return ImageOps.exif_transpose(image)
    except SyntaxError:  # Pillow's error for invalid EXIF data
        return image.copy()
    finally:
        if position != 0:
            image.seek(position)
