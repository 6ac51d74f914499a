"""Pictures that are made smaller: to a side, and to fit into the limit of bytes."""

from __future__ import annotations

import io
import re
import sys
from collections.abc import Callable
from typing import Any

import pytest
from PIL import Image, ImageChops

from sansio_moondream import EncodedImage, encode_image
from sansio_moondream.images import upright
from tests.core.pillow import BLUE, GREEN, RED, four_corners, png, saved

NOISE = Image.effect_noise((200, 150), 80).convert("RGB")
SIZES = {quality: len(saved(NOISE, "JPEG", quality=quality)) for quality in (95, 90, 85, 80)}


def opened(encoded: EncodedImage) -> Image.Image:
    return Image.open(io.BytesIO(encoded.data))


def quality_of(encoded: EncodedImage) -> dict[int, list[int]]:
    """The quantization tables, which stand for a quality."""
    tables: dict[int, list[int]] = opened(encoded).quantization  # type: ignore[attr-defined]
    return tables


def same_as(quality: int) -> dict[int, list[int]]:
    return quality_of(encode_image(NOISE, quality=quality))


class TestSide:
    @pytest.mark.parametrize(
        ("size", "max_side", "expected"),
        [
            ((200, 150), 100, (100, 75)),
            ((150, 200), 100, (75, 100)),
            ((200, 150), 199, (199, 149)),
            ((200, 150), 1, (1, 1)),
            ((1000, 1), 100, (100, 1)),
            ((64, 64), 63, (63, 63)),
        ],
    )
    def test_longer_one_is_limited_and_the_ratio_stays(
        self, size: tuple[int, int], max_side: int, expected: tuple[int, int]
    ):
        encoded = encode_image(Image.new("RGB", size, RED), max_side=max_side)
        assert opened(encoded).size == expected
        assert encoded.note == (
            f"made smaller from {size[0]} x {size[1]} to {expected[0]} x {expected[1]}"
        )

    @pytest.mark.parametrize("max_side", [200, 201, None])
    def test_smaller_picture_is_unchanged(self, max_side: int | None):
        encoded = encode_image(NOISE, max_side=max_side)
        assert (encoded, encoded.note) == (encode_image(NOISE), None)
        data = saved(NOISE, "PNG")
        encoded = encode_image(data, max_side=max_side)
        assert (encoded.data, encoded.note) == (data, None)

    @pytest.mark.parametrize("format", ["JPEG", "PNG", "GIF", "WEBP"])
    @pytest.mark.parametrize(
        "as_given", [lambda data: data, lambda data: encode_image(data).data_url]
    )
    def test_bytes_and_data_urls_too(self, format: str, as_given: Callable[[bytes], Any]):
        data = saved(four_corners(), format)
        encoded = encode_image(as_given(data), max_side=64)
        assert encoded == encode_image(opened(encode_image(data)), max_side=64)
        image = opened(encoded)
        assert (image.format, image.size) == ("JPEG", (32, 64))
        assert encoded.note == "made smaller from 64 x 128 to 32 x 64"

    def test_of_a_turned_picture_as_it_is_shown(self):
        exif = Image.Exif()
        exif[0x0112] = 6
        data = saved(four_corners(), "JPEG", exif=exif)
        encoded = encode_image(data, max_side=32)
        assert encoded.note == "made smaller from 128 x 64 to 32 x 16"
        seen = opened(encoded).getpixel((4, 4))
        assert isinstance(seen, tuple)
        assert all(abs(a - b) < 40 for a, b in zip(seen, BLUE, strict=True))

    def test_filter_keeps_the_mean_of_fine_lines(self):
        """Without a filter, every second line would make it all black or all white."""
        lines = Image.new("L", (200, 200))
        lines.paste(255, None, Image.frombytes("L", (200, 200), (b"\xff" * 200 + bytes(200)) * 100))
        small = opened(encode_image(lines, max_side=50)).convert("L")
        low, high = small.crop((2, 2, 48, 48)).getextrema()
        assert isinstance(low, int | float) and isinstance(high, int | float)
        assert 110 < low <= high < 146

    def test_transparent_pixels_do_not_shine_through(self):
        """Their hidden colour must not mix with that of their neighbours."""
        image = Image.new("RGBA", (100, 100), (*GREEN, 0))
        image.paste((*RED, 255), (0, 0, 50, 100))
        seen = opened(encode_image(image, max_side=10))
        for x in range(10):
            red, green, blue = seen.getpixel((x, 5))  # type: ignore[misc]
            assert red > 180 and abs(green - blue) < 20, (x, red, green, blue)

    def test_more_than_a_jpeg_holds(self):
        image = Image.new("L", (65_501, 2))
        with pytest.raises(ValueError, match="at most 65,500 a side: give max_side"):
            encode_image(image)
        assert opened(encode_image(image, max_side=65_500)).size == (65_500, 2)

    def test_size_that_cannot_be_read_is_left_to_pillow(self):
        with pytest.raises(ValueError, match="Pillow cannot open the picture: "):
            encode_image(b"\x89PNG\r\n\x1a\n", max_side=10)

    def test_bombs_are_refused_before(self):
        with pytest.raises(ValueError, match="pixels, more than 178,956,970"):
            encode_image(png(20_000, 20_000), max_side=10)
        with pytest.raises(ValueError, match=r"200 x 150 pixels, more than 29,999: "):
            encode_image(saved(NOISE, "PNG"), max_side=10, max_pixels=29_999)

    @pytest.mark.parametrize("name", ["max_side", "max_bytes"])
    @pytest.mark.parametrize("limit", [0, -1, True, 1.5, 2**63])
    def test_bad_values(self, name: str, limit: Any):
        with pytest.raises(
            ValueError, match=f"^{name} should be a whole number of at least 1, not"
        ):
            encode_image(NOISE, **{name: limit})

    @pytest.mark.parametrize("quality", [0, 101, True, 50.0, "keep", None])
    @pytest.mark.parametrize("picture", [NOISE, png(1, 1)], ids=["pillow", "bytes"])
    def test_bad_quality(self, picture: Any, quality: Any):
        with pytest.raises(
            (ValueError, TypeError), match="^quality should be a whole number from 1 to 100, not "
        ):
            encode_image(picture, quality=quality)

    @pytest.mark.parametrize("quality", [1, 100])
    def test_the_lowest_and_the_highest_quality(self, quality: int):
        expected = saved(NOISE, "JPEG", quality=quality)
        assert encode_image(NOISE, quality=quality).data == expected

    def test_encoded_picture_is_returned_unchanged(self):
        encoded = encode_image(NOISE)
        assert encode_image(encoded, max_side=10, max_bytes=10) is encoded

    def test_callers_image_stays_as_it_is(self):
        image = NOISE.copy()
        encode_image(image, max_side=10, max_bytes=5000)
        assert ImageChops.difference(image, NOISE).getbbox() is None


