"""What is drawn on: a picture in each form in which it can be sent, and however it is turned."""

from __future__ import annotations

import base64
import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageChops

from sansio_moondream import (
    BBox,
    DetectResult,
    EncodedImage,
    Point,
    PointResult,
    SegmentResult,
    encode_image,
)
from sansio_moondream.images import cut_out, draw_boxes, draw_points, lay_over, upright
from tests.core.pictures import SQUARE
from tests.core.pillow import BLACK, GREEN, WHITE, saved

SIZE = (64, 32)
PNG = saved(Image.new("RGB", SIZE, WHITE), "PNG")
URL = "data:image/png;base64," + base64.b64encode(PNG).decode()
MASK = Image.new("L", SIZE, 255)
DRAW: tuple[Any, ...] = (
    SQUARE.overlay,
    SQUARE.cutout,
    DetectResult((BBox(0.25, 0.5, 0.75, 1),)).overlay,
    PointResult((Point(0.5, 0.75),)).overlay,
    lambda picture: lay_over(picture, MASK),
    lambda picture: cut_out(picture, MASK),
    lambda picture: draw_boxes(picture, [BBox(0, 0, 1, 1)]),
    lambda picture: draw_points(picture, [Point(0.5, 0.5)]),
    upright,
)


@pytest.mark.parametrize(
    "picture",
    [PNG, bytearray(PNG), memoryview(PNG), URL, encode_image(PNG), Image.open(io.BytesIO(PNG))],
    ids=["bytes", "bytearray", "memoryview", "data URL", "EncodedImage", "Pillow"],
)
def test_each_form_that_can_be_sent(picture: Any):
    for draw in DRAW:
        drawn = draw(picture)
        assert isinstance(drawn, Image.Image)
        assert drawn.tobytes() == draw(Image.new("RGB", SIZE, WHITE)).tobytes()


@pytest.mark.parametrize(
    ("picture", "kind"),
    [
        (None, "NoneType"),
        (SIZE, "tuple"),
        (Path("moon.jpg"), "PosixPath|WindowsPath"),
        (io.BytesIO(PNG), "BytesIO"),
        (np.zeros((32, 64, 3), np.uint8), "ndarray"),
        (SQUARE, "SegmentResult"),
    ],
)
def test_other_types_are_refused_in_words(picture: Any, kind: str):
    for draw in DRAW:
        with pytest.raises(
            TypeError,
            match=(
                "a picture should be a Pillow image, bytes, a data URL or an EncodedImage, not "
                f"({kind}). This function opens no files: pass bytes, or the result of Pillow's "
            ),
        ):
            draw(picture)


@pytest.mark.parametrize(
    ("picture", "words"),
    [
        ("moon.jpg", r"base64 data URL .*, not 'moon.jpg'. This function opens no files"),
        ("data:image/png;base64,?", "the data URL's base64 is broken"),
        (b"moon", "it should be an intact JPEG, .*; its bytes begin b'moon'"),
        ("data:image/png;base64,bW9vbg==", "its bytes begin b'moon'"),
        (PNG[:60], "Pillow cannot decode the picture"),
    ],
)
def test_no_pictures(picture: Any, words: str):
    for draw in DRAW:
        with pytest.raises(ValueError, match=words):
            draw(picture)


UNDO = {2: 0, 3: 3, 4: 1, 5: 5, 6: 2, 7: 6, 8: 4}  # Image.Transpose that an orientation undoes
PLACE = BBox(0.25, 0.5, 0.5, 1)


def turned(orientation: int, format: str) -> bytes:
    """Save a picture as a camera does that is held so: a white box at `PLACE`, on black."""
    picture = Image.new("RGB", SIZE, BLACK)
    picture.paste(WHITE, PLACE.to_pixels(SIZE))
    if orientation > 1:
        picture = picture.transpose(Image.Transpose(UNDO[orientation]))
    exif = Image.Exif()
    exif[0x0112] = orientation
    return saved(picture, format, exif=exif)


def is_black(picture: Image.Image) -> bool:
    """Test if nothing of the white box is seen, but for traces of JPEG."""
    return all(high < 40 for _, high in picture.getextrema())  # type: ignore[misc]


@pytest.mark.parametrize("format", ["JPEG", "PNG"])
@pytest.mark.parametrize("orientation", range(1, 9))
class TestTurned:
    """A result is about the picture as it is sent, upright. So is what is drawn on its bytes."""

    def test_what_is_sent_is_what_is_drawn_on(self, orientation: int, format: str):
        data = turned(orientation, format)
        sent = upright(encode_image(data))
        assert sent.size == SIZE
        difference = ImageChops.difference(sent, upright(data))
        assert all(high < 40 for _, high in difference.getextrema())  # type: ignore[misc]

    def test_a_segmentation(self, orientation: int, format: str):
        data = turned(orientation, format)
        result = SegmentResult("M0 0H1V1H0z", PLACE)
        assert is_black(result.overlay(data, color="black", opacity=1))
        box = PLACE.to_pixels(SIZE)
        assert result.cutout(data).getbbox() == box
        assert result.cutout(data).crop(box).convert("L").getextrema()[0] > 215  # type: ignore[operator]

    def test_boxes_and_points(self, orientation: int, format: str):
        data = turned(orientation, format)
        assert is_black(DetectResult((PLACE,)).overlay(data, color="black", width=16))
        green = PointResult((Point(0.375, 0.75),)).overlay(data, color=GREEN, radius=2)
        white = green.crop(PLACE.to_pixels(SIZE)).convert("RGB")
        assert white.getpixel((8, 8)) == GREEN
        assert white.getpixel((1, 1)) > (215, 215, 215)  # type: ignore[operator]


@pytest.mark.parametrize("given", [b"data:image/png;base64,", None, 5])
def test_an_encoded_image_is_made_of_text(given: Any):
    words = f"data_url should be text, not {type(given).__name__}: encode_image"
    with pytest.raises(TypeError, match=words):
        EncodedImage(given)
