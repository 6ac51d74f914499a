"""Encode pictures for the service: a data URL of a JPEG, PNG, WebP or GIF of at most 10 MB.

Source: the service's API reference (formats and size), and its clients (RGB, JPEG at quality 95).
"""

from __future__ import annotations

import base64
from contextlib import suppress
from typing import TYPE_CHECKING, Annotated

import msgspec

from sansio_moondream._errors import shorten
from sansio_moondream._pictures.data_url import (
    NO_FILES,
    data_url_head,
    from_data_url,
    start_of_data_url,
)
from sansio_moondream._pictures.formats import before_pixels, image_info
from sansio_moondream._pictures.jpeg import to_jpeg
from sansio_moondream._pictures.opening import open_image
from sansio_moondream._pictures.upright import is_turned
from sansio_moondream._repr import OwnRepr
from sansio_moondream._value import Stored

from .checks import MAX_NUMBER, TEXT, check, is_text
from .pictured import OmittedPicture, Pictured

if TYPE_CHECKING:
    from PIL import Image

MAX_BYTES = 10 * 1024 * 1024
MAX_PIXELS = 178_956_970  # twice Pillow's MAX_IMAGE_PIXELS: a decompression bomb for Pillow, too
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
_FORMAT_BYTES = 16  # of a picture: enough to know its format
_TOO_MANY_BYTES = "the picture has {:,} bytes, and the service takes at most {:,}"


class EncodedImage(OwnRepr, Pictured, frozen=True):
    """A picture that is ready to send. Make one with `encode_image`.

    Attributes:
        data_url: a base64 data URL of a JPEG, PNG, WebP or GIF.
        detail: in a chat, how closely the model should look, in OpenAI's words: "low", "high" or
            "auto". Other requests do not send it.
        note: for people: how `encode_image` made the picture smaller, or None. It is not sent.

    Raises:
        ValueError: `data_url` is not a base64 data URL of a picture.
        TypeError: it is not text.
    """

    data_url: Annotated[str, Stored(str | OmittedPicture)]
    detail: str | None = None
    note: str | None = None

    def __post_init__(self) -> None:
        # Raised here, as no local variable of this frame has the picture.
        if (problem := _problem(self.data_url)) is not None:
            raise problem
        valid = self.detail is None or is_text(self.detail)
        check(valid, "detail", f"{TEXT}, or None", self.detail)
        valid = self.note is None or is_text(self.note)
        check(valid, "note", f"{TEXT}, or None", self.note)

    @property
    def media_type(self) -> str:
        """The media type, for example `"image/jpeg"`."""
        return data_url_head(self.data_url)[1]

    @property
    def data(self) -> bytes:
        """The bytes of the encoded picture."""
        return from_data_url(self.data_url)

    def __repr__(self) -> str:
        note = f": {shorten(self.note, 100)}" if self.note else ""
        return f"<EncodedImage {self.media_type}, {len(self.data_url):,} characters{note}>"


def data_url_as_json(image: EncodedImage) -> msgspec.Raw:
    """Encode the data URL of a picture for the body of a request.

    We escape only what is before the base64, as base64 has nothing to escape. The search for it
    took most of the time of a request. Nearly always there is nothing, and one copy is enough.
    """
    url = image.data_url
    head = url[: data_url_head(url).end()]
    escaped = msgspec.json.encode(head)[1:-1].decode()
    if escaped != head:
        url = escaped + url[len(head) :]
    return msgspec.Raw("".join(('"', url, '"')))  # noqa: FLY002 - an Enum is formatted as its name


