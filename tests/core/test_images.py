"""Pictures: bytes of the four formats as they are, Pillow's images as the service's own clients
send them.
"""

from __future__ import annotations

import base64
import io
import pickle
import struct
import subprocess
import sys
import zlib
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageChops, ImageOps

import sansio_moondream
from sansio_moondream import EncodedImage, encode_image

WHITE, RED, GREEN, BLUE, BLACK = (255, 255, 255), (255, 0, 0), (0, 255, 0), (0, 0, 255), (0, 0, 0)
MEDIA_TYPES = {"JPEG": "image/jpeg", "PNG": "image/png", "GIF": "image/gif", "WEBP": "image/webp"}
ORIENTATION = 0x0112


def saved(image: Image.Image, format: str, **options: Any) -> bytes:
    out = io.BytesIO()
    image.save(out, format, **options)
    return out.getvalue()


def opened(encoded: EncodedImage) -> Image.Image:
    assert encoded.media_type == "image/jpeg"
    image = Image.open(io.BytesIO(encoded.data))
    assert (image.format, image.mode) == ("JPEG", "RGB")
    image.load()
    return image


def near(seen: Any, expected: tuple[int, int, int], most: int = 3) -> bool:
    """JPEG rounds."""
    return all(abs(a - b) <= most for a, b in zip(seen, expected, strict=True))


def four_corners(size: int = 32) -> Image.Image:
    """Red, green / blue, white; large enough that JPEG's blocks do not mix them, and not square."""
    image = Image.new("RGB", (2 * size, 4 * size), RED)
    image.paste(GREEN, (size, 0, 2 * size, 2 * size))
    image.paste(BLUE, (0, 2 * size, size, 4 * size))
    image.paste(WHITE, (size, 2 * size, 2 * size, 4 * size))
    return image


class TestModes:
    @pytest.mark.parametrize(
        ("mode", "color", "expected"),
        [
            ("1", 1, WHITE),
            ("1", 0, BLACK),
            ("L", 100, (100, 100, 100)),
            ("LA", (100, 255), (100, 100, 100)),
            ("LA", (0, 0), WHITE),
            ("LA", (0, 51), (204, 204, 204)),
            ("La", (51, 51), WHITE),
            ("RGB", (10, 120, 200), (10, 120, 200)),
            ("RGBX", (10, 120, 200, 0), (10, 120, 200)),
            ("RGBA", (10, 120, 200, 255), (10, 120, 200)),
            ("RGBA", (10, 120, 200, 0), WHITE),
            ("RGBA", (0, 0, 0, 51), (204, 204, 204)),
            ("RGBa", (0, 0, 0, 51), (204, 204, 204)),
            ("CMYK", (0, 0, 0, 0), WHITE),
            ("CMYK", (0, 255, 255, 0), RED),
            ("YCbCr", (76, 85, 255), RED),
            ("HSV", (0, 255, 255), RED),
            ("I;16", 0, BLACK),
            ("I;16", 100 * 257, (100, 100, 100)),
            ("I;16", 65535, WHITE),
            ("I;16B", 100 * 257, (100, 100, 100)),
            ("I", 100 * 257, (100, 100, 100)),
            ("I", -5, BLACK),
            ("I", 70_000, WHITE),
            ("F", 100.4, (100, 100, 100)),
            ("F", 300.0, WHITE),
        ],
    )
    def test_become_rgb_on_white(self, mode: str, color: Any, expected: tuple[int, int, int]):
        image = opened(encode_image(Image.new(mode, (16, 8), color)))
        assert image.size == (16, 8)
        assert near(image.getpixel((8, 4)), expected)

    @pytest.mark.parametrize("mode", ["P", "PA"])
    def test_palettes(self, mode: str):
        image = four_corners().quantize(4).convert(mode)
        assert near(opened(encode_image(image)).getpixel((40, 20)), GREEN)

    def test_a_palette_with_one_transparent_color(self):
        image = Image.open(io.BytesIO(saved(four_corners().quantize(4), "GIF")))
        image.info["transparency"] = image.getpixel((40, 20))
        seen = opened(encode_image(image))
        assert near(seen.getpixel((40, 20)), WHITE)
        assert near(seen.getpixel((10, 20)), RED)

    def test_a_palette_with_an_alpha_for_each_color(self):
        image = Image.new("P", (16, 16), 1)
        image.putpalette([255, 255, 255, 0, 0, 0])
        seen = opened(
            encode_image(Image.open(io.BytesIO(saved(image, "PNG", transparency=b"\xff\x33"))))
        )
        assert near(seen.getpixel((8, 8)), (204, 204, 204))

    @pytest.mark.parametrize(("mode", "color"), [("1", 0), ("L", 7), ("RGB", (7, 8, 9))])
    def test_one_transparent_color_without_a_palette(self, mode: str, color: Any):
        data = saved(Image.new(mode, (16, 16), color), "PNG", transparency=color)
        assert near(opened(encode_image(Image.open(io.BytesIO(data)))).getpixel((8, 8)), WHITE)

    def test_16_bit_png(self):
        image = Image.open(io.BytesIO(saved(Image.new("I;16", (16, 16), 100 * 257), "PNG")))
        assert near(opened(encode_image(image)).getpixel((8, 8)), (100, 100, 100))

    @given(st.tuples(*[st.integers(0, 255)] * 4))
    def test_alpha_mixes_with_white(self, color: tuple[int, int, int, int]):
        red, green, blue, alpha = color
        expected = tuple(
            round((channel * alpha + 255 * (255 - alpha)) / 255) for channel in (red, green, blue)
        )
        seen = opened(encode_image(Image.new("RGBA", (16, 16), color))).getpixel((8, 8))
        assert near(seen, expected, most=4)  # type: ignore[arg-type]


