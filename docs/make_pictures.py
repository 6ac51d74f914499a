#!/usr/bin/env python3
"""Make the pictures of docs/pictures.md from the demo's recording: python docs/make_pictures.py"""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

from msgspec.structs import replace
from PIL import Image, ImageOps

from moondream_transports import Client, ReplayTransport
from sansio_moondream import BBox, Endpoint, SegmentRequest, SegmentResult, encode_image
from sansio_moondream.images import open_image
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
    grown = [snapshot.overlay(moon, color="lime") for snapshot in (snapshots[60], snapshots[120])]
    misplaced = replace(result, bbox=BBox(0, 0, 1, 1))
    return {
        "pictures-overlay.png": side_by_side(
            *grown, result.overlay(moon, color="lime"), result.cutout(moon)
        ),
        "pictures-misplaced.png": side_by_side(
            result.overlay(moon, color="lime"), misplaced.overlay(moon, color="red")
        ),
    }


if __name__ == "__main__":
    for name, picture in pictures().items():
        picture.quantize(64).save(HERE / name, optimize=True)
