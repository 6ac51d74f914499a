"""Masks, overlays, boxes and points with Pillow, which is imported only when something is drawn."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, TypeAlias

from sansio_moondream._geometry import BBox, Point, coordinates, sides

from .fill import LINES, STRIP, check_pixels, columns, strips
from .opening import require_pillow
from .picture import Picture
from .polygons import Polygon, check_border
from .upright import upright

if TYPE_CHECKING:
    from PIL import Image

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

    Raises:
        PathError: the border is longer than `sansio_moondream.paths.MAX_BORDER`.
        ValueError: the mask has more pixels than the largest picture that is opened.
    """
    require_pillow()
    from PIL import Image

    (width, height), lines = check_pixels(size), LINES if antialias else 1
    polygons = tuple(polygons)
    check_border(polygons, (width, height))
    mask = Image.new("L", (width, height))
    if not polygons:
        return mask
    left, right = columns(polygons, width)
    if left < right:
        for first, strip in strips(polygons, (left, right), height, lines, soft=antialias):
            part = Image.frombuffer("L", (right - left, STRIP), strip, "raw", "L", 0, 1)
            mask.paste(part.reduce((1, lines)), (left, first // lines))
    return mask


def lay_over(
    image: Picture, mask: Image.Image, *, color: Color = "red", opacity: float = 0.5
) -> Image.Image:
    """Copy the picture, upright, with a colour over what the mask selects.

    Args:
        image: in any form that `encode_image` takes. Its first frame is used, turned as its EXIF
            orientation says.
        mask: in mode `L`, of the size of the upright picture.
        color: a name or a value, as in `Color`.
        opacity: of the colour, from 0 to 1.
    """
    from PIL import Image

    if not 0 <= opacity <= 1:
        raise ValueError(f"opacity should be from 0 to 1, not {opacity!r}")
    picture = upright(image)
    shares = [round(value * opacity) for value in range(256)]
    opaque = mask.point(shares)  # pyright: ignore[reportUnknownMemberType]
    return Image.composite(Image.new(picture.mode, picture.size, color), picture, opaque)


def cut_out(image: Picture, mask: Image.Image) -> Image.Image:
    """Copy the picture, upright, in mode `RGBA`, transparent where the mask is 0.

    What was transparent before stays transparent.

    Args:
        image: in any form that `encode_image` takes. Its first frame is used, turned as its EXIF
            orientation says.
        mask: in mode `L`, of the size of the upright picture.
    """
    from PIL import ImageChops

    picture = upright(image).convert("RGBA")
    picture.putalpha(ImageChops.multiply(picture.getchannel("A"), mask))
    return picture


def draw_boxes(
    image: Picture, boxes: Iterable[BBox], *, color: Color = "red", width: int | None = None
) -> Image.Image:
    """Copy the picture, upright, with the outlines of boxes.

    Args:
        image: in any form that `encode_image` takes. Its first frame is used, turned as its EXIF
            orientation says.
        boxes: in fractions of the picture.
        color: a name or a value, as in `Color`.
        width: of the lines in pixels. By default it is in proportion to the picture.
    """
    picture = upright(image)
    line = width or _stroke(picture)
    for box in boxes:
        xs, ys = sides(box)
        left, right = _pixels(xs, picture.width, line)
        top, bottom = _pixels(ys, picture.height, line)
        right, bottom = max(right, left + 1), max(bottom, top + 1)
        # Four filled bars. Pillow's outline of a rectangle takes ten times as long.
        picture.paste(color, (left, top, right, min(top + line, bottom)))
        picture.paste(color, (left, max(bottom - line, top), right, bottom))
        picture.paste(color, (left, top, min(left + line, right), bottom))
        picture.paste(color, (max(right - line, left), top, right, bottom))
    return picture


def draw_points(
    image: Picture, points: Iterable[Point], *, color: Color = "red", radius: int | None = None
) -> Image.Image:
    """Copy the picture, upright, with a disc on each point.

    Args:
        image: in any form that `encode_image` takes. Its first frame is used, turned as its EXIF
            orientation says.
        points: in fractions of the picture.
        color: a name or a value, as in `Color`.
        radius: of the discs in pixels. By default it is in proportion to the picture.
    """
    from PIL import ImageDraw

    picture = upright(image)
    pen, disc = ImageDraw.Draw(picture), radius or 2 * _stroke(picture)
    for point in points:
        fractions = coordinates(point)
        (x,) = _pixels(fractions[:1], picture.width, disc)
        (y,) = _pixels(fractions[1:], picture.height, disc)
        pen.ellipse((x - disc, y - disc, x + disc, y + disc), fill=color)
    return picture


def _stroke(picture: Image.Image) -> int:
    return max(2, round(max(picture.size) / 200))


def _pixels(fractions: Iterable[float], size: int, reach: int) -> list[int]:
    """Scale fractions to pixels.

    What is drawn there reaches `reach` pixels far. Values so far outside that none of it is in the
    picture are clamped to what Pillow can draw.
    """
    far = size + reach
    return [round(min(max(fraction * size, -far), far)) for fraction in fractions]
