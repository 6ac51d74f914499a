"""The frame of the page in Chromium: what it opens, plays and links to."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import quote

import pytest

from tests.devtools import Chromium
from tests.tools.inspect.page_server import HARBOUR, SHIPPED, Served, serving
from tests.tools.inspect.pages import (
    INSPECTOR,
    SELECTED,
    SHIFT,
    TIME,
    opened,
    press,
    text_of,
    wait_until_shown,
)

pytestmark = pytest.mark.slow

SEGMENT = "#name=segment.jsonl"
LIVE = """import('./static/trace.js').then(async ({ Trace }) => {
  const { Player } = await import('./static/player.js');
  const { Selection } = await import('./static/selection.js');
  const given = { response: null, times: { connected: null, head: null, first_event: null },
    ending: null, error: null, result: null, body: '', decoded: null, chunks: [], records: [],
    messages: [], events: [], states: [] };
  const trace = new Trace({ ...given, trace: 1, name: 'live', skill: 'query', request: { path: '',
    method: '', headers: [], body: null }, deadlines: null, size: null });
  const player = new Player(trace);
  globalThis.grow = (at, ending = null) => trace.append({ ...given, body: btoa('x'), ending,
    chunks: [{ at, start: at - 1, end: at, decoded_end: at, cut: 0 }] });
  for (const name of ['play-controls', 'waterfall-view', 'machine-view', 'details-view']) {
    document.querySelector(name).inspector = { name: 'live', trace, player, image: null,
      selection: new Selection() };
  }
  player.follow();
})"""
LINKED = "Number(new URLSearchParams(location.hash.slice(1)).get('t')).toFixed(6)"
SCRUBBER = "document.querySelector('play-controls input').valueAsNumber"
WIDTH = "document.documentElement.scrollWidth"


def test_it_lists_recordings_and_opens_one(browser: Chromium, shipped: Served):
    with opened(browser, shipped.url) as page:
        names = page.evaluate("[...document.querySelectorAll('nav .name')].map(e => e.innerText)")
        assert names == sorted(path.name for path in SHIPPED.glob("*.jsonl"))
        assert text_of(page, "main h2") == names[0]
        current = page.evaluate("document.querySelector('nav [aria-current=page]').textContent")
        assert current == f"{names[0]} caption · 200 · 9 chunks"
        page.evaluate("document.querySelector('nav li:last-child a').click()")
        page.wait_for(f"document.querySelector('main h2').innerText === '{names[-1]}'")
        facts = text_of(page, ".facts")
        for fact in ("POST /v1/segment", "status 200", "120 chunks", "18.9 kB", "completed"):
            assert fact in facts
        page.wait_for("document.querySelector('[role=status]').textContent.includes('segment')")
        assert page.evaluate("document.title") == f"{names[-1]} · Moondream stream"
        page.evaluate("history.back()")
        page.wait_for(f"document.querySelector('main h2').innerText === '{names[0]}'")


def test_keys_move_through_time(browser: Chromium, shipped: Served):
    with opened(browser, shipped.url + SEGMENT) as page:
        press(page, "Home")
        assert page.evaluate(TIME) == 0
        press(page, "ArrowRight")
        press(page, "ArrowRight")
        page.wait_for(f"{SELECTED} === 'chunk:1'")
        press(page, "ArrowLeft")
        page.wait_for(f"{SELECTED} === 'chunk:0'")
        press(page, "ArrowRight", SHIFT)
        page.wait_for(f"{SELECTED} === 'event:1'")
        page.wait_for("document.querySelector('[role=status]').innerText.startsWith('event 1,')")
        assert text_of(page, "details-view h4") == "Event 1"
        press(page, "Escape")
        page.wait_for(f"{SELECTED} === null")
        press(page, "5")
        assert page.evaluate(f"{TIME} / {INSPECTOR}.trace.end") == pytest.approx(0.5)
        press(page, "End")
        assert page.evaluate(f"{TIME} === {INSPECTOR}.trace.end")
        # A key belongs to the element that has the focus, where it means something there.
        page.evaluate("document.querySelector('play-controls select').focus()")
        press(page, "Home")
        assert page.evaluate(f"{TIME} === {INSPECTOR}.trace.end")
        page.evaluate("document.activeElement.blur()")
        press(page, "?")
        assert page.evaluate("document.querySelector('dialog').open")
        press(page, "Escape")
        page.wait_for("!document.querySelector('dialog').open")


def test_it_plays_pauses_and_changes_its_speed(browser: Chromium, shipped: Served):
    with opened(browser, shipped.url + SEGMENT) as page:
        page.evaluate(
            f"globalThis.moments = 0; {INSPECTOR}.player.addEventListener('moment',"
            " () => { moments += 1 })"
        )
        press(page, " ")
        page.wait_for(f"{TIME} > 0.2 && moments > 3")
        assert page.evaluate("document.querySelector('button.primary').ariaLabel") == "Pause"
        page.evaluate("document.querySelector('button.primary').click()")
        stopped = page.evaluate(TIME)
        assert 0 < stopped < 4
        page.wait_for(f"{LINKED} === {TIME}.toFixed(6)")
        values = "document.querySelector('[type=range]').getAttribute('aria-valuetext')"
        page.wait_for(f"{values}.endsWith(' of 120 events, reading events')")
        assert " of 120 chunks, " in page.evaluate(values)
        for _ in range(9):
            press(page, "+")
        page.wait_for("document.querySelector('play-controls select').value === 'max'")
        press(page, "9")
        press(page, " ")
        page.wait_for(f"!{INSPECTOR}.player.playing")
        assert page.evaluate(f"{TIME} === {INSPECTOR}.trace.end")
        page.wait_for("document.querySelector('machine-view .now').textContent === 'completed'")
        assert page.evaluate("moments") > 10


def test_links_lead_to_a_moment(browser: Chromium, shipped: Served):
    with opened(browser, f"{shipped.url}{SEGMENT}&t=1.5&select=event:30") as page:
        page.wait_for("document.querySelector('details-view h4')?.innerText === 'Event 30'")
        assert page.evaluate(TIME) == 1.5
        page.reload()
        wait_until_shown(page)
        page.wait_for("document.querySelector('details-view h4')?.innerText === 'Event 30'")
        page.evaluate("location.hash = 'name=query.jsonl&t=-7&select=event:99999'")
        page.wait_for("document.querySelector('main h2').innerText === 'query.jsonl'")
        page.wait_for(f"{INSPECTOR}.name === 'query.jsonl'")
        assert page.evaluate(f"{INSPECTOR}.selection.selected") is None
        page.evaluate("location.hash = 'name=<b>none</b>'")
        page.wait_for("!document.querySelector('.notice').hidden")
        assert "There is no recording “<b>none</b>” here." in text_of(page, ".notice")
        page.evaluate("location.hash = '%E0%A4%A&&=='")
        assert page.evaluate("document.querySelector('.notice').hidden") is False


def test_a_live_exchange_is_followed_until_a_pause(browser: Chromium, shipped: Served):
    with opened(browser, shipped.url) as page:
        page.evaluate(LIVE)
        page.evaluate("grow(1)")
        page.wait_for(f"{SCRUBBER} === 1")
        live = "document.querySelector('play-controls .live')"
        assert page.evaluate(f"{live}.hidden") is False
        assert page.evaluate(f"{live}.ariaPressed") == "true"
        press(page, " ")
        page.evaluate("grow(2)")
        page.wait_for("document.querySelector('play-controls input').max === '2'")
        assert page.evaluate(SCRUBBER) == 1
        page.evaluate(f"{live}.click(); grow(3, {{ at: 4, fault: 'eof', message: '' }})")
        page.wait_for(f"{SCRUBBER} === 4")
        page.wait_for(f"{live}.hidden")


def test_empty_and_broken(browser: Chromium, tmp_path: Path):
    with serving([]) as served, opened(browser, served.url) as page:
        assert "moondream-stream inspect RECORDING" in text_of(page, ".notice")
        assert page.evaluate("document.querySelector('.panels').hidden")
        assert page.evaluate(f"{INSPECTOR} ?? null") is None
    lines = (SHIPPED / "query.jsonl").read_text().splitlines()
    (tmp_path / "broken.jsonl").write_text("\n".join([*lines[:2], "[0.1, 2]"]))
    (tmp_path / "empty.jsonl").write_text("")
    (tmp_path / "query.jsonl").write_text("\n".join(lines))
    for i in range(40):
        (tmp_path / f"z{i}.jsonl").write_text("\n".join(lines))
    with (
        serving([tmp_path]) as served,
        opened(browser, served.url + "#name=broken.jsonl") as page,
    ):
        assert "Cannot show broken.jsonl" in text_of(page, ".notice")
        assert "Line 3: " in text_of(page, ".notice")
        assert page.evaluate("document.querySelectorAll('nav .broken').length") == 2
        # Those that can be read still open.
        page.evaluate("location.hash = 'name=query.jsonl'")
        page.wait_for(f"{INSPECTOR}?.name === 'query.jsonl'")
        assert page.evaluate("document.querySelector('.notice').hidden")
        # The list scrolls to it, and the page does not.
        assert "end of the body" in text_of(page, "details-view")
        page.evaluate("location.hash = 'name=z39.jsonl'")
        page.wait_for("document.querySelector('nav [aria-current]')?.innerText.includes('z39')")
        link, box = (
            page.evaluate(f"document.querySelector('nav {each}').getBoundingClientRect().toJSON()")
            for each in ("[aria-current]", "ul")
        )
        assert box["top"] <= link["top"] and link["bottom"] <= box["bottom"] + 1
        assert page.evaluate("[scrollY, document.querySelector('nav ul').scrollTop > 0]") == [
            0,
            True,
        ]


def test_names_and_headers_are_text(browser: Chromium, tmp_path: Path):
    """What a recording says is shown, and never is markup."""
    markup = "<img src=x onerror=errors.push('ran')>"
    text = (SHIPPED / "query.jsonl").read_text().replace("uvicorn", markup)
    (tmp_path / f"{markup.replace('/', '')}.jsonl").write_text(text)
    with serving([tmp_path]) as served, opened(browser, served.url) as page:
        page.wait_for("document.querySelector('details-view details')")
        assert markup in text_of(page, "main h2")
        assert markup in page.evaluate("document.querySelector('details-view').textContent")
        assert page.evaluate("document.querySelectorAll('img[src=x]').length") == 0


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("width", [400, 1000, 1600])
def test_it_fits_the_window(browser: Chromium, shipped: Served, width: int, dark: bool):
    with opened(browser, shipped.url + SEGMENT, (width, 800), dark=dark) as page:
        page.wait_for("document.querySelector('details-view pre')")
        assert page.evaluate(WIDTH) == width
        for tab in ("compare", "take-away", "ask", "break"):
            page.evaluate(f"document.querySelector('#tab-{tab}').click()")
            assert page.evaluate(WIDTH) == width, tab
        picture = page.screenshot().convert("L").tobytes()
        assert max(picture) - min(picture) > 150
        assert (picture[0] < 64) == dark


def test_names_of_any_kind_are_linked(browser: Chromium, tmp_path: Path):
    name = "a b&t=9#ü.jsonl"
    (tmp_path / name).write_bytes((SHIPPED / "query.jsonl").read_bytes())
    (tmp_path / "other.jsonl").write_bytes((SHIPPED / "point.jsonl").read_bytes())
    with (
        serving([tmp_path], [HARBOUR]) as served,
        opened(browser, f"{served.url}#name={quote(name)}&t=2") as page,
    ):
        assert page.evaluate(f"[{INSPECTOR}.name, {TIME}]") == [name, 2]
        press(page, "ArrowRight")
        page.wait_for(f"{SELECTED}?.startsWith('chunk:')")
        page.reload()
        wait_until_shown(page)
        assert page.evaluate(f"{INSPECTOR}.name") == name