class TestJPEG:
    def test_quality_is_95_unless_asked_otherwise(self):
        image = Image.effect_noise((64, 64), 80).convert("RGB")
        assert encode_image(image).data == saved(image, "JPEG", quality=95)
        assert encode_image(image, quality=40).data == saved(image, "JPEG", quality=40)
        assert len(encode_image(image, quality=40).data) < len(encode_image(image).data)

    def test_what_was_about_the_picture_stays_behind(self):
        exif = Image.Exif()
        exif[0x010F] = "SECRET camera"
        data = saved(
            four_corners(),
            "JPEG",
            exif=exif,
            comment=b"SECRET comment",
            icc_profile=b"SECRET profile",
        )
        assert data.count(b"SECRET") == 3
        assert b"SECRET" not in encode_image(Image.open(io.BytesIO(data))).data

    def test_a_comment_too_long_for_a_jpeg(self):
        image = four_corners()
        image.info["comment"] = b"x" * 70_000
        assert opened(encode_image(image)).size == image.size

    @pytest.mark.parametrize("size", [(65_501, 1), (1, 65_501)])
    def test_more_than_a_jpeg_holds(self, size: tuple[int, int], capfd: pytest.CaptureFixture[str]):
        with pytest.raises(
            ValueError,
            match=f"the picture has {size[0]} x {size[1]} pixels, and a JPEG has at most 65,500 a side",
        ):
            encode_image(Image.new("L", size))
        assert capfd.readouterr() == ("", "")
        assert opened(encode_image(Image.new("L", (65_500, 1)))).size == (65_500, 1)

    def test_no_pixel_at_all(self):
        with pytest.raises(ValueError, match="empty"):
            encode_image(Image.new("RGB", (0, 5)))


class TestOrientation:
    @pytest.mark.parametrize("orientation", range(1, 9))
    @pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP", "TIFF"])
    def test_all_eight(self, orientation: int, format: str):
        """EXIF 2.32, 4.6.4: where row 0 and column 0 are.

        The stored picture is upright's turned the other way.
        """
        undo = {
            1: None,
            2: Image.Transpose.FLIP_LEFT_RIGHT,
            3: Image.Transpose.ROTATE_180,
            4: Image.Transpose.FLIP_TOP_BOTTOM,
            5: Image.Transpose.TRANSPOSE,
            6: Image.Transpose.ROTATE_90,
            7: Image.Transpose.TRANSVERSE,
            8: Image.Transpose.ROTATE_270,
        }[orientation]
        upright = four_corners()
        stored = upright if undo is None else upright.transpose(undo)
        exif = Image.Exif()
        exif[ORIENTATION] = orientation
        seen = opened(encode_image(Image.open(io.BytesIO(saved(stored, format, exif=exif)))))
        assert seen.size == upright.size == (64, 128)
        for at in [(10, 20), (54, 20), (10, 108), (54, 108)]:
            assert near(seen.getpixel(at), upright.getpixel(at), most=6), at  # type: ignore[arg-type]

    def test_set_in_memory(self):
        image = four_corners()
        image.getexif()[ORIENTATION] = 6
        assert opened(encode_image(image)).size == (128, 64)
        assert image.size == (64, 128)

    @pytest.mark.parametrize("value", [0, 9, "6"])
    def test_one_that_there_is_not(self, value: Any):
        image = four_corners()
        image.getexif()[ORIENTATION] = value
        assert opened(encode_image(image)).size == (64, 128)

    def test_exif_data_that_is_none(self):
        image = four_corners()
        image.info["exif"] = b"Exif\0\0garbage"
        seen = opened(encode_image(image))
        assert near(seen.getpixel((10, 20)), RED)

    def test_the_callers_image_stays_as_it_is(self):
        exif = Image.Exif()
        exif[ORIENTATION] = 6
        image = Image.open(io.BytesIO(saved(four_corners(), "PNG", exif=exif)))
        image.info["comment"] = "mine"
        encode_image(image)
        assert (image.size, image.mode, image.getexif()[ORIENTATION]) == ((64, 128), "RGB", 6)
        assert image.info["comment"] == "mine"
        assert ImageChops.difference(image, four_corners()).getbbox() is None


