"""The upright copy of a picture: its colours, and that the picture itself stays as it is."""

from __future__ import annotations

import io
import struct

import pytest
from PIL import Image

from sansio_moondream.images import upright
from tests.core.pillow import BLUE, RED, png, saved


def shown(image: Image.Image) -> list[object]:
    """Return the pixels of the first row."""
    copy = upright(image)
    return [copy.getpixel((x, 0)) for x in range(copy.width)]


def deep_png(*values: int, transparent: int | None = None) -> Image.Image:
    """Open a grey PNG with 16 bits."""
    more = () if transparent is None else ((b"tRNS", struct.pack(">H", transparent)),)
    row = b"\0" + struct.pack(f">{len(values)}H", *values)
    return Image.open(io.BytesIO(png(len(values), 1, depth=16, rows=row, more=more)))


def deep_color_png(*pixels: tuple[int, int, int], transparent: tuple[int, int, int]) -> Image.Image:
    """Open a PNG with 16 bits of each colour."""
    row = b"\0" + b"".join(struct.pack(">3H", *pixel) for pixel in pixels)
    more = ((b"tRNS", struct.pack(">3H", *transparent)),)
    return Image.open(io.BytesIO(png(len(pixels), 1, depth=16, color=2, rows=row, more=more)))


class TestDeep:
    def test_values_are_rounded_to_8_bits(self):
        """One of 8 bits is 257 of 16 bits."""
        seen = shown(deep_png(0, 128, 129, 257, 77 * 257, 65535 - 129, 65535 - 128, 65535))
        assert seen == [(v, v, v) for v in (0, 0, 1, 1, 77, 254, 255, 255)]

    @pytest.mark.parametrize("transparent", [0, 77, 20_000, 65_535])
    def test_one_value_is_transparent(self, transparent: int):
        """Others that become the same grey are not."""
        values = (0, 1, 76, 77, 78, 20_000, 20_001, 65_534, 65_535)
        image = deep_png(*values, transparent=transparent)
        greys = [round(value / 257) for value in values]
        alphas = [0 if value == transparent else 255 for value in values]
        assert shown(image) == [(v, v, v, a) for v, a in zip(greys, alphas, strict=True)]
        assert "transparency" not in upright(image).info
        assert image.info["transparency"] == transparent

    def test_one_color_is_transparent(self):
        seen = shown(deep_color_png((0x100, 0xFF, 0), (0x300, 0, 0), transparent=(0x100, 0, 0)))
        assert seen == [(1, 0, 0, 0), (3, 0, 0, 255)]

    def test_a_color_of_8_bits_stays(self):
        image = Image.new("RGB", (2, 1), (255, 2, 3))
        image.putpixel((1, 0), (0, 2, 3))
        data = saved(image, "PNG", transparency=(255, 2, 3))
        assert shown(Image.open(io.BytesIO(data))) == [(255, 2, 3, 0), (0, 2, 3, 255)]


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "L", "I;16"])
def test_it_is_a_copy(mode: str):
    image = Image.new(mode, (2, 1))
    copy = upright(image)
    copy.paste("red", (0, 0, 2, 1))
    assert image.getpixel((0, 0)) in (0, (0, 0, 0), (0, 0, 0, 0))


def test_a_profile_stays_and_what_says_that_it_is_turned_goes():
    exif = Image.Exif()
    exif[0x0112] = 6
    image = Image.new("RGB", (2, 1), RED)
    image.putpixel((1, 0), BLUE)
    data = saved(image, "PNG", exif=exif, icc_profile=b"a profile", dpi=(300, 300))
    copy = upright(Image.open(io.BytesIO(data)))
    assert copy.size == (1, 2)
    assert (copy.getpixel((0, 0)), copy.getpixel((0, 1))) == (RED, BLUE)
    assert copy.info["icc_profile"] == b"a profile"
    assert "exif" not in copy.info
