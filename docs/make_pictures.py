#!/usr/bin/env python3
"""Make the pictures of these pages from the demo's recording: python docs/make_pictures.py"""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

from msgspec.structs import replace
from PIL import Image, ImageFilter

from moondream_transports import Client, ReplayTransport
from sansio_moondream import BBox, Endpoint, SegmentRequest, SegmentResult, encode_image
from sansio_moondream.images import lay_over, open_image
from sansio_moondream.recording import Recording

HERE = Path(__file__).parent
RECORDINGS = files("moondream_tools") / "recordings"
BOAT = (352, 128, 716, 562)  # a part of the picture, in pixels, with the boat in its middle
GAP, FRAME = 8, "#808080"  # between two pictures: a colour that is seen on a light and a dark page


def side_by_side(*images: Image.Image, height: int) -> Image.Image:
    """Put pictures in a row, each with this height."""
    tiles = [image.resize((round(image.width * height / image.height), height)) for image in images]
    width = sum(tile.width for tile in tiles) + GAP * (len(tiles) - 1)
    sheet = Image.new("RGB", (width, height), FRAME)
    left = 0
    for tile in tiles:
        sheet.paste(tile, (left, 0))
        left += tile.width + GAP
    return sheet


def on_a_chessboard(image: Image.Image) -> Image.Image:
    """Show what is transparent in the way of picture editors."""
    board = Image.new("L", (image.width // 14 + 1, image.height // 14 + 1))
    board.putdata(
        [
            (225, 255)[(i % board.width + i // board.width) % 2]
            for i in range(board.width * board.height)
        ]
    )
    sheet = board.resize((board.width * 14, board.height * 14), Image.Resampling.NEAREST)
    shown = sheet.crop((0, 0, *image.size)).convert("RGB")
    shown.paste(image, mask=image)
    return shown


def pictures() -> dict[str, Image.Image]:
    """Return each picture by the name of its file."""
    data = (RECORDINGS / "harbour.jpg").read_bytes()
    harbour = open_image(data)
    client = Client(
        ReplayTransport([Recording.decode((RECORDINGS / "segment.jsonl").read_bytes())], None),
        Endpoint(),
    )
    snapshots: list[SegmentResult] = []
    with client.stream(SegmentRequest(image=encode_image(data), object="sailboat")) as stream:
        for _ in stream:
            snapshot = stream.snapshot
            assert snapshot is not None
            snapshots.append(snapshot)
        result = stream.result()
    grown = [snapshot.overlay(harbour, color="lime") for snapshot in (snapshots[44], snapshots[69])]
    whole = result.overlay(harbour, color="lime")
    misplaced = replace(result, bbox=BBox(0, 0, 1, 1)).overlay(harbour, color="red")
    return {
        "pictures-overlay.png": side_by_side(
            *(image.crop(BOAT) for image in (*grown, whole)),
            on_a_chessboard(result.cutout(harbour).crop(BOAT)),
            height=280,
        ),
        "pictures-misplaced.png": side_by_side(whole, misplaced, height=320),
        "pictures-replaced.png": replaced(harbour, result),
    }


def replaced(harbour: Image.Image, result: SegmentResult) -> Image.Image:
    """Draw what docs/how-to/exports.md replaces, and what it puts in its place.

    A viewer of SVG fits the unit square into a wide picture in proportion, so that it is the square
    in the middle.
    """
    margin = (harbour.width - harbour.height) / 2 / harbour.width
    in_the_middle = replace(result, bbox=BBox(margin, 0, 1 - margin, 1))
    drawn: list[Image.Image] = []
    for one, color in ((in_the_middle, "red"), (result, "lime")):
        mask = one.mask(harbour.size, antialias=False)
        mask = mask.filter(ImageFilter.MaxFilter(7)).filter(ImageFilter.GaussianBlur(2))
        drawn.append(lay_over(harbour, mask, color=color))
    return side_by_side(*drawn, height=320)


if __name__ == "__main__":
    for name, picture in pictures().items():
        picture.quantize(256).save(HERE / "pictures" / name, optimize=True)
