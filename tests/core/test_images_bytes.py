"""Pictures as bytes and as data URLs, with and without Pillow."""

from __future__ import annotations

import base64
import io
import itertools
import pickle
import re
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import ImageOps

import sansio_moondream
from sansio_moondream import EncodedImage, encode_image
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
        ("data", "words"),
        [
            ("iVBORw0KGgo", "the data URL's base64 is broken: "),
            ("iVBORw0KGgo==", "the data URL's base64 is broken: "),
            ("iVBORw0K\nGgo=", "the data URL's base64 is broken: "),
            ("iVBORw0KGgo=\n", "the data URL's base64 is broken: "),
            ("iVBORw0KGg\u00e9=", "the data URL's base64 is broken: "),
            ("b'iVBORw0KGgo='", "the data URL's base64 is broken: "),
            ("iVBORw0KGgo=iVBO", "the data URL's base64 is broken: "),
            ("", "its bytes begin b''"),
            ("PHN2Zz4=", "its bytes begin b'<svg>'"),
            ("Qk0=", "its bytes begin b'BM'"),
        ],
    )
    def test_by_hand_its_bytes_are_checked(self, data: str, words: str):
        with pytest.raises(ValueError, match=re.escape(words)):
            EncodedImage(f"data:image/png;base64,{data}")

    def test_by_hand_and_by_encode_image_the_same_texts_are_base64(self):
        """The first checks the digits, the second decodes them."""
        for length in range(5):
            for digits in itertools.product("Ab=?\u00e9", repeat=length):
                url = f"data:image/gif;base64,R0lGODlh{''.join(digits)}"
                found: list[object] = []
                for make in (EncodedImage, encode_image):
                    try:
                        found.append(make(url).data)
                    except ValueError as error:
                        found.append(str(error))
                assert found[0] == found[1], url

    def test_by_hand_the_label_is_not_checked(self):
        image = EncodedImage("data:image/jpg;charset=utf-8;base64,/9j/")
        assert (image.media_type, image.data) == ("image/jpg", b"\xff\xd8\xff")

    @pytest.mark.parametrize(
        "head",
        [
            "data:image/ png",
            "data:image/png;\nx",
            "data:text/html",
            "data:image/",
            "data:image/p,g",
            "data:image/png;",
            "data:image/\ud800",
            "data:image/png;\udfff",
        ],
    )
    def test_by_hand_its_head_is_checked(self, head: str):
        with pytest.raises(ValueError, match="should be a base64 data URL"):
            EncodedImage(f"{head};base64,iVBORw0KGgo=")

    def test_detail(self):
        url = "data:image/png;base64,iVBORw0KGgo="
        assert EncodedImage(url).detail is None
        assert EncodedImage(url, "high").detail == "high"
        assert EncodedImage(url, "high") != EncodedImage(url)
        with pytest.raises(ValueError, match="detail should be text"):
            EncodedImage(url, " ")
        with pytest.raises(TypeError, match="detail should be text .*, not list"):
            EncodedImage(url, ["high"])  # type: ignore[arg-type]

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
    program = (
        "import sys; import sansio_moondream as s; s.encode_image(b'GIF89a'); print('PIL' in "
        "sys.modules)"
    )
    root = Path(sansio_moondream.__file__).parent.parent
    run = subprocess.run(
        [sys.executable, "-W", "error", "-c", program], capture_output=True, text=True, cwd=root
    )
    assert (run.stdout, run.stderr) == ("False\n", "")
