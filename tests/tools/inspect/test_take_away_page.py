"""Take away in Chromium: four forms, to copy and to download."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest
from msgspec.structs import replace

from moondream_tools._inspect._export import exported
from moondream_tools._inspect._images import Pictures
from moondream_tools._inspect._store import Store
from moondream_tools._inspect._take_away import take_away
from sansio_moondream.recording import Ending, Recording, RecordingHeader
from tests.devtools import Chromium, Page
from tests.tools.inspect.page_server import Served, serving
from tests.tools.inspect.pages import opened, text_of
from tests.tools.serving import RECORDED

pytestmark = pytest.mark.slow

FORMS = {"curl": "sh", "python": "py", "recording": "jsonl", "har": "har"}
SECTION = "document.querySelector('take-away-panel .forms section:nth-child({})')"


def open_panel(page: Page) -> None:
    page.evaluate("document.querySelector('#tab-take-away').click()")
    page.wait_for("document.querySelectorAll('take-away-panel pre').length === 4")


def click(page: Page, number: int, button: str) -> str:
    """Click a button of a form, and return what it says then."""
    section = SECTION.format(number)
    page.evaluate(
        f"[...{section}.querySelectorAll('button')].find((b) => b.innerText === '{button}').click()"
    )
    if button == "Download":
        return ""
    page.wait_for(f"{section}.querySelector('.said').textContent")
    said: str = page.evaluate(f"{section}.querySelector('.said').textContent")
    return said


def test_each_form_is_copied_and_downloaded(
    browser: Chromium, shipped: Served, tmp_path: Path
) -> None:
    forms = take_away(RECORDED["segment"])
    with opened(browser, f"{shipped.url}#name=segment.jsonl") as page:
        origin = "/".join(shipped.url.split("/")[:3])
        page.command("Page.setDownloadBehavior", behavior="allow", downloadPath=str(tmp_path))
        names = ["clipboardReadWrite", "clipboardSanitizedWrite"]
        context = page.command("Target.getTargetInfo")["targetInfo"]["browserContextId"]
        page.command(
            "Browser.grantPermissions", origin=origin, permissions=names, browserContextId=context
        )
        page.command("Emulation.setFocusEmulationEnabled", enabled=True)
        open_panel(page)
        left_out = text_of(page, "take-away-panel .left-out")
        for sentence in forms["left_out"]:
            assert sentence in left_out
        marked = page.evaluate(
            "[...document.querySelectorAll('take-away-panel mark')].map((m) => m.textContent)"
        )
        assert {
            "MOONDREAM_ENDPOINT",
            "MOONDREAM_API_KEY",
            "picture.jpg",
            "not-recorded.invalid",
        } == {*marked}
        for number, (form, end) in enumerate(FORMS.items(), 1):
            text: str = forms[form]  # type: ignore[literal-required]
            assert click(page, number, "Copy") == "Copied"
            assert page.evaluate("navigator.clipboard.readText()") == text
            shown = page.evaluate(f"{SECTION.format(number)}.querySelector('pre').textContent")
            assert shown == text[:20_000]
            click(page, number, "Download")
            file = tmp_path / f"segment.{end}"
            until = time.monotonic() + 20
            while not file.exists() or file.read_bytes() != text.encode():
                assert time.monotonic() < until, list(tmp_path.iterdir())
                time.sleep(0.01)


def test_without_a_clipboard_the_text_is_selected(browser: Chromium, tmp_path: Path) -> None:
    """In a file, of a recording that is hostile and too long to draw all of it."""
    hostile = "</script><img src=x onerror=alert(1)>" * 2000
    header = RecordingHeader("POST", "/v1/query", (("accept", "<b>"),), {"question": hostile})
    recording = Recording(header, (), Ending(0.5, "ConnectError", "<i>refused</i>"))
    store = Store()
    store.add("<b>a/../b.jsonl", recording)
    file = tmp_path / "page.html"
    file.write_text(exported(store, Pictures()), encoding="utf-8")
    forms = take_away(recording)
    with opened(browser, file.as_uri()) as page:
        deny = "navigator.clipboard.writeText = () => Promise.reject(new Error('denied'))"
        page.evaluate(f"if (navigator.clipboard) {deny}; undefined")
        page.command("Page.setDownloadBehavior", behavior="allow", downloadPath=str(tmp_path))
        open_panel(page)
        assert (
            page.evaluate("document.querySelectorAll('take-away-panel :is(img, b, i)').length") == 0
        )
        assert len(page.evaluate(f"{SECTION.format(2)}.querySelector('pre').textContent")) == 20_000
        assert click(page, 2, "Copy") == "Selected: copy it with Ctrl+C or ⌘C"
        assert page.evaluate("getSelection().toString()") == forms["python"].rstrip("\n")
        click(page, 3, "Download")
        name = tmp_path / "b-a-..-b.jsonl"
        until = time.monotonic() + 20
        while not name.exists() or name.read_bytes() != recording.encode():
            assert time.monotonic() < until, list(tmp_path.iterdir())
            time.sleep(0.01)
        assert "alert" not in json.dumps(page.evaluate("errors"))


def test_it_follows_what_is_open(browser: Chromium) -> None:
    refused = replace(RECORDED["query"], ending=Ending(0.0, "left"))
    with serving([]) as served:
        served.store.add("one.jsonl", RECORDED["detect"])
        served.store.add("two.jsonl", refused)
        with opened(browser, served.url, (400, 800), dark=True) as page:
            open_panel(page)
            assert "DetectRequest" in text_of(page, "take-away-panel .forms section:nth-child(2)")
            page.evaluate("document.querySelector('nav li:last-child a').click()")
            page.wait_for(
                "document.querySelector('take-away-panel').innerText.includes('QueryRequest')"
            )
            assert page.evaluate("document.documentElement.scrollWidth") == 400