ANIMATED = ["GIF", "PNG", "WEBP", "TIFF"]


class TestFrames:
    def animation(self, format: str) -> Image.Image:
        frames = [Image.new("RGB", (16, 16), color) for color in (RED, GREEN, BLUE)]
        options = {"lossless": True} if format == "WEBP" else {}
        return Image.open(
            io.BytesIO(saved(frames[0], format, save_all=True, append_images=frames[1:], **options))
        )

    @pytest.mark.parametrize("format", ANIMATED)
    @pytest.mark.parametrize("at", [0, 1, 2])
    def test_the_first_is_sent_and_the_callers_stays(self, format: str, at: int):
        image = self.animation(format)
        image.seek(at)
        before = image.convert("RGB")
        assert near(opened(encode_image(image)).getpixel((8, 8)), RED)
        assert image.tell() == at
        assert ImageChops.difference(image.convert("RGB"), before).getbbox() is None
        assert near(before.getpixel((8, 8)), (RED, GREEN, BLUE)[at])

    def test_it_stays_where_it_was_when_the_first_is_broken_too(self):
        data = bytearray(
            saved(
                four_corners(),
                "TIFF",
                save_all=True,
                append_images=[four_corners()],
                compression="tiff_deflate",
            )
        )
        at = data.index(zlib.compress(b"")[:1], 8)
        data[at : at + 40] = b"\xff" * 40
        image = Image.open(io.BytesIO(data))
        image.seek(1)
        with pytest.raises(OSError, match="decod|-2"):
            encode_image(image)
        assert image.tell() == 1

    def test_a_loaded_image_whose_file_is_closed(self, tmp_path: Path):
        (tmp_path / "moon.png").write_bytes(saved(four_corners(), "PNG"))
        with Image.open(tmp_path / "moon.png") as image:
            image.load()
        assert near(opened(encode_image(image)).getpixel((10, 20)), RED)


class TestBombs:
    """A picture that Pillow has only opened: its header promises what the file does not have, so
    decoding it would fail.
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
        words = "the picture has 1000 x 1000 pixels, more than 999,999: a decompression bomb, or too large to send"
        with pytest.raises(ValueError, match=words):
            encode_image(image, max_pixels=999_999)
        with pytest.raises(OSError, match="truncated|unrecognized data stream"):
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


class TestBytes:
    @pytest.mark.parametrize("format", MEDIA_TYPES)
    @pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
    def test_pass_as_they_are(self, format: str, kind: Callable[[bytes], Any]):
        data = saved(four_corners(), format)
        encoded = encode_image(kind(data))
        assert encoded.media_type == MEDIA_TYPES[format]
        assert encoded.data == data
        assert (
            encoded.data_url
            == f"data:{MEDIA_TYPES[format]};base64,{base64.b64encode(data).decode()}"
        )

    @pytest.mark.parametrize("format", MEDIA_TYPES)
    def test_cut_anywhere_behind_what_tells_the_format(self, format: str):
        """Whether a picture is whole is the server's to say."""
        data = saved(four_corners(), format)
        tells = {"JPEG": 3, "PNG": 8, "GIF": 6, "WEBP": 12}[format]
        for end in range(tells, 64):
            assert encode_image(data[:end], max_pixels=64 * 128).data == data[:end]
        for end in range(tells):
            with pytest.raises(
                ValueError, match="the picture should be a JPEG, PNG, WebP or GIF; its bytes begin"
            ):
                encode_image(data[:end])

    @pytest.mark.parametrize("format", ["BMP", "TIFF", "PPM", "ICO", "JPEG2000", "PDF"])
    def test_of_other_formats(self, format: str):
        with pytest.raises(
            ValueError,
            match=r"should be a JPEG, PNG, WebP or GIF; its bytes begin b'.*'\. Open other formats with Pillow",
        ):
            encode_image(saved(four_corners(), format))

    @pytest.mark.parametrize(
        "data",
        [
            b"",
            b"RIFF\x04\0\0\0WAVE",
            b"GIF88a",
            b"\xff\xd8",
            b"\x89PNG\r\n\n",
            b"<svg/>",
            b"RIFF",
            b"XXXX\4\0\0\0WEBP",
        ],
    )
    def test_of_none(self, data: bytes):
        with pytest.raises(ValueError, match="its bytes begin b"):
            encode_image(data)

    @pytest.mark.parametrize(
        "data",
        [
            b"\xff\xd8\xff\xe0\x00\x04ab" + b"\x00" * 1000,  # a segment, and then no marker
            b"\xff\xd8\xff\xe0\x00\x00\x00\x00",
            b"\xff\xd8" + b"\xff" * 1000,
            b"\x89PNG\r\n\x1a\n\x00",
            b"GIF89a\x01",
            b"RIFF\0\0\0\0WEBPVP8X",
            b"RIFF\0\0\0\0WEBPVP8L",
            b"RIFF\0\0\0\0WEBP",
        ],
    )
    def test_whose_size_cannot_be_read(self, data: bytes):
        assert encode_image(data, max_pixels=1).data == data

    @given(
        st.sampled_from(
            [
                b"\xff\xd8\xff",
                b"\x89PNG\r\n\x1a\n",
                b"GIF89a",
                b"RIFF\0\0\0\0WEBP",
                b"RIFF\0\0\0\0WEBPVP8X",
            ]
        ),
        st.binary(max_size=60),
    )
    def test_any_behind_a_format(self, lead: bytes, rest: bytes):
        with suppress(ValueError):  # of as many pixels as no picture has
            assert encode_image(lead + rest).data == lead + rest


