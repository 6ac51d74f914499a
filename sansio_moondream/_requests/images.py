"""Encode pictures for the service: a data URL of a JPEG, PNG, WebP or GIF of at most 10 MB.

Source: the service's API reference (formats and size), and its clients (RGB, JPEG at quality 95).
"""

from __future__ import annotations

import base64
import binascii
import io
import re
import struct
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Annotated

from sansio_moondream._pictures.opening import open_image
from sansio_moondream._pictures.upright import is_turned, upright
from sansio_moondream._repr import OwnRepr
from sansio_moondream._value import Stored

from .checks import TEXT, check, is_text
from .pictured import OmittedPicture, Pictured

if TYPE_CHECKING:
    from PIL import Image

MAX_BYTES = 10 * 1024 * 1024
MAX_PIXELS = 178_956_970  # twice Pillow's MAX_IMAGE_PIXELS: a decompression bomb for Pillow, too
MAX_JPEG_SIDE = 65_500  # of libjpeg, which prints to stderr for a larger one
# How a JPEG, a PNG or a WebP begins what may say that the picture is to be turned: EXIF or XMP.
_MAY_BE_TURNED = (
    b"Exif",
    b"eXIf",
    b"EXIF",
    b"Raw profile type exif",
    b"ns.adobe.com/xap/",
    b"com.adobe.xmp",
    b"XMP ",
)
_NO_FILES = ". This function opens no files: pass bytes, or the result of Pillow's Image.open"
_DATA_URL_HEAD = re.compile(r"data:(image/[^;,\s]+)(?:;[^;,\s]+)*;base64,")
# SOF0..15 without DHT, JPG and DAC (ITU T.81, table B.1).
_JPEG_MARKER = re.compile(rb"\xff++([^\xff])", re.DOTALL)  # with fill bytes before it
_MAX_JPEG_SEGMENTS = 1000  # before the size: a picture of 10 MB has 160 if all of them are full
_JPEG_SIZE_MARKERS = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}


class EncodedImage(OwnRepr, Pictured, frozen=True):
    """A picture that is ready to send. Make one with `encode_image`.

    Attributes:
        data_url: a base64 data URL of a JPEG, PNG, WebP or GIF.
        detail: in a chat, how closely the model should look, in OpenAI's words: "low", "high" or
            "auto". Other requests do not send it.

    Raises:
        ValueError: `data_url` is not a base64 data URL of a picture.
    """

    data_url: Annotated[str, Stored(str | OmittedPicture)]
    detail: str | None = None

    def __post_init__(self) -> None:
        # Raised here, as no local variable of this frame has the picture.
        if (problem := _problem(self.data_url)) is not None:
            raise problem
        valid = self.detail is None or is_text(self.detail)
        check(valid, "detail", f"{TEXT}, or None", self.detail)

    @property
    def media_type(self) -> str:
        """The media type, for example `"image/jpeg"`."""
        return _data_url_head(self.data_url)[1]

    @property
    def data(self) -> bytes:
        """The bytes of the encoded picture."""
        return base64.b64decode(self.data_url[_data_url_head(self.data_url).end() :])

    def __repr__(self) -> str:
        return f"<EncodedImage {self.media_type}, {len(self.data_url):,} characters>"


def encode_image(
    image: Image.Image | bytes | bytearray | memoryview | str | EncodedImage,
    *,
    quality: int = 95,
    max_bytes: int = MAX_BYTES,
    max_pixels: int = MAX_PIXELS,
) -> EncodedImage:
    """Encode a picture for a request.

    Args:
        image: The bytes of a JPEG, PNG, WebP or GIF, or a base64 data URL of one, are sent
            unchanged. A Pillow image (extra `images`) becomes a JPEG: its first frame, turned as
            its EXIF orientation says, on white where it is transparent. EXIF data, comments and
            colour profiles are dropped. Modes `I` and `I;16` are read as 16 bits. Bytes whose EXIF
            or XMP data says that the picture is to be turned are converted in the same way, if
            Pillow is installed.
        quality: of the JPEG.
        max_bytes: limit of the encoded picture.
        max_pixels: limit of width * height, checked before the picture is decompressed.

    Raises:
        ValueError: bytes of another format, a picture above a limit, a Pillow image of a format
            that is not in `sansio_moondream.images.FORMATS`, or one that Pillow cannot decode.
        TypeError: any other type. Paths and files are not read here.
    """
    if isinstance(image, EncodedImage):
        return image
    if isinstance(image, str):
        image = _from_data_url(image)
    if isinstance(image, bytes | bytearray | memoryview):
        data = bytes(image)
        media_type = _check_format(data)
        _, width, height = image_info(data)
        _check_pixels(width or 0, height or 0, max_pixels)
        turned = _turned_image(data)
        if turned is not None:
            media_type, data = "image/jpeg", _to_jpeg(turned, quality, max_pixels)
    elif hasattr(image, "getexif") and hasattr(image, "convert"):  # a Pillow image
        media_type, data = "image/jpeg", _to_jpeg(image, quality, max_pixels)
    else:
        raise TypeError(
            "a picture should be a Pillow image, bytes or a data URL, not "
            f"{type(image).__name__}{_NO_FILES}"
        )
    if len(data) > max_bytes:
        raise ValueError(
            f"the picture has {len(data):,} bytes, and the service takes at most {max_bytes:,}: "
            "make it smaller"
        )
    return EncodedImage(f"data:{media_type};base64,{base64.b64encode(data).decode()}")


