"""Pictures drawn by Chromium: an independent renderer of SVG paths. One run and one screenshot for
all of them.

Three pictures share a tile of the page, one in red, one in green, one in blue, so that the
screenshot is a third as large."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

from PIL import Image, ImageChops

from sansio_moondream import SegmentResult

SIZE = 512  # pixels a side of each picture
PROGRAM = (
    shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
)

_COLUMNS = 8
_OPTIONS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--hide-scrollbars",
    "--force-device-scale-factor=1",
]
_COLORS = ("red", "green", "blue")
_STYLE = f"""
body {{ margin: 0; background: black }}
div {{ position: absolute; width: {SIZE}px; height: {SIZE}px }}
div {{ overflow: hidden; isolation: isolate }}
svg {{ position: absolute; display: block; overflow: visible; mix-blend-mode: screen }}
.red {{ fill: #f00 }} .green {{ fill: #0f0 }} .blue {{ fill: #00f }}
"""


def in_css(result: SegmentResult) -> str:
    """Return the path as SVG in the position that docs/how-to/pictures.md gives in CSS."""
    box = result.bbox
    assert box is not None
    place = (
        f"left: {box.x_min:%}; top: {box.y_min:%}; "
        f"width: {box.x_max - box.x_min:%}; height: {box.y_max - box.y_min:%}"
    )
    return (
        f'<svg viewBox="0 0 1 1" preserveAspectRatio="none" style="{place}">'
        f'<path d="{result.path}"/></svg>'
    )


def draw(elements: list[str], folder: Path) -> list[Image.Image]:
    """Return a picture of mode L that Chromium draws for each `<svg>`. Files go into `folder`."""
    assert PROGRAM is not None
    page = f"<!doctype html><style>{_STYLE}</style>"
    for tile in range(0, len(elements), 3):
        row, column = divmod(tile // 3, _COLUMNS)
        shapes = [
            element.replace("<svg ", f'<svg class="{color}" ')
            for element, color in zip(elements[tile:], _COLORS, strict=False)
        ]
        page += f'<div style="left: {column * SIZE}px; top: {row * SIZE}px">{"".join(shapes)}</div>'
    (folder / "page.html").write_text(page)
    width, height = _COLUMNS * SIZE, -(-len(elements) // (3 * _COLUMNS)) * SIZE
    where = [
        f"--user-data-dir={folder}",
        f"--window-size={width},{height}",
        f"--screenshot={folder}/page.png",
        f"file://{folder}/page.html",
    ]
    done = subprocess.run([PROGRAM, *_OPTIONS, *where], capture_output=True, text=True, timeout=120)
    assert (folder / "page.png").exists(), done.stderr
    with Image.open(folder / "page.png") as shot:
        assert shot.size == (width, height)
        channels = shot.convert("RGB").split()
    drawn: list[Image.Image] = []
    for i in range(len(elements)):
        row, column = divmod(i // 3, _COLUMNS)
        drawn.append(
            channels[i % 3].crop((column * SIZE, row * SIZE, (column + 1) * SIZE, (row + 1) * SIZE))
        )
    return drawn


def inside(mask: Image.Image, threshold: float = 0.5) -> Image.Image:
    """255 where at least this share of the pixel is inside."""
    return mask.point([255 * (value >= 255 * threshold) for value in range(256)])


def overlap(one: Image.Image, other: Image.Image) -> float:
    """Return the intersection over union of the pixels inside."""
    one, other = inside(one), inside(other)
    return (
        ImageChops.darker(one, other).histogram()[255]
        / ImageChops.lighter(one, other).histogram()[255]
    )
