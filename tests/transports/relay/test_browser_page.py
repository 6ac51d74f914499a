"""The page of docs/browser.md in a real Chromium, against the relay and a fake server."""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest

from moondream_tools import FakeServer
from sansio_moondream import BBox, Point, QueryRequest, ServerError
from tests import chromium
from tests.devtools import Chromium, Page
from tests.guides import BLOCK
from tests.transports.relay.browser_pages import FOLDER, GUIDE, Faults, served

pytestmark = pytest.mark.slow

WORDS = " ".join(f"word{i}" for i in range(30))
MARKUP = "<b>bold</b> & <img src=x onerror='window.isHacked = true'>"
TEXT = "document.getElementById('answer').textContent"
STATUS = "document.getElementById('status').textContent"
IS_COMPLETE = f"{STATUS} === 'Complete.'"
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


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chromium]:
    if chromium.PROGRAM is None:
        pytest.skip("needs Chromium: `make ci-tools`")
    with Chromium(tmp_path_factory.mktemp("chromium")) as program:
        yield program


@pytest.fixture
def upstream() -> Iterator[FakeServer]:
    with FakeServer() as server:
        yield server


@pytest.fixture
def site(upstream: FakeServer, tmp_path: Path) -> Iterator[tuple[str, Faults]]:
    with served(upstream, tmp_path) as both:
        yield both


def ask(page: Page, words: str = "What is it?", skill: str = "query", picture: str = "") -> None:
    values = json.dumps({"skill": skill, "words": words})
    page.evaluate(f"""(async () => {{
        {picture}
        const form = document.forms[0];
        for (const [name, value] of Object.entries({values})) form[name].value = value;
        form.requestSubmit();
    }})()""")


def words_shown(page: Page, at_least: int) -> None:
    page.wait_for(f"{TEXT}.split(' ').length >= {at_least}")


def paths(faults: Faults, method: str = "GET") -> list[str | None]:
    return [last for made, _, last in faults.requests if made == method]


def test_the_text_grows(browser: Chromium, upstream: FakeServer, site: tuple[str, Faults]):
    upstream.answer(text=WORDS, seconds=0.05)
    page = browser.open(f"{site[0]}/")
    ask(page)
    words_shown(page, 3)
    assert page.evaluate(STATUS) == "Answering …"
    assert not page.evaluate(IS_COMPLETE)
    assert page.evaluate("document.getElementById('answer').ariaBusy") == "true"
    page.wait_for(IS_COMPLETE)
    assert page.evaluate(TEXT) == WORDS
    assert page.evaluate("document.getElementById('answer').ariaBusy") == "false"
    assert upstream.requests == (QueryRequest(question="What is it?"),)
    page.close()


def test_a_reload_in_the_middle_loses_and_doubles_nothing(
    browser: Chromium, upstream: FakeServer, site: tuple[str, Faults]
):
    upstream.answer(text=WORDS, seconds=0.1)
    page = browser.open(f"{site[0]}/")
    ask(page)
    words_shown(page, 5)
    before = page.evaluate(TEXT)
    page.reload()
    words_shown(page, 5)
    assert page.evaluate(TEXT).startswith(before)
    assert not page.evaluate(IS_COMPLETE)
    page.wait_for(IS_COMPLETE)
    assert page.evaluate(TEXT) == WORDS
    page.reload()  # after the end, too
    page.wait_for(IS_COMPLETE)
    assert page.evaluate(TEXT) == WORDS
    assert len(upstream.requests) == 1
    page.close()


def test_an_answer_that_is_no_longer_kept_is_reported_once(
    browser: Chromium, upstream: FakeServer, site: tuple[str, Faults]
):
    page = browser.open(f"{site[0]}/")
    page.evaluate("sessionStorage.answer = '/streams/none'")
    page.reload()
    page.wait_for(f"{STATUS}.startsWith('It failed')")
    assert page.evaluate(STATUS).endswith("(status 404)")
    page.reload()
    assert page.evaluate(STATUS) == ""
    assert upstream.requests == ()
    page.close()


def test_cuts_are_mended(browser: Chromium, upstream: FakeServer, site: tuple[str, Faults]):
    url, faults = site
    faults.cuts = [4, 1, 2, 5]
    upstream.answer(text=WORDS, seconds=0.01)
    page = browser.open(f"{url}/")
    ask(page)
    page.wait_for(f"{STATUS}.includes('the connection was lost')")
    page.wait_for(IS_COMPLETE)
    assert page.evaluate(TEXT) == WORDS
    assert not faults.cuts
    first, *last_ids = paths(faults)
    assert first is None
    # Chromium may drop what it had before a cut. Then it is asked for again.
    assert len(last_ids) == 4
    assert last_ids == sorted(last_ids, key=lambda last: int(last or 0))
    page.close()


def test_503_is_asked_again_when_the_server_says(
    browser: Chromium, upstream: FakeServer, site: tuple[str, Faults]
):
    url, faults = site
    faults.busy = 2
    upstream.answer(text="The moon")
    page = browser.open(f"{url}/")
    ask(page)
    page.wait_for(f"{STATUS} === 'full (status 503). Next attempt in 1 s …'")
    page.wait_for(IS_COMPLETE)
    assert page.evaluate(TEXT) == "The moon"
    assert len(paths(faults)) == 3
    page.close()


