"""The panel Break in Chromium: the server decodes what it asks for, and all views show it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from sansio_moondream.recording import Recording
from tests.devtools import Chromium, Page
from tests.helpers import record
from tests.tools.inspect.broken_answers import answer
from tests.tools.inspect.page_server import HARBOUR, Served, serving
from tests.tools.inspect.pages import INSPECTOR, opened, text_of

pytestmark = pytest.mark.slow

FORM = "document.querySelector('break-panel form')"
VERDICTS = "[...document.querySelectorAll('break-panel tbody tr')].map(row => row.className)"
QUERY = "#name=query.jsonl"


@pytest.fixture
def page(browser: Chromium, shipped: Served) -> Iterator[Page]:
    with opened(browser, shipped.url + QUERY) as page:
        yield page


def set_value(page: Page, field: str, value: object, event: str = "input") -> None:
    page.evaluate(
        f"{{ const field = {FORM}[{field!r}]; field.value = {json.dumps(value)};"
        f" field.dispatchEvent(new Event({event!r}, {{ bubbles: true }})); }}"
    )


def add_fault(page: Page, kind: str, at: int) -> None:
    set_value(page, "at", at)
    page.evaluate(f"{FORM}[{kind!r}].click()")


def wait_for_chunks(page: Page, count: int) -> None:
    page.wait_for(f"{INSPECTOR}.trace.chunks.length === {count}")


def test_a_fault_is_decoded_at_once_and_shown_in_the_views(page: Page):
    add_fault(page, "close", 100)
    wait_for_chunks(page, 2)
    assert text_of(page, "main h2") == "query.jsonl (broken)"
    assert "connection lost" in text_of(page, ".exchange .error")
    assert page.evaluate(VERDICTS) == ["is-ours", "is-error", "is-error", "is-error"]
    ours = text_of(page, "break-panel tbody tr")
    assert "1 event of 2 chunks" in ours and "The image shows" in ours

    # A fault behind it is not reached. The first one counts.
    add_fault(page, "silence", 200)
    page.wait_for("document.querySelectorAll('break-panel li').length === 2")
    assert "not reached" in text_of(page, "break-panel li:last-child")
    page.evaluate("document.querySelector('break-panel li button').click()")
    page.wait_for(f"{INSPECTOR}.trace.error?.kind === 'idle_timeout'")
    assert page.evaluate(VERDICTS)[1] == "is-hangs"

    # As recorded, and broken again; without faults it is as recorded.
    page.evaluate(f"{FORM}.recorded.click()")
    wait_for_chunks(page, 14)
    assert text_of(page, "main h2") == "query.jsonl"
    assert page.evaluate(f"{FORM}.recorded.ariaPressed + {FORM}.broken.ariaPressed") == "truefalse"
    page.evaluate(f"{FORM}.broken.click()")
    page.wait_for(f"{INSPECTOR}.trace.error !== null")
    page.evaluate("document.querySelector('break-panel li button').click()")
    wait_for_chunks(page, 14)
    assert page.evaluate(f"{FORM}.broken.disabled && {FORM}.test.disabled") is True
    assert page.evaluate(VERDICTS) == []


def test_other_chunks_and_a_damaged_byte(page: Page):
    set_value(page, "chunks", "each", "change")
    wait_for_chunks(page, 1447)
    assert page.evaluate(VERDICTS) == ["is-ours", "is-same", "is-same", "is-silent"]
    set_value(page, "chunks", "size", "change")
    set_value(page, "numbers", "100")
    wait_for_chunks(page, 15)
    set_value(page, "chunks", "offsets", "change")
    set_value(page, "numbers", "7, 80 and 81")
    wait_for_chunks(page, 4)
    add_fault(page, "damage", 95)
    page.wait_for(f"{INSPECTOR}.trace.error?.kind === 'remote_protocol_error'")
    assert page.evaluate(f"{INSPECTOR}.trace.body[95]") == 0xFF
    page.evaluate(
        "{ const value = document.querySelector('break-panel li input'); value.value = 120;"
        " value.dispatchEvent(new Event('input', { bubbles: true })); }"
    )
    page.wait_for(f"{INSPECTOR}.trace.error === null && {INSPECTOR}.trace.body[95] === 120")
    set_value(page, "numbers", "1000000000000")
    page.wait_for("document.querySelector('break-panel table')")


# Where the fourth byte is, in the middle of the bytes that are in view: x, y, and its offset.
BYTE = """(() => {
  const scroller = document.querySelector('bytes-view .scroller');
  scroller.scrollIntoView({ block: 'center' });
  const { left, top, height } = scroller.getBoundingClientRect();
  const y = top + height / 2;
  const row = [...scroller.querySelectorAll('.row')].find((each) =>
    each.getBoundingClientRect().bottom > y);
  const side = row.querySelector('.hex').getBoundingClientRect();
  const columns = Number(getComputedStyle(scroller).getPropertyValue('--columns'));
  return [side.left + 3.5 * side.width / columns, y, Number(row.dataset.start) + 3];
})()"""


def test_a_click_on_a_byte_chooses_it(page: Page):
    page.wait_for("document.querySelector('bytes-view .row .hex')")
    x, y, offset = page.evaluate(BYTE)
    for kind in ("mousePressed", "mouseReleased"):
        page.command("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)
    page.wait_for(f"{FORM}.at.valueAsNumber === {offset}")
    body = page.evaluate(f"String.fromCharCode(...{INSPECTOR}.trace.body)")
    assert text_of(page, "break-panel mark") == body[offset]
    assert page.evaluate(BYTE)[2] == offset  # it stays where it was clicked
    # A fault is offered there, inside the window.
    assert text_of(page, ".offer p") == f"Break it at byte {offset}"
    page.evaluate("document.querySelector('.offer [name=close]').click()")
    page.wait_for(f"{INSPECTOR}.trace.body.length === {offset}")
    assert page.evaluate("document.querySelector('.offer').matches(':popover-open')") is False
    # What is selected elsewhere gives its first byte.
    page.evaluate(f"{INSPECTOR}.selection.select({{ lane: 'record', index: 2 }})")
    page.wait_for(f"{FORM}.at.valueAsNumber === {INSPECTOR}.trace.records[2].start")


def test_it_saves_a_recording_and_a_test(page: Page, tmp_path: Path):
    page.command("Page.setDownloadBehavior", behavior="allow", downloadPath=str(tmp_path))
    add_fault(page, "reset", 100)
    wait_for_chunks(page, 2)
    for name, file in (
        ("recording", "query-reset_at_100.jsonl"),
        ("test", "test_query-reset_at_100.py"),
    ):
        page.evaluate(f"{FORM}.{name}.click()")
        page.wait_for(
            f"document.querySelector('.says').textContent === 'Saved {file}'",
        )
        path = tmp_path / file
        _wait_until_written(page, path)
        text = path.read_text()
        if name == "recording":
            read = Recording.decode(text.encode())
            assert read.ending.message == "the connection was reset"
        else:
            names: dict[str, Any] = {}
            exec(compile(text, file, "exec"), names)
            next(value for key, value in names.items() if key.startswith("test_"))()


def _wait_until_written(page: Page, path: Path) -> None:
    for _ in range(500):
        if path.exists():
            return
        page.evaluate("new Promise(resolve => setTimeout(resolve, 20))")
    raise AssertionError(f"{path.name} is not there: {list(path.parent.iterdir())}")


def test_what_cannot_be_broken_is_said(page: Page):
    page.evaluate(
        "document.querySelector('break-panel').source.break = () =>"
        " Promise.reject(new Error('the server of the page is gone'))"
    )
    add_fault(page, "close", 1)
    page.wait_for("document.querySelector('break-panel [role=alert]')")
    assert text_of(page, "break-panel [role=alert]") == "the server of the page is gone"


def test_hostile_text_stays_text(browser: Chromium, tmp_path: Path):
    script = "<img src=x onerror=alert(1)><script>alert(1)</script>"
    hostile = answer(record({"chunk": script}), record({"error": {"message": script}}))
    (tmp_path / f"{'<b>x'}.jsonl").write_bytes(hostile.encode())
    with serving([tmp_path], [HARBOUR]) as served, opened(browser, served.url) as page:
        set_value(page, "chunks", "whole", "change")
        page.wait_for("document.querySelector('break-panel table')")
        assert script in text_of(page, "break-panel table")
        assert page.evaluate("document.querySelector('break-panel :is(img, script)')") is None


@pytest.mark.parametrize("width", [400, 1000, 1600])
def test_it_fits(browser: Chromium, shipped: Served, width: int):
    with opened(browser, shipped.url + QUERY, (width, 900)) as page:
        add_fault(page, "damage", 10)
        set_value(page, "chunks", "offsets", "change")
        for tab in ("break", "compare"):
            page.evaluate(f"document.querySelector('#tab-{tab}').click()")
            page.wait_for(f"document.querySelector('{tab}-panel table')")
            overflow = "document.querySelector('.panels').scrollWidth > innerWidth"
            assert page.evaluate(overflow) is False


# An exchange under way, in the panel alone.
LIVE = """import('./static/trace.js').then(async ({ Trace }) => {
  const { Selection } = await import('./static/selection.js');
  const { Player } = await import('./static/player.js');
  const shown = document.querySelector('play-controls').inspector;
  const given = { response: null, times: { connected: null, head: null, first_event: null },
    ending: null, error: null, result: null, body: '', decoded: null, chunks: [], records: [],
    messages: [], events: [], states: [] };
  const trace = new Trace({ ...given, trace: 1, name: 'live', skill: 'query', deadlines: null,
    request: { path: '', method: '', headers: [], body: null }, size: null });
  document.querySelector('break-panel').inspector = { ...shown, trace, name: 'live',
    player: new Player(trace), selection: new Selection() };
  globalThis.end = () => trace.append({ ...given, body: btoa('data'), chunks: [
    { at: 1, start: 0, end: 4, decoded_end: 4, cut: 0 }],
  ending: { at: 1, fault: 'eof', message: '' } });
})"""


def test_a_stream_under_way_can_be_broken_when_it_has_ended(page: Page):
    page.evaluate(LIVE)
    assert "under way" in text_of(page, "break-panel")
    page.evaluate("end()")
    page.wait_for(f"{FORM} !== null")
    assert "of 4 bytes" in text_of(page, "break-panel .byte")