SIZES = [(1, 1), (7, 300), (300, 7), (255, 256), (1023, 3)]


class TestSizes:
    """Read from the first bytes alone, and seen by where `max_pixels` begins to refuse."""

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
        """RFC 9649: simple lossy, simple lossless, extended."""
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

    @pytest.mark.parametrize("marker", range(0xC0, 0xD0))
    def test_every_kind_of_jpeg_frame(self, marker: int):
        """ITU-T T.81, table B.1: of the markers in this row, three begin no frame, and the size
        comes behind them.
        """
        frame = bytes((0xFF, marker)) + struct.pack(">HBHH", 11, 8, 90, 70)
        other = b"\xff\xc0" + struct.pack(">HBHH", 11, 8, 50, 60)
        padding = bytes(4)  # of what both segments hold beside the size
        with pytest.raises(
            ValueError, match="60 x 50 pixels" if marker in (0xC4, 0xC8, 0xCC) else "70 x 90 pixels"
        ):
            encode_image(b"\xff\xd8" + frame + padding + other + padding, max_pixels=1)

    def test_fill_bytes_before_a_jpeg_marker(self):
        """ITU-T T.81, B.1.1.2."""
        data = saved(Image.new("L", (7, 9)), "JPEG")
        at = data.index(b"\xff\xc0")
        self.check(data[:at] + b"\xff" * 5 + data[at:], (7, 9))


class TestDataURLs:
    @pytest.mark.parametrize("format", MEDIA_TYPES)
    def test_pass(self, format: str):
        encoded = encode_image(saved(four_corners(), format))
        assert encode_image(encoded.data_url) == encoded

    def test_the_bytes_decide_what_it_is(self):
        data = base64.b64encode(saved(four_corners(), "PNG")).decode()
        for head in ("data:image/jpeg;base64,", "data:image/x;name=moon;base64,"):
            assert encode_image(head + data) == encode_image(f"data:image/png;base64,{data}")

    @pytest.mark.parametrize(
        "url",
        [
            "data:image/png,abc",
            "data:text/plain;base64,abcd",
            "data:image/png;base64",
            "https://example.com/a.png",
            "",
        ],
    )
    def test_others(self, url: str):
        with pytest.raises(
            ValueError, match="a picture given as text should be a base64 data URL"
        ) as caught:
            encode_image(url)
        assert repr(url) in str(caught.value)

    @pytest.mark.parametrize("data", ["ab", "ab!=", "YWJj YWJj", "YWJj\n", "é"])
    def test_broken_base64(self, data: str):
        with pytest.raises(ValueError, match=r"^the data URL's base64 is broken: "):
            encode_image(f"data:image/png;base64,{data}")

    def test_of_another_format(self):
        with pytest.raises(
            ValueError, match="the picture should be a JPEG, PNG, WebP or GIF; its bytes begin b'BM"
        ):
            encode_image(
                "data:image/bmp;base64," + base64.b64encode(saved(four_corners(), "BMP")).decode()
            )


