"""Bytes of a picture that is to be turned: they are sent as the picture is shown and drawn on."""

from __future__ import annotations

import base64
import io
import struct
import sys

import pytest
from PIL import Image, ImageChops, PngImagePlugin

from sansio_moondream import encode_image
from sansio_moondream.images import upright
from tests.core.pillow import BLUE, RED, four_corners, saved

ORIENTATION = 0x0112
XMP = (
    '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF><rdf:Description '
    'tiff:Orientation="6"/></rdf:RDF></x:xmpmeta>'
)


def exif(orientation: int) -> Image.Exif:
    made = Image.Exif()
    made[ORIENTATION] = orientation
    return made


def text(name: str, value: str) -> PngImagePlugin.PngInfo:
    info = PngImagePlugin.PngInfo()
    info.add_text(name, value)
    return info


def profile(orientation: int) -> str:
    """Write EXIF data as ImageMagick puts it into a PNG."""
    data = exif(orientation).tobytes()
    return f"\nexif\n{len(data):8}\n{data.hex()}\n"


TURNED = {
    "JPEG": saved(four_corners(), "JPEG", exif=exif(6)),
    "PNG": saved(four_corners(), "PNG", exif=exif(6)),
    "WebP": saved(four_corners(), "WEBP", exif=exif(6)),
    "JPEG by XMP": saved(four_corners(), "JPEG", xmp=XMP.encode()),
    "WebP by XMP": saved(four_corners(), "WEBP", xmp=XMP.encode()),
    "PNG by XMP": saved(four_corners(), "PNG", pnginfo=text("XML:com.adobe.xmp", XMP)),
    "PNG by ImageMagick": saved(
        four_corners(), "PNG", pnginfo=text("Raw profile type exif", profile(6))
    ),
}
turned = pytest.mark.parametrize("data", TURNED.values(), ids=TURNED.keys())


def test_what_follows_the_pixels_of_a_jpeg_turns_nothing():
    plain = saved(four_corners(), "JPEG")
    at = TURNED["JPEG"].index(b"\xff\xe1")
    (length,) = struct.unpack_from(">H", TURNED["JPEG"], at + 2)
    appended = plain + TURNED["JPEG"][at : at + 2 + length]
    assert encode_image(appended).data == appended


def opened(data: bytes) -> Image.Image:
    return Image.open(io.BytesIO(data))


@turned
def test_they_are_sent_upright(data: bytes):
    encoded = encode_image(data)
    assert encoded == encode_image(opened(data))
    sent = opened(encoded.data)
    assert (sent.format, sent.size) == ("JPEG", (128, 64))
    assert sent.getexif() == {}
    for at, color in (((118, 10), RED), ((10, 10), BLUE)):
        assert all(abs(a - b) < 9 for a, b in zip(sent.getpixel(at) or (), color, strict=True))  # type: ignore[arg-type]


@turned
def test_a_turned_copy_is_not_turned_again(data: bytes):
    once = upright(opened(data))
    assert once.size == (128, 64)
    assert ImageChops.difference(upright(once), once).getbbox() is None
    assert upright(opened(saved(once, "PNG"))).size == (128, 64)


def test_so_is_a_data_url():
    url = "data:image/jpeg;base64," + base64.b64encode(TURNED["JPEG"]).decode()
    assert encode_image(url) == encode_image(opened(TURNED["JPEG"]))


@pytest.mark.parametrize("orientation", range(2, 9))
def test_all_orientations(orientation: int):
    data = saved(four_corners(), "JPEG", exif=exif(orientation))
    assert encode_image(data) == encode_image(opened(data))
    assert encode_image(data).data != data


@pytest.mark.parametrize("orientation", [0, 1, 9])
def test_upright_ones_are_sent_unchanged(orientation: int):
    data = saved(four_corners(), "JPEG", exif=exif(orientation))
    assert encode_image(data).data == data


@pytest.mark.filterwarnings("ignore:Corrupt EXIF")
@pytest.mark.parametrize("broken", [b"garbage", b"MM\0*\0\0\0\x08\xff\xff", b""])
def test_invalid_exif_data_turns_nothing(broken: bytes):
    data = saved(four_corners(), "JPEG", exif=b"Exif\0\0" + broken)
    assert encode_image(data).data == data
    assert upright(opened(data)).size == (64, 128)


def test_quality_and_limits_hold():
    data = TURNED["JPEG"]
    assert encode_image(data, quality=20) == encode_image(opened(data), quality=20)
    assert len(encode_image(data, quality=20).data) < len(encode_image(data).data)
    with pytest.raises(ValueError, match="takes at most 100. It cannot be made smaller"):
        encode_image(data, max_bytes=100)
    with pytest.raises(ValueError, match="64 x 128 pixels, more than 8,191"):
        encode_image(data, max_pixels=64 * 128 - 1)
    assert encode_image(data, max_pixels=64 * 128).media_type == "image/jpeg"


def test_one_that_cannot_be_decoded_is_refused():
    with pytest.raises(ValueError, match="Pillow cannot decode the picture: "):
        encode_image(TURNED["JPEG"][:-100])


def test_one_that_cannot_be_opened_is_sent_unchanged():
    """Only the server decides whether it is a picture."""
    assert encode_image(b"\xff\xd8\xff Exif").data == b"\xff\xd8\xff Exif"


def test_without_pillow_it_is_sent_unchanged(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "PIL", None)
    assert encode_image(TURNED["JPEG"]).data == TURNED["JPEG"]


def test_words_that_are_no_exif_data_do_not_matter():
    data = saved(four_corners(), "PNG", pnginfo=text("Comment", "Exif eXIf EXIF XMP "))
    assert encode_image(data).data == data
