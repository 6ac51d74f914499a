"""What the page of docs/how-to/browser.md draws, and the picture of it in the guide.

`python -m tests.transports.relay.browser.test_drawing` makes that picture.
"""

from __future__ import annotations

from base64 import b64encode
from importlib.resources import files
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest

from moondream_tools import FakeServer
from sansio_moondream import BBox, Point
from tests.devtools import Chromium, Page
from tests.transports.relay.browser.pages import FOLDER, IS_COMPLETE, Faults, ask, served

pytestmark = pytest.mark.slow

# A white picture of 200 x 100 pixels, as the page has it after a file was chosen.
PICTURE = """
const canvas = document.createElement("canvas");
[canvas.width, canvas.height] = [200, 100];
const pen = canvas.getContext("2d");
pen.fillStyle = "white";
pen.fillRect(0, 0, 200, 100);
const blob = await new Promise((done) => canvas.toBlob(done, "image/png"));
const files = new DataTransfer();
files.items.add(new File([blob], "white.png"));
document.forms[0].file.files = files.files;
"""


def test_box_outline_and_points_are_at_their_pixels(
    browser: Chromium, upstream: FakeServer, site: tuple[str, Faults]
):
    box = BBox(0.25, 0.2, 0.75, 0.8)
    page = browser.open(f"{site[0]}/")
    upstream.answer(path="M0 0L1 0L0 1Z", box=box)  # the upper left half of the box
    ask(page, "moon", "segment", PICTURE)
    page.wait_for(IS_COMPLETE)
    color = colors(page)
    assert color(0.3, 0.3) == color(0.6, 0.25) == color(0.3, 0.7) == (153, 255, 153)
    assert color(0.7, 0.7) == color(0.1, 0.1) == color(0.9, 0.5) == (255, 255, 255)
    for x, y in ((0.25, 0.5), (0.75, 0.5), (0.6, 0.2), (0.6, 0.8)):
        assert color(x, y) == (0, 255, 0), (x, y)

    upstream.answer(points=[Point(0.5, 0.25), Point(0.125, 0.75)])
    ask(page, "moon", "point")
    page.wait_for(f"{IS_COMPLETE} && document.getElementById('points').getAttribute('d')")
    color = colors(page)
    assert color(0.5, 0.25) == color(0.125, 0.75) == (255, 0, 255)
    assert color(0.3, 0.3) == color(0.25, 0.5) == (255, 255, 255)

    upstream.answer(objects=[box, BBox(0.05, 0.1, 0.15, 0.9)])
    ask(page, "moon", "detect")
    page.wait_for(f"{IS_COMPLETE} && document.getElementById('boxes').getAttribute('d')")
    color = colors(page)
    assert color(0.25, 0.5) == color(0.15, 0.5) == (0, 255, 0)
    assert color(0.5, 0.25) == (255, 255, 255)
    page.close()


def colors(page: Page) -> Any:
    """Return a function from fractions of the picture to the colour that is shown there."""
    rect = page.evaluate("document.getElementById('image').getBoundingClientRect().toJSON()")
    assert rect["width"] > 300
    assert rect["width"] == pytest.approx(2 * rect["height"])
    shot = page.screenshot()

    def color(x: float, y: float) -> Any:
        return shot.getpixel((rect["x"] + x * rect["width"], rect["y"] + y * rect["height"]))

    return color


@pytest.mark.parametrize("width", [320, 1200])
def test_nothing_is_wider_than_the_window(
    browser: Chromium, upstream: FakeServer, site: tuple[str, Faults], width: int
):
    upstream.answer(text="m" * 300)
    page = browser.open(f"{site[0]}/", (width, 700))
    ask(page, picture=PICTURE)
    page.wait_for(IS_COMPLETE)
    assert page.evaluate("document.documentElement.scrollWidth") == width
    page.close()


RECORDINGS = files("moondream_tools") / "recordings"


def draw_page(folder: Path) -> None:
    """Write the picture of the guide."""
    data = b64encode((RECORDINGS / "harbour.jpg").read_bytes()).decode()
    chosen = f"""
        const blob = await (await fetch("data:image/jpeg;base64,{data}")).blob();
        const files = new DataTransfer();
        files.items.add(new File([blob], "harbour.jpg"));
        document.forms[0].file.files = files.files;
    """
    with (
        FakeServer() as upstream,
        served(upstream, folder) as (url, _),
        Chromium(folder / "profile") as browser,
    ):
        upstream.answer(recording=str(RECORDINGS / "segment.jsonl"), seconds=0)
        page = browser.open(f"{url}/", (760, 560))
        ask(page, "sailboat", "segment", chosen)
        page.wait_for(IS_COMPLETE)
        page.screenshot().quantize(192).save(FOLDER / "page.png", optimize=True)


if __name__ == "__main__":
    with TemporaryDirectory() as made:
        draw_page(Path(made))