class TestLimits:
    def test_ten_megabytes(self):
        most = 10 * 1024 * 1024
        assert len(encode_image(b"GIF89a".ljust(most, b"\0")).data) == most
        with pytest.raises(
            ValueError,
            match="the picture has 10,485,761 bytes, and the service takes at most 10,485,760: make it smaller",
        ):
            encode_image(b"GIF89a".ljust(most + 1, b"\0"))

    def test_counts_what_is_sent(self):
        image = Image.effect_noise((64, 64), 80)
        size = len(encode_image(image).data)
        assert encode_image(image, max_bytes=size) == encode_image(image)
        with pytest.raises(
            ValueError,
            match=f"the picture has {size:,} bytes, and the service takes at most {size - 1:,}",
        ):
            encode_image(image, max_bytes=size - 1)


class TestOtherThings:
    """Reading is the caller's, and the error says so."""

    def test_paths_and_files(self, tmp_path: Path):
        path = tmp_path / "moon.gif"
        path.write_bytes(b"GIF89a")
        files = ". This function opens no files: pass bytes, or the result of Pillow's Image.open"
        with path.open("rb") as file:
            for given_, name in (
                (path, type(path).__name__),
                (file, "BufferedReader"),
                (io.BytesIO(b"GIF89a"), "BytesIO"),
            ):
                with pytest.raises(TypeError) as caught:
                    encode_image(given_)  # type: ignore[arg-type]
                assert (
                    str(caught.value)
                    == f"a picture should be a Pillow image, bytes or a data URL, not {name}{files}"
                )
        with pytest.raises(ValueError, match="should be a base64 data URL") as refused:
            encode_image(str(path))
        assert str(refused.value).endswith(files)

    class Convertible:
        def convert(self, mode: str) -> None: ...

    class Photo:
        def getexif(self) -> None: ...

    @pytest.mark.parametrize("thing", [None, 7, [1, 2], object(), ImageOps, Convertible(), Photo()])
    def test_anything_else(self, thing: Any):
        with pytest.raises(
            TypeError, match="a picture should be a Pillow image, bytes or a data URL, not "
        ):
            encode_image(thing)


class TestEncodedImage:
    def test_is_a_value(self):
        encoded = encode_image(b"GIF89a")
        again = pickle.loads(pickle.dumps(encoded))
        assert (again, hash(again)) == (encoded, hash(encoded))
        assert encoded != encode_image(b"GIF87a")
        assert encode_image(encoded) is encoded
        with pytest.raises(AttributeError):
            encoded.data_url = ""  # type: ignore[misc]

    def test_repr_is_short(self):
        assert (
            repr(encode_image(b"GIF89a".ljust(1_000_000, b"\0")))
            == "<EncodedImage image/gif, 1,333,358 characters>"
        )

    @pytest.mark.parametrize(
        "url", ["", "https://example.com/moon.jpg", "data:image/png,abc", "iVBORw0KGgo="]
    )
    def test_by_hand_it_is_checked_too(self, url: str):
        with pytest.raises(ValueError, match="should be a base64 data URL"):
            EncodedImage(url)


WITHOUT_PILLOW = """
import sys
sys.modules["PIL"] = None  # importing it is an ImportError now
import sansio_moondream
from sansio_moondream import CaptionRequest, Endpoint, encode_image
encoded = encode_image(b"GIF89a" + bytes(20))
assert encode_image(encoded.data_url) == encoded
assert b"image/gif" in CaptionRequest(image=encoded).to_http(Endpoint()).body
try:
    encode_image(object())
except TypeError as error:
    assert "not object" in str(error)
print("fine")
"""


def test_without_pillow():
    root = Path(sansio_moondream.__file__).parent.parent
    run = subprocess.run(
        [sys.executable, "-W", "error", "-c", WITHOUT_PILLOW],
        capture_output=True,
        text=True,
        cwd=root,
    )
    assert (run.returncode, run.stdout, run.stderr) == (0, "fine\n", "")


def test_pillow_is_imported_only_for_its_own_images():
    program = "import sys; import sansio_moondream as s; s.encode_image(b'GIF89a'); print('PIL' in sys.modules)"
    root = Path(sansio_moondream.__file__).parent.parent
    run = subprocess.run(
        [sys.executable, "-W", "error", "-c", program], capture_output=True, text=True, cwd=root
    )
    assert (run.stdout, run.stderr) == ("False\n", "")
