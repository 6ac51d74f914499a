"""Pictures as bytes and as data URLs, with and without Pillow."""

from __future__ import annotations

import base64
import io
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import ImageOps

from sansio_moondream import encode_image
from tests.core.pillow import four_corners, saved

MEDIA_TYPES = {"JPEG": "image/jpeg", "PNG": "image/png", "GIF": "image/gif", "WEBP": "image/webp"}


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
    def test_truncated_anywhere_after_its_signature(self, format: str):
        """Only the server decides whether a picture is complete."""
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
            match=(
                r"should be a JPEG, PNG, WebP or GIF; its bytes begin b'.*'\. Open other "
                "formats with Pillow"
            ),
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


class TestOtherThings:
    """The caller has to read the file, and the error says so."""

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
