"""Read the format and the size of an encoded picture from its first bytes, without Pillow."""

from __future__ import annotations

import re
import struct
from collections.abc import Callable, Iterator

# SOF0..15 without DHT, JPG and DAC (ITU T.81, table B.1).
_JPEG_MARKER = re.compile(rb"\xff++([^\xff])", re.DOTALL)  # with fill bytes before it
_JPEG = b"\xff\xd8\xff"
_JPEG_SCAN = 0xDA  # SOS
_MAX_JPEG_SEGMENTS = 1000  # before the size: a picture of 10 MB has 160 if all of them are full
_JPEG_SIZE_MARKERS = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}


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


def before_pixels(data: bytes) -> bytes:
    """Return what precedes the compressed pixels of a JPEG: all that decoders know of it.

    Of another format, and of a JPEG that is not whole up to there, it is all of the data.
    """
    if not data.startswith(_JPEG):
        return data
    try:
        return data[: next(at for marker, at in _jpeg_segments(data) if marker == _JPEG_SCAN)]
    except (struct.error, IndexError):
        return data


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
    at = next(at for marker, at in _jpeg_segments(data) if marker in _JPEG_SIZE_MARKERS)
    height, width = struct.unpack_from(">HH", data, at + 3)
    return width, height


def _jpeg_segments(data: bytes) -> Iterator[tuple[int, int]]:
    """Give the marker of each segment, and where the segment begins after it.

    Raises IndexError and struct.error where the segments end.
    """
    at = 2
    for _ in range(_MAX_JPEG_SEGMENTS):
        marker = _JPEG_MARKER.match(data, at)
        if marker is None:
            raise IndexError("a marker is missing")
        at = marker.end()
        yield ord(marker[1]), at
        (length,) = struct.unpack_from(">H", data, at)
        at += length
    raise IndexError("too many segments")


_FORMATS: tuple[tuple[str, Callable[[bytes], bool], Callable[[bytes], tuple[int, int]]], ...] = (
    ("image/jpeg", lambda data: data.startswith(_JPEG), _jpeg_size),
    ("image/png", lambda data: data.startswith(b"\x89PNG\r\n\x1a\n"), _png_size),
    ("image/gif", lambda data: data[:6] in (b"GIF87a", b"GIF89a"), _gif_size),
    ("image/webp", lambda data: data[:4] == b"RIFF" and data[8:12] == b"WEBP", _webp_size),
)