class TestBytes:
    @pytest.mark.parametrize("quality", [90, 85, 80])
    def test_quality_is_lowered_first(self, quality: int):
        limit = SIZES[quality]
        encoded = encode_image(NOISE, max_bytes=limit)
        assert (opened(encoded).size, len(encoded.data)) == (NOISE.size, limit)
        assert encoded.data == encode_image(NOISE, quality=quality).data
        assert encoded.note == f"encoded again, JPEG quality {quality}, to fit into {limit:,} bytes"

    @pytest.mark.parametrize("quality", [95, 80])
    def test_one_byte_less_needs_the_next_step(self, quality: int):
        encoded = encode_image(NOISE, max_bytes=SIZES[quality] - 1)
        assert encoded != encode_image(NOISE, max_bytes=SIZES[quality])
        assert encoded.note is not None
        assert encoded.note.startswith(
            "encoded again, JPEG quality 90," if quality == 95 else "made smaller from"
        )

    @pytest.mark.parametrize("share", [0.99, 0.6, 0.2, 0.05])
    def test_then_it_is_made_smaller_at_quality_80(self, share: float):
        limit = int(SIZES[80] * share)
        encoded = encode_image(NOISE, max_bytes=limit)
        width, height = opened(encoded).size
        assert limit * 0.5 < len(encoded.data) <= limit
        assert abs(width / height - 4 / 3) < 0.05
        assert quality_of(encoded) == same_as(80)
        assert encoded.note == (
            f"made smaller from 200 x 150 to {width} x {height}, JPEG quality 80, "
            f"to fit into {limit:,} bytes"
        )
        assert encode_image(NOISE, max_bytes=limit) == encoded

    def test_lower_quality_that_was_asked_for_stays(self):
        encoded = encode_image(NOISE, quality=60, max_bytes=5000)
        assert quality_of(encoded) == same_as(60)
        assert ", JPEG quality 60, to fit" in str(encoded.note)
        encoded = encode_image(NOISE, quality=85, max_bytes=SIZES[80])
        assert encoded.note == f"encoded again, JPEG quality 80, to fit into {SIZES[80]:,} bytes"

    def test_side_and_bytes(self):
        encoded = encode_image(NOISE, max_side=100, max_bytes=4000)
        size = opened(encoded).size
        assert max(size) < 100
        assert f"made smaller from 200 x 150 to {size[0]} x {size[1]}, JPEG" in str(encoded.note)

    @pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP"])
    def test_of_files(self, format: str):
        data = saved(NOISE, format, quality=95, lossless=True)
        assert encode_image(data, max_bytes=len(data)).data == data
        encoded = encode_image(data, max_bytes=len(data) - 1)
        assert encoded.media_type == "image/jpeg"
        assert opened(encoded).size == NOISE.size
        assert re.fullmatch(
            rf"encoded again, JPEG quality 9[05], to fit into {len(data) - 1:,} bytes",
            str(encoded.note),
        )
        again = encode_image(Image.open(io.BytesIO(data)), max_bytes=len(data) - 1)
        assert encoded.data == again.data

    def test_of_files_that_are_turned(self):
        exif = Image.Exif()
        exif[0x0112] = 8
        data = saved(NOISE, "JPEG", quality=95, exif=exif)
        encoded = encode_image(data, max_bytes=len(data) - 1000)
        assert opened(encoded).size == upright(Image.open(io.BytesIO(data))).size == (150, 200)

    def test_note_counts_in_megabytes_where_they_are_whole(self):
        """A comment makes the file larger, and is dropped."""
        small = saved(four_corners(), "JPEG", quality=95)
        data = small[:2] + (b"\xff\xfe\xff\xff" + bytes(65_533)) * 161 + small[2:]
        assert len(data) > 10 * 1024 * 1024
        encoded = encode_image(data)
        assert encoded.note == "encoded again, JPEG quality 95, to fit into 10 MB"
        assert encode_image(data, max_side=32).note == "made smaller from 64 x 128 to 16 x 32"
        assert encode_image(data, max_side=128).note == encoded.note

    @pytest.mark.parametrize("limit", [100, 1])
    def test_what_cannot_fit(self, limit: int):
        words = rf"^the picture cannot be made to fit into {limit} bytes: of 1 x 1 pixels, as a JP"
        with pytest.raises(ValueError, match=words):
            encode_image(NOISE, max_bytes=limit)

    @pytest.mark.parametrize(("quality", "whole"), [(95, 4), (90, 3), (85, 2), (80, 1), (60, 1)])
    def test_number_of_attempts_is_bounded(
        self, monkeypatch: pytest.MonkeyPatch, quality: int, whole: int
    ):
        """With a file that stays above the limit, whatever its size is."""
        attempts: list[tuple[int, int]] = []

        def save(image: Image.Image, out: io.BytesIO, *_: Any, **__: Any) -> None:
            attempts.append(image.size)
            out.write(bytes(1001))

        monkeypatch.setattr(Image.Image, "save", save)
        with pytest.raises(ValueError, match="into 1,000 bytes: .* quality [68]0, it has 1,001$"):
            encode_image(NOISE, quality=quality, max_bytes=1000)
        assert len(attempts) == whole + 8
        assert attempts[:whole] == [NOISE.size] * whole
        assert attempts[whole - 1 :] == sorted(set(attempts), reverse=True)

    def test_files_that_pillow_cannot_read(self):
        with pytest.raises(ValueError, match="takes at most 50. It cannot be made smaller: Pillow"):
            encode_image(b"GIF89a".ljust(51, b"\0"), max_bytes=50)
        with pytest.raises(ValueError, match=r"takes at most 100\. It cannot .*has 20\d x|cannot"):
            encode_image(saved(NOISE, "PNG")[:5000], max_bytes=100)


