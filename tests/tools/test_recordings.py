"""The recordings that ship with the command line, and their picture."""

from __future__ import annotations

from importlib.resources import files

import pytest
from PIL import Image, ImageChops

import make_recordings
import make_scene
from moondream_transports import Client, ReplayTransport
from sansio_moondream import (
    BBox,
    DetectResult,
    Endpoint,
    PointResult,
    Result,
    SegmentResult,
    Usage,
    encode_image,
)
from sansio_moondream.images import draw_mask
from sansio_moondream.recording import Match, Recording
from tests.helpers import CHAT, OWN

SHIPPED = files("moondream_tools") / "recordings"


def test_they_are_what_the_script_makes() -> None:
    made = {f"{skill}.jsonl": one.encode() for skill, one in make_recordings.make().items()}
    assert {name: (SHIPPED / name).read_bytes() for name in made} == made
    assert {path.name for path in SHIPPED.iterdir()} == {*made, "README.md", "harbour.jpg"}


def test_the_picture_is_what_the_script_draws() -> None:
    with Image.open(make_scene.FILE) as shipped:
        difference = ImageChops.difference(shipped.convert("RGB"), make_scene.draw()).convert("L")
    # Shipped as a JPEG, and drawn by whichever Pillow there is.
    assert sum(difference.histogram()[32:]) < 0.002 * make_scene.WIDTH * make_scene.HEIGHT


def played(skill: str) -> tuple[Recording, Result]:
    recording = Recording.decode((SHIPPED / f"{skill}.jsonl").read_bytes())
    client = Client(ReplayTransport([recording], speed=None, match=Match.SKILL), Endpoint())
    with client.stream(OWN[skill]) as stream:
        return recording, stream.result()


@pytest.mark.parametrize("skill", OWN)
def test_they_play(skill: str) -> None:
    recording, result = played(skill)
    assert result.metadata.finish_reason == "stop"
    assert result.metadata.deltas_match is (True if skill in ("query", "caption") else None)
    assert 0.3 < sum(chunk.seconds for chunk in recording.chunks) + recording.header.seconds < 6
    asked = recording.header.request_body["image_url"]
    assert asked["bytes"] == len(encode_image((SHIPPED / "harbour.jpg").read_bytes()).data)


def test_the_chat_plays() -> None:
    recording = Recording.decode((SHIPPED / "chat.jsonl").read_bytes())
    client = Client(ReplayTransport([recording], speed=None, match=Match.SKILL), Endpoint())
    result = client.send(CHAT)
    assert result.text.startswith("A moonlit harbour: a sailing boat with “月” on its sail")
    assert (result.metadata.finish_reason, result.metadata.usage) == ("stop", Usage(740, 24, 764))


def test_the_chat_has_characters_that_are_cut_by_chunks() -> None:
    recording = Recording.decode((SHIPPED / "chat.jsonl").read_bytes())
    cut = [chunk.data for chunk in recording.chunks if chunk.data[-1] >= 0x80]
    assert len(cut) == 2
    for data in cut:
        with pytest.raises(UnicodeDecodeError, match="unexpected end of data"):
            data.decode()


def test_the_outline_is_that_of_the_boat() -> None:
    _, result = played("segment")
    assert isinstance(result, SegmentResult)
    drawn = draw_mask(make_scene.polygons(make_scene.BOAT), make_scene.SIZE, antialias=False)
    found = result.mask(make_scene.SIZE, antialias=False)
    assert ImageChops.difference(drawn, found).histogram()[255] < 0.01 * drawn.histogram()[255]
    assert found.getpixel((600, 400)) == 255  # the foresail
    assert found.getpixel((555, 440)) == 0  # the hole between it and the mast


def test_boxes_and_points_are_on_what_is_drawn() -> None:
    _, boats = played("detect")
    _, windows = played("point")
    assert isinstance(boats, DetectResult)
    assert isinstance(windows, PointResult)
    with Image.open(make_scene.FILE) as picture:
        pixels = [point.to_pixels(picture.size) for point in windows.points]
        lit = [picture.crop((x, y, x + 1, y + 1)).tobytes() for x, y in pixels]
    assert len(lit) == 9
    assert all(red > 200 and green > 160 and blue < 190 for red, green, blue in lit)
    assert boats.objects[0] == BBox(0.4083, 0.2406, 0.7042, 0.8387)
    for box, path in zip(boats.objects, make_scene.BOATS, strict=True):
        drawn = draw_mask(make_scene.polygons(path), make_scene.SIZE, antialias=False)
        assert drawn.getbbox() == pytest.approx(box.to_pixels(make_scene.SIZE), abs=1)
