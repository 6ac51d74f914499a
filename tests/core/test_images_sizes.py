"""Pictures: their sizes, and limits of pixels and bytes."""

from __future__ import annotations

import base64
import io
import struct
import zlib
from typing import Any

import pytest
from PIL import Image

from sansio_moondream import encode_image
from tests.core.pillow import GREEN, RED, saved


class TestBombs:
    """Pillow only opens such a picture.

    Decoding would fail, as the file lacks the pixels that its header promises.
    """

    def header_only(self, width: int, height: int) -> bytes:
        ihdr = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
        return (
            b"\x89PNG\r\n\x1a\n"
            + struct.pack(">I", 13)
            + ihdr
            + struct.pack(">I", zlib.crc32(ihdr))
            + b"\0\0\0\0IDAT\x35\xaf\x06\x1e"
        )

    def test_refused_before_decoding(self):
        image = Image.open(io.BytesIO(self.header_only(1000, 1000)))
        words = (
            "the picture has 1000 x 1000 pixels, more than 999,999: a decompression bomb, or "
            "too large to send"
        )
        with pytest.raises(ValueError, match=words):
            encode_image(image, max_pixels=999_999)
        with pytest.raises(ValueError, match="cannot decode.*(truncated|unrecognized data stream)"):
            encode_image(image, max_pixels=1_000_000)

    def test_the_default_is_pillows_own(self, monkeypatch: pytest.MonkeyPatch):
        assert Image.MAX_IMAGE_PIXELS is not None
        assert 13_377 * 13_378 == 178_957_506 > 2 * Image.MAX_IMAGE_PIXELS  # just more
        with pytest.raises(
            ValueError, match="the picture has 13377 x 13378 pixels, more than 178,956,970"
        ):
            encode_image(self.header_only(13_377, 13_378))
        assert encode_image(self.header_only(13_377, 13_377)).media_type == "image/png"
        monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", None)
        with pytest.raises(ValueError, match="the picture has 13377 x 13378 pixels"):
            encode_image(Image.open(io.BytesIO(self.header_only(13_377, 13_378))))

    def test_in_a_data_url(self):
        url = "data:image/png;base64," + base64.b64encode(self.header_only(1000, 1001)).decode()
        with pytest.raises(ValueError, match="the picture has 1000 x 1001 pixels"):
            encode_image(url, max_pixels=1_000_000)


SIZES = [(1, 1), (7, 300), (300, 7), (255, 256), (1023, 3)]


