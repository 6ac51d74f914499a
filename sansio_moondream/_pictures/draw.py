"""Masks, overlays, boxes and points with Pillow, which is imported only when something is drawn."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import TYPE_CHECKING, TypeAlias

from sansio_moondream._geometry import BBox, Point

from .fill import STRIP, strips
from .polygons import Polygon
from .upright import upright

if TYPE_CHECKING:
    from PIL import Image

_LINES = 4  # through each row of pixels; a mask without antialias has one

Color: TypeAlias = str | tuple[int, int, int]
"""A name or a hexadecimal value of Pillow's ImageColor, or red, green and blue from 0 to 255."""


def draw_mask(
    polygons: Iterable[Polygon], size: tuple[int, int], *, antialias: bool = True
) -> Image.Image:
    """Fill polygons by the rule `nonzero`.

    Args:
        polygons: in pixels.
        size: width and height of the mask.
        antialias: True gives a pixel on the border the share of it that is inside; False gives it
            255 or 0, as its centre is inside or outside.

    Returns:
        A Pillow image in mode `L`: 255 inside the polygons, 0 outside.
    """
    try:
        from PIL import Image
    except ImportError:
        raise ModuleNotFoundError(
            "this needs Pillow, which is not installed: pip install 'sansio-moondream[images]'",
            name="PIL",
        ) from None

    (width, height), lines = size, _LINES if antialias else 1
    mask = Image.new("L", size)
    polygons = tuple(polygons)
    xs = [x for polygon in polygons for x, _ in polygon]
    left, right = max(math.floor(min(xs, default=0)), 0), min(math.ceil(max(xs, default=0)), width)
    if left < right:
        for first, strip in strips(polygons, (left, right), height, lines, soft=antialias):
            part = Image.frombuffer("L", (right - left, STRIP), strip, "raw", "L", 0, 1)
            mask.paste(part.reduce((1, lines)), (left, first // lines))
    return mask


def lay_over(
    image: Image.Image, mask: Image.Image, *, color: Color = "red", opacity: float = 0.5
) -> Image.Image:
    """Copy the picture, upright, with a colour over what the mask selects."""
    from PIL import Image

    if not 0 <= opacity <= 1:
        raise ValueError(f"opacity should be from 0 to 1, not {opacity!r}")
    picture = upright(image)
    shares = [round(value * opacity) for value in range(256)]
    opaque = mask.point(shares)  # pyright: ignore[reportUnknownMemberType]
    return Image.composite(Image.new(picture.mode, picture.size, color), picture, opaque)


def cut_out(image: Image.Image, mask: Image.Image) -> Image.Image:
    """Copy the picture, upright, in mode `RGBA`, transparent where the mask is 0.

    What was transparent before stays transparent.
    """
    from PIL import ImageChops

    picture = upright(image).convert("RGBA")
    picture.putalpha(ImageChops.multiply(picture.getchannel("A"), mask))
    return picture


def draw_boxes(
    image: Image.Image, boxes: Iterable[BBox], *, color: Color = "red", width: int | None = None
) -> Image.Image:
    """Copy the picture, upright, with the outlines of boxes.

    The lines are `width` pixels wide, by default in proportion to the picture.
    """
    from PIL import ImageDraw

    picture = upright(image)
    pen = ImageDraw.Draw(picture)
    for box in boxes:
        left, right = sorted(_pixels((box.x_min, box.x_max), picture.width))
        top, bottom = sorted(_pixels((box.y_min, box.y_max), picture.height))
        # Pillow's rectangle includes its last column and row.
        corners = (left, top, max(left, right - 1), max(top, bottom - 1))
        pen.rectangle(corners, outline=color, width=width or _stroke(picture))
    return picture


def draw_points(
    image: Image.Image, points: Iterable[Point], *, color: Color = "red", radius: int | None = None
) -> Image.Image:
    """Copy the picture, upright, with a disc on each point.

    The discs have a radius of `radius` pixels, by default in proportion to the picture.
    """
    from PIL import ImageDraw

    picture = upright(image)
    pen = ImageDraw.Draw(picture)
    for point in points:
        (x,), (y,) = _pixels((point.x,), picture.width), _pixels((point.y,), picture.height)
        pen.circle((x, y), radius or 2 * _stroke(picture), fill=color)
    return picture


def _stroke(picture: Image.Image) -> int:
    return max(2, round(max(picture.size) / 200))


def _pixels(fractions: Iterable[float], size: int) -> list[int]:
    """Scale fractions to pixels. Values far outside are clamped to what Pillow can draw."""
    return [round(min(max(fraction, -1), 2) * size) for fraction in fractions]
