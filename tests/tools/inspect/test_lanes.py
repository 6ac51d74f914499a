"""The lanes of the page: what they draw where, how they are moved, and what lights up."""

from __future__ import annotations

import io
import json
from base64 import b64decode
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from tests.devtools import Chromium, Page
from tests.tools.inspect.page_server import Served, serving
from tests.tools.inspect.pages import INSPECTOR, TIME, opened, press, text_of

pytestmark = pytest.mark.slow

VIEW = "document.querySelector('lanes-view')"
AREA = f"{VIEW}.querySelector('.area')"
FRAMES = "new Promise((end) => requestAnimationFrame(() => requestAnimationFrame(end)))"
SELECTED = f"{INSPECTOR}.selection.selected"
ITEM = f"{SELECTED} && `${{{SELECTED}.lane}} ${{{SELECTED}.index}}`"
LANES = ["chunk", "record", "message", "event"]
SELECT_COLOR = (255, 216, 77)
EDGE, RULER, ROW, HEIGHT = 8, 24, 36, 168  # pixels


def write(path: Path, chunks: list[tuple[float, str]]) -> None:
    """Write a recording of a query, from seconds and data of its chunks."""
    request = {"method": "POST", "path": "/v1/query", "headers": [], "body": {"question": "What?"}}
    head = {"seconds": 0.1, "status_code": 200, "headers": [["content-type", "text/event-stream"]]}
    lines: list[Any] = [{"recording": 1, "request": request, "response": head}]
    lines += [[seconds, "t", data] for seconds, data in chunks]
    path.write_text("\n".join(map(json.dumps, [*lines, [0.0, "x", "eof"]])) + "\n")


def record(text: str, **more: Any) -> str:
    return f"data: {json.dumps({'chunk': text, 'completed': False, **more})}\n\n"


def lanes(page: Page) -> Image.Image:
    """Return the pixels of the lanes."""
    page.evaluate(f"{AREA}.scrollIntoView({{ block: 'center' }}); {FRAMES}")
    rect = page.evaluate(
        f"(() => {{ const {{ x, y, width, height }} = {AREA}.getBoundingClientRect();"
        " return { x: x + scrollX, y: y + scrollY, width, height, scale: 1 }; })()"
    )
    data = page.command("Page.captureScreenshot", format="png", clip=rect)["data"]
    return Image.open(io.BytesIO(b64decode(data))).convert("RGB")


def color_of(page: Page, lane: str) -> tuple[int, ...]:
    value = page.evaluate(f"getComputedStyle({AREA}).getPropertyValue('--{lane}')").strip()
    return tuple(int(value[i : i + 2], 16) for i in (1, 3, 5))


def bars(image: Image.Image, lane: str, color: tuple[int, ...]) -> list[int]:
    """Return where bars of a colour begin in the row of a lane."""
    y = RULER + LANES.index(lane) * ROW + ROW // 2
    row = [image.getpixel((x, y + 6)) for x in range(image.width)]
    return [x for x in range(1, len(row)) if row[x] == color and row[x - 1] != color]


def mouse(page: Page, kind: str, x: float, y: float, **more: Any) -> None:
    """Send an event of the mouse at a place of the lanes."""
    left, top = page.evaluate(
        f"(() => {{ {AREA}.scrollIntoView({{ block: 'center' }});"
        f" const {{ x, y }} = {AREA}.getBoundingClientRect(); return [x, y]; }})()"
    )
    page.command("Input.dispatchMouseEvent", type=kind, x=left + x, y=top + y, **more)


def click(page: Page, x: float, y: float) -> None:
    for kind in ("mouseMoved", "mousePressed", "mouseReleased"):
        mouse(page, kind, x, y, button="left", clickCount=1)


