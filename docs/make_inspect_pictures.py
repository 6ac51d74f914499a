#!/usr/bin/env python3
"""Make the pictures of docs/how-to/inspect.md, with Chromium:
python docs/make_inspect_pictures.py"""

from __future__ import annotations

import io
import sys
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

from PIL import Image

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent))  # what drives Chromium is part of the tests

from tests.devtools import Chromium, Page  # noqa: E402
from tests.tools.inspect.page_server import HARBOUR, SHIPPED, serving  # noqa: E402
from tests.tools.inspect.pages import opened  # noqa: E402

WIDTH = 1200
COLORS = 96
MARGIN = 12
IS_DRAWN = "document.querySelector('picture-view img')?.complete"


def pictures() -> Iterator[tuple[str, Image.Image]]:
    """Yield each picture with the name of its file: one on a light screen, one on a dark one."""
    with (
        TemporaryDirectory() as folder,
        Chromium(Path(folder)) as browser,
        serving([SHIPPED], [HARBOUR]) as server,
    ):
        moment = f"{server.url}#name=segment.jsonl&t=2&select=event:40"
        with opened(browser, moment, (WIDTH, 830)) as page:
            page.wait_for(IS_DRAWN)
            yield "inspect.png", settled(page)
        recording = f"{server.url}#name=caption.jsonl"
        with opened(browser, recording, (WIDTH, 830), dark=True) as page:
            break_it(page)
            yield "inspect-break.png", settled(page, ".panels")


def break_it(page: Page) -> None:
    """Cut a recording byte by byte, and show what becomes of it."""
    page.evaluate(
        "{ const { chunks } = document.querySelector('break-panel form'); chunks.value = 'each';"
        " chunks.dispatchEvent(new Event('change')) }"
    )
    page.wait_for("document.querySelectorAll('break-panel tbody tr').length > 1")
    page.evaluate("document.querySelector('.panels').scrollIntoView({ block: 'end' })")


def settled(page: Page, part: str = "html") -> Image.Image:
    """Return a screenshot of an element, after the frames that are still to be drawn."""
    page.evaluate(
        "new Promise((end) => requestAnimationFrame(() => requestAnimationFrame(() => "
        "setTimeout(end, 300))))"
    )
    picture = page.screenshot()
    box = page.evaluate(f"document.querySelector({part!r}).getBoundingClientRect().toJSON()")
    edges = [round(box[edge]) for edge in ("left", "top", "right", "bottom")]
    return picture.crop((
        max(0, edges[0] - MARGIN),
        max(0, edges[1] - MARGIN),
        min(picture.width, edges[2] + MARGIN),
        min(picture.height, edges[3] + MARGIN),
    ))  # fmt: skip


def small(picture: Image.Image) -> bytes:
    """Return a PNG with few colours."""
    stream = io.BytesIO()
    picture.quantize(COLORS, dither=Image.Dither.NONE).save(stream, "PNG", optimize=True)
    return stream.getvalue()


def main() -> None:
    for name, picture in pictures():
        (HERE / "pictures" / name).write_bytes(small(picture))


if __name__ == "__main__":
    main()
