#!/usr/bin/env python3
"""Make the pictures of these pages from the demo's recording: python docs/make_pictures.py"""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

from msgspec.structs import replace
from PIL import Image, ImageFilter, ImageOps

from moondream_transports import Client, ReplayTransport
from sansio_moondream import BBox, Endpoint, SegmentRequest, SegmentResult, encode_image
from sansio_moondream.images import lay_over, open_image
from sansio_moondream.recording import Recording

HERE = Path(__file__).parent
RECORDINGS = files("moondream_tools") / "recordings"
SIZE = (240, 240)


def side_by_side(*images: Image.Image) -> Image.Image:
    sheet = Image.new("RGB", (len(images) * (SIZE[0] + 8) - 8, SIZE[1]), "white")
    for i, image in enumerate(images):
        sheet.paste(image, (i * (SIZE[0] + 8), 0), image if image.mode == "RGBA" else None)
    return sheet


def pictures() -> dict[str, Image.Image]:
    """Each picture by the name of its file."""
    data = (RECORDINGS / "moon.png").read_bytes()
    with open_image(data) as image:
        moon = ImageOps.contain(image.convert("RGB"), SIZE)
    client = Client(
        ReplayTransport([Recording.decode((RECORDINGS / "segment.jsonl").read_bytes())], None),
        Endpoint(),
    )
    snapshots: list[SegmentResult] = []
    with client.stream(SegmentRequest(image=encode_image(data), object="moon")) as stream:
        for _ in stream:
            snapshot = stream.snapshot
            assert snapshot is not None
            snapshots.append(snapshot)
        result = stream.result()
    replaced = in_the_corner(moon, result)
    grown = [snapshot.overlay(moon, color="lime") for snapshot in (snapshots[60], snapshots[120])]
    misplaced = replace(result, bbox=BBox(0, 0, 1, 1))
    return {
        "pictures-overlay.png": side_by_side(
            *grown, result.overlay(moon, color="lime"), result.cutout(moon)
        ),
        "pictures-misplaced.png": side_by_side(
            result.overlay(moon, color="lime"), misplaced.overlay(moon, color="red")
        ),
        "pictures-replaced.png": replaced,
    }


def in_the_corner(moon: Image.Image, result: SegmentResult) -> Image.Image:
    """Draw what docs/how-to/exports.md replaces, and what it puts in its place, on a wide picture.

    The moon is in the lower right of the picture. A viewer of SVG fits the unit square into the
    picture in proportion, so that it is the square in the middle.
    """
    wide, high = size = (320, 240)
    left, top, side = 150, 76, 160
    sky = Image.new("RGB", size)
    sky.paste(moon.resize((side, side)), (left, top))
    assert result.bbox is not None
    xs = [(left + x * side) / wide for x in (result.bbox.x_min, result.bbox.x_max)]
    ys = [(top + y * side) / high for y in (result.bbox.y_min, result.bbox.y_max)]
    placed = replace(result, bbox=BBox(xs[0], ys[0], xs[1], ys[1]))
    margin = (wide - high) / 2 / wide
    in_the_middle = replace(result, bbox=BBox(margin, 0, 1 - margin, 1))
    sheet = Image.new("RGB", (2 * wide + 8, high), "white")
    for at, drawn, color in ((0, in_the_middle, "red"), (wide + 8, placed, "lime")):
        mask = drawn.mask(size, antialias=False)
        mask = mask.filter(ImageFilter.MaxFilter(7)).filter(ImageFilter.GaussianBlur(2))
        sheet.paste(lay_over(sky, mask, color=color), (at, 0))
    return sheet


if __name__ == "__main__":
    for name, picture in pictures().items():
        picture.quantize(64).save(HERE / "pictures" / name, optimize=True)
