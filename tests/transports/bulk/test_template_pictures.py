"""The pictures of a bulk run: read, encoded, measured."""

from __future__ import annotations

import base64
import io
import os
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from moondream_transports.bulk import Item, Template
from moondream_transports.bulk._template import picture_size
from sansio_moondream import CaptionRequest
from tests.helpers import PIXEL

GIF = PIXEL.data


def photo(width: int, height: int, format: str = "JPEG", **options: Any) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (width, height), "teal").save(file, format, **options)
    return file.getvalue()


def test_pictures_of_each_kind(tmp_path: Path):
    path = tmp_path / "a b\n,ü.gif"
    path.write_bytes(GIF)
    template = Template("caption")
    for picture in (path, GIF, PIXEL.data_url):
        assert template.request(Item("1", picture)) == CaptionRequest(image=PIXEL)


@pytest.mark.parametrize("format", ["BMP", "TIFF"])
def test_pictures_that_have_to_be_converted(format: str, tmp_path: Path):
    path = tmp_path / "a"
    path.write_bytes(photo(3, 2, format))
    for picture in (path, path.read_bytes()):
        request: Any = Template("caption").request(Item("1", picture))
        assert request.image.media_type == "image/jpeg"
        assert picture_size(request) == (3, 2)


def test_large_pictures_are_made_smaller():
    for picture in (
        photo(40, 20),
        f"data:image/jpeg;base64,{base64.b64encode(photo(40, 20)).decode()}",
    ):
        request: Any = Template("caption", max_side=10).request(Item("1", picture))
        assert picture_size(request) == (10, 5)


@pytest.mark.parametrize(
    ("picture", "error", "words"),
    [
        (b"no picture", ValueError, "it should be an intact JPEG"),
        (b"", ValueError, "it should be an intact JPEG"),
        ("data:image/png;base64,???", ValueError, "base64 is broken"),
        ("photo.jpg", ValueError, "should be a base64 data URL"),
        (
            bytearray(GIF),
            TypeError,
            "a picture should be a Path, bytes, a data URL or an EncodedImage",
        ),
        (Path("nowhere.jpg"), OSError, "nowhere.jpg"),
        (Path("nul\0.jpg"), ValueError, "null"),
        (Path(), ValueError, "it should be a file"),
        (Path(os.devnull), ValueError, "it should be a file"),
        (Path("/dev/zero"), ValueError, "it should be a file"),
    ],
)
def test_pictures_that_cannot_be_sent(picture: Any, error: type[Exception], words: str):
    with pytest.raises(error, match=words):
        Template("caption").request(Item("1", picture))


def test_a_pipe_is_not_read(tmp_path: Path):
    os.mkfifo(path := tmp_path / "a.jpg")
    with pytest.raises(ValueError, match="it should be a file"):
        Template("caption").request(Item("1", path))


def test_a_huge_file_is_not_read(tmp_path: Path):
    path = tmp_path / "huge.jpg"
    with path.open("wb") as file:
        file.truncate(256 * 1024 * 1024 + 1)
    with pytest.raises(ValueError, match="it has 268,435,457 bytes, more than 268,435,456"):
        Template("caption").request(Item("1", path))


def test_the_size_of_the_picture():
    assert picture_size(Template("query", question="?").request(Item("1"))) == (None, None)
    assert picture_size(CaptionRequest(image=PIXEL)) == (1, 1)
    late = photo(5, 4, comment=b"x" * 65000 + b"y" * 500)
    late = late[:2] + b"\xff\xfe\xff\xff" + b"z" * 65533 + late[2:]
    assert picture_size(Template("caption").request(Item("1", late))) == (5, 4)
    cut = Template("caption").request(Item("1", photo(5, 4)[:30]))
    assert picture_size(cut) == (None, None)
