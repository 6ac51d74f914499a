"""A Pillow image as the service sees it: first frame, EXIF orientation applied, RGB or RGBA."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .opening import check_image, map_pillow_errors
from .picture import Picture, to_image

if TYPE_CHECKING:
    from PIL import Image

_ORIENTATION = 0x0112
_TURNED = range(2, 9)  # 1 is upright, and others mean nothing
# Where Pillow keeps an orientation. A turned copy must not say that it is to be turned.
_SAY_IT = ("exif", "Raw profile type exif", "xmp", "XML:com.adobe.xmp")
_DEEP = range(1 << 16)  # values of a pixel with 16 bits
_DEEP_TO_8_BITS = 257  # 65535 / 255


def upright(picture: Picture) -> Image.Image:
    """Copy a picture as `encode_image` reads it. Coordinates in results are fractions of the copy.

    Args:
        picture: what `encode_image` takes: a Pillow image, the bytes of a picture, a data URL, or
            an `EncodedImage`.

    Returns:
        The first frame, turned as its EXIF orientation says, in mode `RGB`, or `RGBA` if it has
        transparency.

    Raises:
        ValueError: the picture is of a format that is not in `sansio_moondream.images.FORMATS`,
            it needs more memory than `sansio_moondream.images.MAX_MEMORY`, or it is broken.
        TypeError: it is of another type. Paths and files are not read here.
    """
    image = to_image(picture)
    check_image(image)
    with map_pillow_errors("decode"):
        copy = _in_colors(_first_frame(image))
        return copy.copy() if copy is image else copy


def is_turned(image: Image.Image) -> bool:
    """Test if `upright` turns or mirrors the picture."""
    return _orientation(image) in _TURNED


def _orientation(image: Image.Image) -> Any:
    try:
        return image.getexif().get(_ORIENTATION)
    except Exception:  # noqa: BLE001 - invalid EXIF data raises any class, and says nothing
        return None


def _first_frame(image: Image.Image) -> Image.Image:
    """Return the first frame, upright: a copy, or the image itself if it is that already.

    The caller's image keeps its position.
    """
    position = image.tell()
    if position != 0:
        # From the middle of an animated PNG, Pillow (still in 13.0) seeks backward, and afterwards
        # never forward again. A seek to the last frame first avoids that.
        if image.format == "PNG":
            image.seek(getattr(image, "n_frames", 1) - 1)
        image.seek(0)
    try:
        image.load()
        frame = _turned(image, _orientation(image))
        return frame.copy() if position != 0 else frame
    finally:
        if position != 0:
            image.seek(position)


def _turned(image: Image.Image, orientation: Any) -> Image.Image:
    """Turn a picture as an EXIF orientation says (EXIF 2.32, section 4.6.4)."""
    from PIL.Image import Transpose

    if orientation not in _TURNED:
        return image
    ways = (
        Transpose.FLIP_LEFT_RIGHT,
        Transpose.ROTATE_180,
        Transpose.FLIP_TOP_BOTTOM,
        Transpose.TRANSPOSE,
        Transpose.ROTATE_270,
        Transpose.TRANSVERSE,
        Transpose.ROTATE_90,
    )
    copy = image.transpose(ways[_TURNED.index(orientation)])
    for key in _SAY_IT:
        copy.info.pop(key, None)
    return copy


def _to_8_bits(deep: Image.Image, values: list[int]) -> Image.Image:
    """Replace each value of a picture in mode `I`. Values below 0 or above 65535 are clipped."""
    return deep.point(values, "L")  # pyright: ignore[reportUnknownMemberType]


def _without_16_bits(frame: Image.Image) -> Image.Image:
    """Convert a frame of 16 bits to `L` or `LA`. convert("RGB") would clip them at 255."""
    deep, transparent = frame.convert("I"), frame.info.get("transparency")
    grey = _to_8_bits(deep, [round(value / _DEEP_TO_8_BITS) for value in _DEEP])
    if transparent is not None:
        grey.putalpha(_to_8_bits(deep, [255 * (value != transparent) for value in _DEEP]))
        del grey.info["transparency"]
    return grey


def _in_colors(frame: Image.Image) -> Image.Image:
    """Convert a frame to `RGB` or `RGBA`, if it is neither."""
    if frame.mode.startswith("I"):
        frame = _without_16_bits(frame)
    transparent = frame.info.get("transparency")
    if frame.mode == "RGB" and transparent is not None and max(transparent) > 255:
        # Pillow reads 16 bits of a colour as 8, but leaves the transparent one as it is.
        frame = frame.copy()
        frame.info["transparency"] = tuple(value >> 8 for value in transparent)
    if not frame.has_transparency_data:
        return frame if frame.mode == "RGB" else frame.convert("RGB")
    if frame.mode == "La":
        frame = frame.convert("LA")
    return frame if frame.mode == "RGBA" else frame.convert("RGBA")
