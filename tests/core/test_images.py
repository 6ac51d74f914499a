"""Pictures of Pillow: modes, orientation and frames of what is sent."""

from __future__ import annotations

import io
import zlib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageChops

from sansio_moondream import EncodedImage, encode_image
from tests.core.pillow import BLACK, BLUE, GREEN, RED, WHITE, four_corners, saved

ORIENTATION = 0x0112


def opened(encoded: EncodedImage) -> Image.Image:
    assert encoded.media_type == "image/jpeg"
    image = Image.open(io.BytesIO(encoded.data))
    assert (image.format, image.mode) == ("JPEG", "RGB")
    image.load()
    return image


def near(seen: Any, expected: tuple[int, int, int], most: int = 3) -> bool:
    """JPEG rounds."""
    return all(abs(a - b) <= most for a, b in zip(seen, expected, strict=True))


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
            match=(
                f"the picture has {size[0]} x {size[1]} pixels, and a JPEG has at most 65,500 a "
                "side"
            ),
        ):
            encode_image(Image.new("L", size))
        assert capfd.readouterr() == ("", "")
        assert opened(encode_image(Image.new("L", (65_500, 1)))).size == (65_500, 1)

    @pytest.mark.parametrize("size", [(0, 5), (5, 0)])
    @pytest.mark.parametrize("max_side", [None, 3])
    def test_no_pixel_at_all(self, size: tuple[int, int], max_side: int | None):
        with pytest.raises(ValueError, match=f"no pixels: it has a size of {size[0]} x {size[1]}"):
            encode_image(Image.new("RGB", size), max_side=max_side)


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
        with pytest.raises(ValueError, match="Pillow cannot decode the picture: .*-2"):
            encode_image(image)
        assert image.tell() == 1

    def test_a_loaded_image_whose_file_is_closed(self, tmp_path: Path):
        (tmp_path / "moon.png").write_bytes(saved(four_corners(), "PNG"))
        with Image.open(tmp_path / "moon.png") as image:
            image.load()
        assert near(opened(encode_image(image)).getpixel((10, 20)), RED)