def encode_image(
    image: Image.Image | bytes | bytearray | memoryview | str | EncodedImage,
    *,
    quality: int = 95,
    max_side: int | None = None,
    max_bytes: int = MAX_BYTES,
    max_pixels: int = MAX_PIXELS,
) -> EncodedImage:
    """Encode a picture for a request.

    Args:
        image: The bytes of a JPEG, PNG, WebP or GIF, or a base64 data URL of one, are sent
            unchanged if they are within the limits. A Pillow image (extra `images`) becomes a JPEG:
            its first frame, turned as its EXIF orientation says, on white where it is transparent.
            EXIF data, comments and colour profiles are dropped. Modes `I` and `I;16` are read as 16
            bits. With Pillow installed, bytes are converted in the same way if their EXIF or XMP
            data says that the picture is to be turned, or if they exceed a limit. An `EncodedImage`
            is returned unchanged.
        quality: of the JPEG, from 1 to 100.
        max_side: limit of the longer side in pixels. A larger picture is made smaller.
        max_bytes: limit of the encoded picture. A larger one is encoded again: in lower quality,
            down to 80, and then smaller. The `note` of the result says what was done.
        max_pixels: limit of width * height, checked before the picture is decompressed.

    Raises:
        ValueError: a number out of its range, bytes of another format, more pixels than
            `max_pixels`, a picture that does not fit into `max_bytes` (without Pillow, bytes are
            never made smaller), a Pillow image of a format that is not in
            `sansio_moondream.images.FORMATS`, or one that Pillow cannot decode.
        TypeError: any other type. Paths and files are not read here.
        ModuleNotFoundError: bytes exceed `max_side`, and Pillow is not installed.
    """
    valid = type(quality) is int and 1 <= quality <= 100
    check(valid, "quality", "a whole number from 1 to 100", quality)
    for name, limit in (("max_side", max_side), ("max_bytes", max_bytes)):
        valid = type(limit) is int and 1 <= limit < MAX_NUMBER
        valid = valid or (limit is None and name == "max_side")
        check(valid, name, "a whole number of at least 1", limit)
    if isinstance(image, EncodedImage):
        return image
    if isinstance(image, str):
        image = from_data_url(image)
    if isinstance(image, bytes | bytearray | memoryview):
        data = bytes(image)
        media_type = _check_format(data)
        _, width, height = image_info(data)
        if width and height:
            _check_pixels(width, height, max_pixels)
        if len(data) > max_bytes:
            return _refit(data, quality, max_side, max_bytes, max_pixels)
        too_large = max_side is not None and not 0 < max(width or 0, height or 0) <= max_side
        picture = open_image(data) if too_large else _turned_image(data)
        if picture is None:
            return EncodedImage(_data_url(media_type, data))
    elif hasattr(image, "getexif") and hasattr(image, "convert"):  # a Pillow image
        picture = image
    else:
        raise TypeError(
            "a picture should be a Pillow image, bytes or a data URL, not "
            f"{type(image).__name__}{NO_FILES}"
        )
    _check_pixels(*picture.size, max_pixels)
    data, note = to_jpeg(picture, quality, max_side, max_bytes)
    return EncodedImage(_data_url("image/jpeg", data), note=note)


def _refit(
    data: bytes, quality: int, max_side: int | None, max_bytes: int, max_pixels: int
) -> EncodedImage:
    """Encode bytes again that exceed `max_bytes`."""
    too_many = _TOO_MANY_BYTES.format(len(data), max_bytes)
    try:
        picture = open_image(data)
        _check_pixels(*picture.size, max_pixels)
        data, note = to_jpeg(picture, quality, max_side, max_bytes, refit=True)
    except ModuleNotFoundError as error:
        raise ValueError(f"{too_many}: make it smaller; {error}") from None
    except ValueError as error:
        raise ValueError(f"{too_many}. It cannot be made smaller: {error}") from error
    return EncodedImage(_data_url("image/jpeg", data), note=note)


def _data_url(media_type: str, data: bytes) -> str:
    return f"data:{media_type};base64,{base64.b64encode(data).decode()}"


def _check_format(data: bytes) -> str:
    media_type = image_info(data[:_FORMAT_BYTES])[0]  # the size costs time
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


def _problem(url: object) -> Exception | None:
    """Return what is wrong with a data URL, as an error without frames."""
    if not isinstance(url, str):
        kind = type(url).__name__
        return TypeError(f"data_url should be text, not {kind}: encode_image() takes a picture")
    try:
        _check_format(start_of_data_url(url, _FORMAT_BYTES))
    except ValueError as error:
        return error.with_traceback(None)
    return None


def _turned_image(data: bytes) -> Image.Image | None:
    """Open a picture if it is to be turned.

    What servers do with EXIF data is not documented, so we send the picture as it is shown, and as
    results are drawn on it. If Pillow is missing or cannot open it, nothing is drawn on it.
    """
    metadata = before_pixels(data)  # the search takes 5 us for each KB
    if any(mark in metadata for mark in _MAY_BE_TURNED):
        with suppress(ModuleNotFoundError, ValueError):
            image = open_image(data)
            return image if is_turned(image) else None
    return None