@pytest.mark.parametrize("path", ["/", "/short.html"])
def test_a_fault_in_the_middle_is_shown_and_text_is_no_markup(
    browser: Chromium, upstream: FakeServer, site: tuple[str, Faults], path: str
):
    upstream.answer(text=MARKUP, error=ServerError(f"too hot {MARKUP}"))
    page = browser.open(site[0] + path)
    if path == "/":
        ask(page)
        page.wait_for(f"{STATUS}.startsWith('It failed')")
        assert page.evaluate(TEXT) == MARKUP
        assert page.evaluate(STATUS) == f"It failed: too hot {MARKUP}"
        assert page.evaluate("document.getElementById('status').className") == "failed"
    else:
        page.evaluate("document.forms[0].question.value = '?'")
        page.evaluate("document.forms[0].requestSubmit()")
        page.wait_for("document.querySelector('p').textContent.includes('too hot')")
        assert page.evaluate("document.querySelector('p').textContent") == (
            f"{MARKUP} [too hot {MARKUP}]"
        )
    assert page.evaluate("[document.querySelectorAll('b').length, !window.isHacked]") == [0, True]
    page.close()


def test_a_refused_request_is_shown(
    browser: Chromium, upstream: FakeServer, site: tuple[str, Faults]
):
    page = browser.open(f"{site[0]}/")
    ask(page, words="", skill="segment")
    page.wait_for(f"{STATUS}.startsWith('It failed')")
    assert "(status 4" in page.evaluate(STATUS)
    assert upstream.requests == ()
    page.close()


@pytest.mark.parametrize("way", ["close", "another page", "stop"])
def test_leaving_cancels_the_upstream(
    browser: Chromium, upstream: FakeServer, site: tuple[str, Faults], way: str
):
    upstream.answer(text=WORDS, fault="stall@3")
    page = browser.open(f"{site[0]}/")
    ask(page)
    words_shown(page, 3)
    if way == "stop":
        page.evaluate("document.getElementById('stop').click()")
        page.wait_for(f"{STATUS} === 'Stopped.'")
    elif way == "close":
        page.close()
    else:
        page.go("about:blank")
    upstream.wait_until_left(timeout=30)


def test_the_back_button_goes_on(browser: Chromium, upstream: FakeServer, site: tuple[str, Faults]):
    upstream.answer(text=WORDS, seconds=0.1)
    page = browser.open(f"{site[0]}/")
    ask(page)
    words_shown(page, 3)
    page.go(f"{site[0]}/short.html")
    page.evaluate("history.back()")
    page.wait_for("document.getElementById('answer') !== null")
    page.wait_for(IS_COMPLETE)
    assert page.evaluate(TEXT) == WORDS
    assert len(upstream.requests) == 1
    page.close()


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


def test_an_event_source_reads_the_same_stream(
    browser: Chromium, upstream: FakeServer, site: tuple[str, Faults]
):
    url, faults = site
    upstream.answer(text=WORDS, seconds=0.02)
    page = browser.open(f"{url}/")
    ask(page)
    page.wait_for("sessionStorage.answer")
    kinds = BLOCK.findall(GUIDE.read_text())
    (program,) = (code for kind, code in kinds if kind == "js" and "new EventSource" in code)
    faults.cuts = [3]
    both = page.evaluate(
        """(async () => {
        const answer = { url: sessionStorage.answer };
        const seen = [];
        let done;
        const end = new Promise((resolve) => (done = resolve));
        const show = (value) => seen.push(value) && value.kind === "completed" && done();
        PROGRAM
        await end;
        const { follow } = await import("/moondream-relay.js");
        const read = [];
        for await (const value of follow(answer.url)) read.push(value);
        return [seen, read, source.readyState];
    })()""".replace("PROGRAM", program)
    )
    assert both[0] == both[1]
    assert "".join(value.get("text", "") for value in both[0]) == WORDS
    assert both[0][-1]["kind"] == "completed"
    assert both[2] == 2  # closed
    assert not faults.cuts
    page.close()


MOON = files("moondream_tools") / "recordings"


def draw_page(folder: Path) -> None:
    """Write the picture of the guide: `python -m tests.transports.relay.test_browser_page`."""
    data = b64encode((MOON / "moon.png").read_bytes()).decode()
    chosen = f"""
        const blob = await (await fetch("data:image/png;base64,{data}")).blob();
        const files = new DataTransfer();
        files.items.add(new File([blob], "moon.png"));
        document.forms[0].file.files = files.files;
    """
    with (
        FakeServer() as upstream,
        served(upstream, folder) as (url, _),
        Chromium(folder / "profile") as browser,
    ):
        upstream.answer(recording=str(MOON / "segment.jsonl"), seconds=0)
        page = browser.open(f"{url}/", (760, 560))
        ask(page, "moon", "segment", chosen)
        page.wait_for(IS_COMPLETE)
        page.screenshot().quantize(64).save(FOLDER / "page.png", optimize=True)


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


if __name__ == "__main__":
    with TemporaryDirectory() as made:
        draw_page(Path(made))