class TestSizes:
    """The size is read from the first bytes. The tests find it by the limit `max_pixels`."""

    def check(self, data: bytes, size: tuple[int, int]) -> None:
        assert Image.open(io.BytesIO(data)).size == size
        most = size[0] * size[1]
        assert encode_image(data, max_pixels=most).data == data
        with pytest.raises(
            ValueError,
            match=f"the picture has {size[0]} x {size[1]} pixels, more than {most - 1:,}",
        ):
            encode_image(data, max_pixels=most - 1)

    @pytest.mark.parametrize("size", SIZES)
    @pytest.mark.parametrize(
        ("format", "mode", "options"),
        [
            ("PNG", "RGB", {}),
            ("PNG", "1", {}),
            ("GIF", "P", {}),
            ("JPEG", "RGB", {}),
            ("JPEG", "L", {}),
            ("JPEG", "CMYK", {}),
            ("JPEG", "RGB", {"progressive": True}),
            (
                "JPEG",
                "RGB",
                {"exif": b"Exif\0\0" + bytes(3000), "comment": b"\xff\xd9\xff\xc0 not a marker"},
            ),
            ("JPEG", "RGB", {"icc_profile": bytes(70_000)}),
            ("WEBP", "RGB", {}),
            ("WEBP", "RGBA", {}),
            ("WEBP", "RGB", {"lossless": True}),
            ("WEBP", "RGBA", {"lossless": True, "exact": True}),
            ("WEBP", "RGB", {"exif": b"Exif\0\0II*\0\x08\0\0\0\0\0\0\0\0\0"}),
            ("WEBP", "RGB", {"icc_profile": bytes(200)}),
        ],
    )
    def test_as_pillow_has_them(
        self, format: str, mode: str, options: dict[str, Any], size: tuple[int, int]
    ):
        image = Image.new(mode, size)
        if mode == "RGBA":
            image.putpixel((0, 0), (1, 2, 3, 4))  # else WebP leaves the alpha out
        self.check(saved(image, format, **options), size)

    def test_every_kind_of_webp_was_among_them(self):
        """See RFC 9649: simple lossy, simple lossless, extended."""
        image = Image.new("RGBA", (4, 4), (1, 2, 3, 4))
        kinds = {
            saved(image.convert("RGB"), "WEBP")[12:16],
            saved(image, "WEBP", lossless=True)[12:16],
            saved(image, "WEBP")[12:16],
        }
        assert kinds == {b"VP8 ", b"VP8L", b"VP8X"}

    @pytest.mark.parametrize("size", [(16_383, 2), (2, 16_383)])
    @pytest.mark.parametrize(
        "options", [{}, {"lossless": True}, {"exif": b"Exif\0\0II*\0\x08\0\0\0\0\0\0\0\0\0"}]
    )
    def test_the_largest_webp(self, options: dict[str, Any], size: tuple[int, int]):
        self.check(saved(Image.new("RGB", size), "WEBP", **options), size)

    def test_a_canvas_of_24_bits(self):
        data = (
            b"RIFF\0\0\0\0WEBPVP8X\x0a\0\0\0\x10\xff\xff\xff"
            + (99_999).to_bytes(3, "little")
            + (1_000_000).to_bytes(3, "little")
        )
        with pytest.raises(ValueError, match="the picture has 100000 x 1000001 pixels"):
            encode_image(data)

    def test_animations(self):
        frames = [Image.new("RGB", (20, 30), color) for color in (RED, GREEN)]
        for kind in ("GIF", "PNG", "WEBP"):
            self.check(saved(frames[0], kind, save_all=True, append_images=frames[1:]), (20, 30))

    @pytest.mark.parametrize("marker", range(0xBF, 0xD1))
    def test_every_kind_of_jpeg_frame(self, marker: int):
        """Five of these markers begin no frame, and the size comes after them.

        See ITU-T T.81, table B.1.
        """
        frame = bytes((0xFF, marker)) + struct.pack(">HBHH", 11, 8, 90, 70)
        other = b"\xff\xc0" + struct.pack(">HBHH", 11, 8, 50, 60)
        padding = bytes(4)  # of what both segments hold beside the size
        with pytest.raises(
            ValueError,
            match="60 x 50 pixels"
            if marker in (0xBF, 0xC4, 0xC8, 0xCC, 0xD0)
            else "70 x 90 pixels",
        ):
            encode_image(b"\xff\xd8" + frame + padding + other + padding, max_pixels=1)

    def test_fill_bytes_before_a_jpeg_marker(self):
        """See ITU-T T.81, B.1.1.2."""
        data = saved(Image.new("L", (7, 9)), "JPEG")
        at = data.index(b"\xff\xc0")
        self.check(data[:at] + b"\xff" * 5 + data[at:], (7, 9))


class TestLimits:
    def test_ten_megabytes(self):
        most = 10 * 1024 * 1024
        assert len(encode_image(b"GIF89a".ljust(most, b"\0")).data) == most
        with pytest.raises(
            ValueError,
            match="has 10,485,761 bytes, and the service takes at most 10,485,760. It cannot be ",
        ):
            encode_image(b"GIF89a".ljust(most + 1, b"\0"))


def test_the_size_of_a_jpeg_is_looked_for_in_a_thousand_segments():
    """Beyond them it is unknown, as in a picture that is cut off."""
    size = b"\xff\xc0\x00\x11\x08" + struct.pack(">HH", 60_000, 60_000)
    for segments, is_read in ((999, True), (1000, False)):
        data = b"\xff\xd8" + b"\xff\xff\xe0\x00\x02" * segments + size
        if is_read:
            with pytest.raises(ValueError, match="60000 x 60000 pixels"):
                encode_image(data)
        else:
            assert encode_image(data).media_type == "image/jpeg"
