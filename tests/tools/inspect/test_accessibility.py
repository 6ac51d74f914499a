"""The page by axe-core, and what axe does not see: the order of the focus, and motion."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from tests.devtools import Chromium, Page
from tests.guides import ROOT
from tests.tools.inspect.page_server import HARBOUR, SHIPPED, Served, serving
from tests.tools.inspect.pages import opened, press

pytestmark = pytest.mark.slow

AXE = ROOT / "tests" / "node" / "node_modules" / "axe-core" / "axe.min.js"
TABS = ["break", "compare", "take-away", "ask"]
RUN = """axe.run({resultTypes: ['violations'], rules: {'target-size': {enabled: true}}}).then(
  ({violations, passes}) => ({passed: passes.length, found: violations.flatMap(({id, nodes}) =>
    nodes.map(({target, failureSummary}) => `${id}: ${target}: ${failureSummary}`))}))"""
FOCUSED = """(() => { const {activeElement: e} = document; return [e.tagName.toLowerCase(),
  e.getAttribute('role') ?? '', e.ariaLabel ?? e.textContent.trim().slice(0, 20)].join(' '); })()"""


def check(page: Page) -> None:
    """Assert that axe finds nothing in what a page shows."""
    if page.evaluate("typeof axe") == "undefined":
        page.evaluate(AXE.read_text() + "; undefined")
    result = page.evaluate(RUN)
    assert result["passed"] > 10
    assert result["found"] == []


@pytest.fixture(autouse=True)
def axe() -> None:
    if not AXE.exists():
        pytest.skip("needs axe-core: `make ci-tools`")


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("width", [400, 1600])
def test_axe_with_every_panel(browser: Chromium, shipped: Served, width: int, dark: bool):
    url = f"{shipped.url}#name=segment.jsonl&select=event:30"
    with opened(browser, url, (width, 900), dark=dark) as page:
        page.wait_for("document.querySelector('details-view h4')")
        page.evaluate("document.querySelectorAll('details').forEach((e) => { e.open = true })")
        for tab in TABS:
            page.evaluate(f"document.querySelector('#tab-{tab}').click()")
            page.wait_for(f"document.querySelector('#panel-{tab} > *').childElementCount")
            page.wait_for("!document.querySelector('[aria-busy=true]')")
            check(page)
        page.evaluate("document.querySelector('[aria-label=Keys]').click()")
        check(page)


def test_axe_without_a_selection_and_on_an_empty_page(browser: Chromium, shipped: Served):
    with opened(browser, f"{shipped.url}#name=query.jsonl") as page:
        page.wait_for("document.querySelector('details-view pre')")
        check(page)
        page.evaluate("location.hash = 'name=none'")
        page.wait_for("!document.querySelector('.notice').hidden")
        check(page)
    with serving([]) as served, opened(browser, served.url) as page:
        check(page)


def focused(page: Page, count: int) -> Sequence[str]:
    """Return what has the focus after each press of Tab."""
    found: list[str] = []
    for _ in range(count):
        press(page, "Tab")
        found.append(page.evaluate(FOCUSED))
    return found


def test_the_focus_goes_in_the_order_of_the_page_and_is_seen(browser: Chromium, shipped: Served):
    with opened(browser, f"{shipped.url}#name=segment.jsonl", (1600, 900)) as page:
        order = focused(page, 14)
        assert [name for name in order if name.startswith("a ")] == order[:6]
        assert order[6:13] == [
            "button  Play",
            "button  Previous chunk",
            "button  Next chunk",
            "button  Previous event",
            "button  Next event",
            "select  Speed",
            "input  Moment",
        ]
        style: Any = page.evaluate(
            "(({outlineStyle, outlineWidth}) => [outlineStyle, outlineWidth])"
            "(getComputedStyle(document.activeElement))"
        )
        assert style == ["solid", "2px"]
        # One tab of four is in the order; arrows go to the others.
        page.evaluate("document.querySelector('#tab-break').focus()")
        for key, selected in (
            ("ArrowRight", "compare"),
            ("End", "ask"),
            ("ArrowRight", "break"),
            ("ArrowLeft", "ask"),
            ("Home", "break"),
        ):
            press(page, key)
            assert page.evaluate("document.activeElement.id") == f"tab-{selected}"
            assert (
                page.evaluate("document.querySelectorAll('[role=tabpanel]:not([hidden])').length")
                == 1
            )
        assert page.evaluate("document.querySelectorAll('[role=tab][tabindex=\"0\"]').length") == 1


def test_nothing_moves_where_motion_is_reduced(browser: Chromium):
    with serving([SHIPPED], [HARBOUR]) as served, opened(browser, served.url) as page:
        feature = {"name": "prefers-reduced-motion", "value": "reduce"}
        page.command("Emulation.setEmulatedMedia", features=[feature])
        page.wait_for("matchMedia('(prefers-reduced-motion: reduce)').matches")
        durations = page.evaluate(
            "[...new Set([...document.querySelectorAll('*')].flatMap((e) => {"
            " const s = getComputedStyle(e); return [s.transitionDuration, s.animationName] }))]"
        )
        assert set(durations) <= {"0s", "none"}
