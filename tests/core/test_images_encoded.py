"""Encoded images, and what works without Pillow."""

from __future__ import annotations

import itertools
import json
import pickle
import re
import subprocess
import sys
from enum import Enum
from pathlib import Path

import pytest

import sansio_moondream
from sansio_moondream import CaptionRequest, EncodedImage, Endpoint, encode_image


class Picture(str, Enum):  # noqa: UP042 - a StrEnum is formatted as its text
    DOT = "data:image/gif;base64,R0lGODlh"


class TestEncodedImage:
    def test_a_member_of_an_enum_is_sent_as_its_text(self):
        body = CaptionRequest(image=EncodedImage(Picture.DOT)).to_http(Endpoint()).body
        assert json.loads(body)["image_url"] == "data:image/gif;base64,R0lGODlh"

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