class TestWithoutPillow:
    @pytest.fixture(autouse=True)
    def no_pillow(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.data = saved(NOISE, "PNG")
        monkeypatch.setitem(sys.modules, "PIL", None)

    def test_what_is_within_the_limits_is_sent_unchanged(self):
        assert encode_image(self.data, max_side=200, max_bytes=len(self.data)).data == self.data

    def test_a_side_needs_it(self):
        with pytest.raises(ModuleNotFoundError, match=r"pip install 'sansio-moondream\[images\]'"):
            encode_image(self.data, max_side=199)

    def test_too_many_bytes_are_a_fault_of_the_picture(self):
        words = rf"at most {len(self.data) - 1:,}: make it smaller; this needs Pillow, which .*pip"
        with pytest.raises(ValueError, match=words):
            encode_image(self.data, max_bytes=len(self.data) - 1)


class TestNote:
    def test_is_part_of_the_value(self):
        url = encode_image(b"GIF89a").data_url
        assert EncodedImage(url, note="made smaller") != EncodedImage(url)
        assert EncodedImage(url, None, "made smaller").note == "made smaller"
        assert encode_image(b"GIF89a").note is None

    def test_in_the_repr(self):
        url = encode_image(b"GIF89a").data_url
        assert repr(EncodedImage(url, note="made smaller")) == (
            "<EncodedImage image/gif, 30 characters: made smaller>"
        )
        assert len(repr(EncodedImage(url, note="x" * 1000))) < 160

    @pytest.mark.parametrize(
        ("note", "kind", "shown"),
        [("", ValueError, "''"), (7, ValueError, "7"), ([], TypeError, "list")],
    )
    def test_is_checked(self, note: Any, kind: type[Exception], shown: str):
        with pytest.raises(kind, match=f"^note should be text .*, or None, not {shown}$"):
            EncodedImage(encode_image(b"GIF89a").data_url, note=note)