def image_info(data: bytes) -> tuple[str | None, int | None, int | None]:
    """Read the media type, width and height from the first bytes of an encoded picture.

    What they do not contain is None.
    """
    for media_type, is_format, size in _FORMATS:
        if is_format(data):
            try:
                return media_type, *size(data)
            except (struct.error, IndexError):  # truncated or invalid
                return media_type, None, None
    return None, None, None


def _check_format(data: bytes) -> str:
    media_type = image_info(data[:16])[0]  # enough to know the format, and the size costs time
    if media_type is None:
        raise ValueError(
            f"the picture should be a JPEG, PNG, WebP or GIF; its bytes begin {data[:12]!r}. "
            "Open other formats with Pillow"
        )
    return media_type


def _check_pixels(width: int, height: int, limit: int) -> None:
    if width * height > limit:
        raise ValueError(
            f"the picture has {width} x {height} pixels, more than {limit:,}: "
            "a decompression bomb, or too large to send"
        )


def _problem(url: str) -> ValueError | None:
    """Return what is wrong with a data URL, as an error without frames."""
    try:
        _check_format(_from_data_url(url))
    except ValueError as error:
        return error.with_traceback(None)
    return None


def _from_data_url(url: str) -> bytes:
    data = url[_data_url_head(url).end() :]
    try:
        return binascii.a2b_base64(data, strict_mode=True)
    except ValueError as error:
        fault = str(error)
    raise ValueError(f"the data URL's base64 is broken: {fault}")


def _data_url_head(url: str) -> re.Match[str]:
    """Match the part before the base64 text. Its group is the media type."""
    head = _DATA_URL_HEAD.match(url)
    if head is None:
        raise ValueError(
            "a picture given as text should be a base64 data URL (data:image/...;base64,...), "
            f"not {url[:40]!r}{_NO_FILES}"
        )
    return head


def _png_size(data: bytes) -> tuple[int, int]:
    width, height = struct.unpack_from(">II", data, 16)
    return width, height


def _gif_size(data: bytes) -> tuple[int, int]:
    width, height = struct.unpack_from("<HH", data, 6)
    return width, height


def _webp_size(data: bytes) -> tuple[int, int]:
    """Read the size from the header of the first chunk (RFC 9649, sections 2.5 to 2.7)."""
    kind = data[12:16]
    if kind == b"VP8X":
        # The width has three bytes; we read the reserved byte before it, too, and shift it out.
        width, low, high = struct.unpack_from("<IHB", data, 23)
        return (width >> 8) + 1, (high << 16 | low) + 1
    if kind == b"VP8L":
        (bits,) = struct.unpack_from("<I", data, 21)
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    width, height = struct.unpack_from("<HH", data, 26)
    return width & 0x3FFF, height & 0x3FFF


def _jpeg_size(data: bytes) -> tuple[int, int]:
    at = 2
    for _ in range(_MAX_JPEG_SEGMENTS):
        marker = _JPEG_MARKER.match(data, at)
        if marker is None:
            raise IndexError("a marker is missing")
        at = marker.end()
        if marker[1][0] in _JPEG_SIZE_MARKERS:
            height, width = struct.unpack_from(">HH", data, at + 3)
            return width, height
        at += struct.unpack_from(">H", data, at)[0]
    raise IndexError("the size is not in the first segments")


_FORMATS: tuple[tuple[str, Callable[[bytes], bool], Callable[[bytes], tuple[int, int]]], ...] = (
    ("image/jpeg", lambda data: data.startswith(b"\xff\xd8\xff"), _jpeg_size),
    ("image/png", lambda data: data.startswith(b"\x89PNG\r\n\x1a\n"), _png_size),
    ("image/gif", lambda data: data[:6] in (b"GIF87a", b"GIF89a"), _gif_size),
    ("image/webp", lambda data: data[:4] == b"RIFF" and data[8:12] == b"WEBP", _webp_size),
)


def _turned_image(data: bytes) -> Image.Image | None:
    """Open a picture if it is to be turned.

    What servers do with EXIF data is not documented, so we send the picture as it is shown, and as
    results are drawn on it. If Pillow is missing or cannot open it, nothing is drawn on it.
    """
    if any(mark in data for mark in _MAY_BE_TURNED):
        with suppress(ModuleNotFoundError, ValueError):
            image = open_image(data)
            return image if is_turned(image) else None
    return None


def _to_jpeg(image: Image.Image, quality: int, max_pixels: int) -> bytes:
    from PIL import Image

    _check_pixels(*image.size, max_pixels)
    picture = upright(image)
    if max(picture.size) > MAX_JPEG_SIDE:
        raise ValueError(
            f"the picture has {picture.width} x {picture.height} pixels, and a JPEG has at most "
            f"{MAX_JPEG_SIDE:,} a side"
        )
    if picture.mode == "RGBA":
        white = Image.new("RGB", picture.size, "white")
        white.paste(picture, mask=picture)
        picture = white
    picture.info.clear()  # else Pillow writes the comment, and refuses a long one
    out = io.BytesIO()
    picture.save(out, "JPEG", quality=quality)
    return out.getvalue()