@pytest.fixture(scope="module")
def gaps(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A chunk, a second of nothing, a burst of 40 records in one chunk, and a cut record."""
    folder = tmp_path_factory.mktemp("gaps")
    burst = "".join(record(f" moon {i}") for i in range(40))
    end = 'data: {"chunk": "", "completed": true}\n\n'
    chunks = [(0.1, record("A")), (1.0, burst), (0.4, end[:10]), (0.4, end[10:])]
    write(folder / "gaps.jsonl", chunks)
    return folder


def test_items_are_at_their_times_and_bytes(browser: Chromium, gaps: Path):
    with serving([gaps]) as served, opened(browser, served.url, (1400, 900)) as page:
        page.wait_for(f"{VIEW}.querySelector('canvas')?.width > 400")
        image = lanes(page)
        width = image.width - 2 * EDGE
        # Times of the chunks; the end, at 2 seconds, is that of the axis.
        for lane, times in {"chunk": [0.2, 1.2, 1.6], "record": [0.2, 1.2]}.items():
            found = bars(image, lane, color_of(page, lane))
            for at in times:
                assert min(abs(x - EDGE - at / 2 * width) for x in found) < 2, (lane, at, found)
        counts = page.evaluate(f"[...{VIEW}.querySelectorAll('.count')].map((e) => e.innerText)")
        assert counts == ["4 / 4", "42 / 42", "42 / 42", "42 / 42"]

        page.evaluate(f"{VIEW}.querySelectorAll('.modes button')[1].click()")
        image = lanes(page)
        spans = page.evaluate(
            f"{INSPECTOR}.trace.chunks.map(({{ end }}) => end / {INSPECTOR}.trace.body.length)"
        )
        found = bars(image, "chunk", color_of(page, "chunk"))
        for share in (0, *spans[:-1]):
            assert min(abs(x - EDGE - share * width) for x in found) < 2.5
        assert len(bars(image, "record", color_of(page, "record"))) == 42


def test_what_belongs_together_lights_up_in_all_lanes(browser: Chromium, gaps: Path):
    with serving([gaps]) as served, opened(browser, served.url, (1400, 900)) as page:
        page.wait_for(f"{VIEW}.querySelector('canvas')?.width > 400")
        width = lanes(page).width - 2 * EDGE
        click(page, EDGE + 0.1 * width + 1, RULER + ROW / 2)
        page.wait_for(f"({ITEM}) === 'chunk 0'")
        mouse(page, "mouseMoved", 5, -40)
        image = lanes(page)
        assert [len(bars(image, lane, SELECT_COLOR)) for lane in LANES] == [1, 1, 1, 1]
        page.wait_for(f"{VIEW}.querySelector('.readout').innerText.startsWith('chunk 0,')")
        # The last record came in two chunks.
        page.evaluate(f"{VIEW}.querySelectorAll('.modes button')[1].click()")
        page.evaluate(f"{INSPECTOR}.selection.select({{ lane: 'record', index: 41 }})")
        image = lanes(page)
        assert len(bars(image, "chunk", SELECT_COLOR)) == 2
        assert len(bars(image, "event", SELECT_COLOR)) == 1
        page.evaluate(f"{VIEW}.querySelectorAll('.modes button')[0].click(); {FRAMES}")
        click(page, EDGE + 0.5 * width, RULER + ROW / 2)
        page.wait_for(f"{SELECTED} === null")


def test_zoom_and_pan(browser: Chromium, gaps: Path):
    with serving([gaps]) as served, opened(browser, served.url, (1400, 900)) as page:
        page.wait_for(f"{VIEW}.querySelector('canvas')?.width > 400")
        color = color_of(page, "chunk")
        before = bars(lanes(page), "chunk", color)
        fit = f"{VIEW}.querySelector('[aria-label=Fit]')"
        assert page.evaluate(f"{fit}.disabled")
        mouse(page, "mouseWheel", before[1], 60, deltaX=0, deltaY=-60, modifiers=2)
        page.wait_for(f"!{fit}.disabled")
        near = bars(lanes(page), "chunk", color)
        assert min(abs(x - before[1]) for x in near) < 3  # what was under the pointer stays there
        mouse(page, "mousePressed", before[1], 130, button="left", buttons=1, clickCount=1)
        for x in (10, 60):
            mouse(page, "mouseMoved", before[1] + x, 130, button="left", buttons=1)
        mouse(page, "mouseReleased", before[1] + 60, 130, button="left", clickCount=1)
        moved = bars(lanes(page), "chunk", color)
        assert min(abs(x - before[1] - 60) for x in moved) < 8
        page.evaluate(f"{fit}.click()")
        assert bars(lanes(page), "chunk", color) == before
        page.evaluate(f"{AREA}.focus()")
        press(page, "+")
        page.wait_for(f"!{fit}.disabled")
        press(page, "0")
        page.wait_for(f"{fit}.disabled")
        # The ruler leads to a moment.
        width = lanes(page).width
        click(page, width / 2, 10)
        page.wait_for(f"Math.abs({TIME} - 1) < 0.02")
        column = lanes(page).convert("L").crop((round(width / 2), 0, round(width / 2) + 1, 121))
        assert max(column.tobytes()[y] for y in (40, 80, 120)) < 60


def test_keys_and_the_list_reach_every_item(browser: Chromium, shipped: Served):
    with opened(browser, f"{shipped.url}#name=segment.jsonl") as page:
        page.wait_for(f"{VIEW}.querySelector('canvas')?.width > 400")
        page.evaluate(f"{AREA}.focus()")
        for key, item in [
            ("ArrowRight", "chunk 0"),
            ("ArrowRight", "chunk 1"),
            ("ArrowDown", "record 1"),
            ("ArrowDown", "message 1"),
            ("ArrowDown", "event 1"),
            ("End", "event 119"),
            ("ArrowLeft", "event 118"),
            ("ArrowUp", "message 118"),
        ]:
            press(page, key)
            assert page.evaluate(ITEM) == item
        page.wait_for("document.querySelector('[role=status]').innerText.startsWith('message 118')")

        page.evaluate(f"{VIEW}.querySelectorAll('.modes button')[2].click()")
        option = f"{VIEW}.querySelector('[aria-selected=true]')"
        page.wait_for(f"{option}?.innerText.startsWith('message 118,')")
        assert page.evaluate(f"{option}.ariaSetSize") == "120"
        assert page.evaluate(f"{option}.ariaPosInSet") == "119"
        page.evaluate(f"{VIEW}.querySelector('[role=listbox]').focus()")
        press(page, "Home")
        page.wait_for(f"{option}?.innerText.startsWith('message 0,')")
        press(page, "ArrowDown")
        page.wait_for(f"{option}?.innerText.startsWith('message 1,')")
        active = f"{VIEW}.querySelector('[role=listbox]').getAttribute('aria-activedescendant')"
        page.wait_for(f"{option}.id === {active}")
        assert page.evaluate(f"{VIEW}.querySelectorAll('[role=option]').length") < 15


@pytest.mark.parametrize(("width", "dark"), [(400, True), (1600, False)])
def test_it_is_drawn_in_the_colours_of_the_page(
    browser: Chromium, shipped: Served, width: int, dark: bool
):
    with opened(browser, f"{shipped.url}#name=query.jsonl", (width, 900), dark=dark) as page:
        page.wait_for(f"{VIEW}.querySelector('canvas')?.width > 100")
        image = lanes(page)
        assert image.height == HEIGHT
        for lane in LANES:
            assert len(bars(image, lane, color_of(page, lane))) >= 10, lane
        scheme = {"name": "prefers-color-scheme", "value": "light" if dark else "dark"}
        before = color_of(page, "chunk")
        page.command("Emulation.setEmulatedMedia", features=[scheme])
        page.wait_for(f"matchMedia('(prefers-color-scheme: {scheme['value']})').matches")
        assert color_of(page, "chunk") != before
        assert len(bars(lanes(page), "chunk", color_of(page, "chunk"))) >= 10
        assert text_of(page, "lanes-view .names .event .name") == "events"
