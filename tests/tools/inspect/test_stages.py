"""Waterfall, state machine and details in Chromium."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.devtools import Chromium
from tests.tools.inspect.page_server import SHIPPED, Served, serving
from tests.tools.inspect.pages import INSPECTOR, TIME, opened, press, text_of

pytestmark = pytest.mark.slow

ROWS = """[...document.querySelectorAll('waterfall-view li')].map((row) =>
  ['.name', '.value'].map((part) => row.querySelector(part).innerText).join(': '))"""
LIT = "[...document.querySelectorAll('machine-view .NAME title, machine-view .NAME text')]"


def lit(name: str) -> str:
    """Return an expression for the titles or the texts of the parts of a class."""
    return LIT.replace("NAME", name) + ".map((e) => e.textContent).join(' ')"


def test_the_waterfall_names_the_deadline_that_passed(browser: Chromium, tmp_path: Path):
    lines = (SHIPPED / "query.jsonl").read_text().splitlines()
    header = json.loads(lines[0])
    header["connected"] = 0.031
    header["timeouts"] = {"connect": 10.0, "first_event": 60.0, "idle": 5.0, "total": None}
    silence = json.dumps([5.0, "x", "IdleTimeout", "no byte for 5 seconds"])
    (tmp_path / "late.jsonl").write_text("\n".join([json.dumps(header), *lines[1:6], silence]))
    del header["connected"], header["timeouts"]
    (tmp_path / "old.jsonl").write_text("\n".join([json.dumps(header), *lines[1:6], silence]))
    with serving([tmp_path]) as served, opened(browser, f"{served.url}#name=late.jsonl") as page:
        page.wait_for("document.querySelector('waterfall-view li')")
        rows = page.evaluate(ROWS)
        assert rows[0] == "Connect: 31 ms · deadline 10 s"
        assert rows[2].startswith("First event: ")
        assert rows[2].endswith(" · deadline 60 s")
        assert "Gap before the end: 5.00 s · deadline 5 s, passed" in rows
        assert rows[-1].endswith(", idle timeout")
        assert page.evaluate("document.querySelectorAll('waterfall-view .late').length") == 1
        assert page.evaluate("document.querySelectorAll('waterfall-view .deadline').length") >= 1
        # A gap leads to its end.
        page.evaluate("document.querySelector('waterfall-view button').click()")
        page.wait_for(f"{INSPECTOR}.selection.selected?.lane === 'chunk'")
        chunk = page.evaluate(f"{INSPECTOR}.trace.chunks[{INSPECTOR}.selection.selected.index].at")
        assert page.evaluate(TIME) == chunk
        page.evaluate("location.hash = 'name=old.jsonl'")
        page.wait_for(f"{ROWS}[0] === 'Connect: not recorded'")
        assert "Gap before the end: 5.00 s" in page.evaluate(ROWS)
        assert "idle timeout: " in text_of(page, ".error")


def test_the_machine_lights_the_state_of_the_moment(browser: Chromium, shipped: Served):
    with opened(browser, f"{shipped.url}#name=segment.jsonl&t=0") as page:
        page.wait_for("document.querySelector('machine-view .now')")
        assert page.evaluate(lit("now")) == "awaiting response"
        press(page, "5")
        page.wait_for("document.querySelector('machine-view .now').textContent === 'readingevents'")
        assert page.evaluate(lit("taken")) == "event stream: to reading events"
        press(page, "End")
        page.wait_for("document.querySelector('machine-view .now').textContent === 'completed'")
        assert page.evaluate(lit("taken")) == (
            "event stream: to reading events end of answer: to completed"
        )
        label = page.evaluate("document.querySelector('machine-view svg').ariaLabel")
        assert label == "State machine, now completed"
        page.evaluate("document.querySelectorAll('machine-view button')[1].click()")
        assert page.evaluate(f"{TIME} === {INSPECTOR}.trace.states[1].at")
        # States that the layout does not know have places of their own.
        page.evaluate(
            "(() => { const view = document.querySelector('machine-view'); view.machine = {"
            " states: ['NEW', 'AWAITING_RESPONSE', 'NEWER'], transitions: [['NEW', 'X', 'NEWER'],"
            " ['AWAITING_RESPONSE', 'X', 'NEW']] }; view.inspector = view.inspector })()"
        )
        page.wait_for("document.querySelectorAll('machine-view .edge').length === 2")
        boxes = page.evaluate(
            "[...document.querySelectorAll('machine-view rect')].map((e) => [e, e.parentNode."
            "textContent]).map(([e, name]) => [name, e.getBBox().x, e.getBBox().y])"
        )
        assert {name for name, _, _ in boxes} >= {"new", "newer", "readingevents", "completed"}
        assert len({(x, y) for _, x, y in boxes}) == len(boxes)


def test_details_lead_from_one_item_to_what_belongs_to_it(browser: Chromium, shipped: Served):
    heading = "document.querySelector('details-view h4')?.innerText"
    with opened(browser, f"{shipped.url}#name=segment.jsonl&select=message:30") as page:
        page.wait_for(f"{heading} === 'Message 30'")
        shown = json.loads(text_of(page, "details-view pre"))
        assert shown == page.evaluate(f"{INSPECTOR}.trace.messages[30].value")
        for lane in ("record", "event", "chunk"):
            page.evaluate(f"document.querySelector('details-view .link.{lane}').click()")
            page.wait_for(f"{heading} === '{lane.capitalize()} 30'")
        start, end = page.evaluate(f"{INSPECTOR}.trace.span({{ lane: 'chunk', index: 30 }})")
        assert f"{start} to {end} ({end - start})" in text_of(page, "details-view")
        assert text_of(page, "details-view pre").startswith("data: ")
        # What is hovered goes before what is selected.
        page.evaluate(f"{INSPECTOR}.selection.hover({{ lane: 'event', index: 2 }})")
        page.wait_for(f"{heading} === 'Event 2'")
        page.evaluate(f"{INSPECTOR}.selection.hover(null)")
        page.wait_for(f"{heading} === 'Chunk 30'")
        press(page, "Escape")
        page.wait_for("document.querySelector('details-view .hint')")
        result = page.evaluate(
            "[...document.querySelectorAll('details-view pre')].at(-1).innerText"
        )
        assert json.loads(result)["kind"] == "segment_result"
