"""Ask in Chromium: a form, an answer that grows, and errors in words."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from moondream_tools import FakeServer
from moondream_tools._inspect._export import exported
from moondream_tools._inspect._images import Pictures
from sansio_moondream import (
    AuthenticationError,
    BBox,
    ChatRequest,
    Endpoint,
    QueryRequest,
    SegmentRequest,
)
from tests.devtools import Chromium, Page
from tests.helpers import PIXEL
from tests.tools.inspect.page_server import HARBOUR, SHIPPED, Served, serving
from tests.tools.inspect.pages import INSPECTOR, opened, press, text_of
from tests.tools.inspect.test_accessibility import AXE, check

pytestmark = pytest.mark.slow

KEY = "planted-key-7f3a"
PATH = "M0 0L1 0L1 1L0 1Z"
GIVE = """(() => { const bytes = Uint8Array.from(atob('DATA'), (c) => c.charCodeAt(0));
  const files = new DataTransfer();
  for (const name of NAMES) files.items.add(new File([bytes], name, { type: 'TYPE' }));
  const how = { bubbles: true, cancelable: true };
  WHERE })()"""
DROP = """document.querySelector('.drop').dispatchEvent(
  new DragEvent('drop', { ...how, dataTransfer: files }))"""
PASTE = """document.querySelector('ask-panel textarea').dispatchEvent(
  new ClipboardEvent('paste', { ...how, clipboardData: files }))"""
CHOOSE = """const input = document.querySelector('.drop input');
  input.files = files.files; input.dispatchEvent(new Event('change', how))"""
LARGE = """(() => { const files = new DataTransfer();
  files.items.add(new File([new Uint8Array(24e6)], 'large.png'));
  document.querySelector('.drop').dispatchEvent(
    new DragEvent('drop', { dataTransfer: files })); })()"""
BUTTON = """[...document.querySelectorAll('ask-panel button')]
  .find((button) => button.innerText === 'NAME').click()"""
STATE = "document.querySelector('ask-panel .state').textContent"
FAILED = "document.querySelector('ask-panel .failed:not([hidden])')"


def give(page: Page, data: bytes, where: str, *names: str, kind: str = "image/gif") -> None:
    """Drop, paste or choose files of these names, all with the same bytes."""
    script = GIVE.replace("DATA", base64.b64encode(data).decode()).replace("WHERE", where)
    page.evaluate(script.replace("NAMES", json.dumps(names)).replace("TYPE", kind))


def fill(page: Page, skill: str, text: str) -> None:
    """Choose a skill, and type a text into the form as a user does."""
    page.evaluate(f"document.querySelector('ask-panel [value={skill}]').click()")
    page.evaluate("document.querySelector('ask-panel textarea').focus()")
    page.command("Input.insertText", text=text)


def send(page: Page) -> None:
    press(page, "Enter")


@contextmanager
def asking(
    browser: Chromium, fake: FakeServer, size: tuple[int, int] = (1000, 700)
) -> Iterator[tuple[Page, Served]]:
    """Open the page of an endpoint, without recordings."""
    endpoint = Endpoint(fake.url, api_key=KEY)
    with serving([], endpoint=endpoint) as served, opened(browser, served.url, size) as page:
        page.wait_for("document.querySelector('ask-panel form')")
        yield page, served
        html = page.evaluate("document.documentElement.outerHTML")
        assert KEY not in html, html[max(html.find(KEY) - 200, 0) :][:400]


def test_an_answer_grows_and_is_taken_away(browser: Chromium, fake: FakeServer):
    fake.answer(path=PATH, box=BBox(0.25, 0.25, 0.5, 0.5), seconds=0.25)
    with asking(browser, fake) as (page, served):
        give(page, PIXEL.data, DROP, "pixel.gif")
        page.wait_for("document.querySelector('.drop img').naturalWidth === 1")
        assert "pixel.gif, 43 bytes" in text_of(page, ".drop")
        fill(page, "segment", 'it\'s a "moon" <b>')
        send(page)
        page.wait_for(f"{INSPECTOR}?.trace.count('event') === 1")
        player = f"{INSPECTOR}.player"
        assert page.evaluate(f"[{player}.following, {INSPECTOR}.trace.live]") == [True, True]
        # It is paused while the stream goes on, and follows again.
        page.evaluate("document.querySelector('play-controls .primary').click()")
        at = page.evaluate(f"{player}.time")
        page.wait_for(f"{INSPECTOR}.trace.count('event') >= 3")
        page.wait_for("document.querySelector('picture-view .legend').innerText.includes('path')")
        assert page.evaluate(f"[{player}.time, {player}.following]") == [at, False]
        page.evaluate("document.querySelector('play-controls .live').click()")
        page.wait_for(f"{player}.following")
        page.wait_for(f"{STATE} === 'Complete'")
        assert page.evaluate(f"{player}.time === {player}.end && !{player}.playing")
        assert page.evaluate(f"{INSPECTOR}.trace.result.path") == PATH
        name = page.evaluate(f"{INSPECTOR}.name")
        assert name == "asked-1-segment.jsonl"
        trace = served.ask(f"api/trace/{name}").json
        shown = page.evaluate(
            f"(({{chunks, events, states}}) => ({{chunks, events, states}}))({INSPECTOR}.trace)"
        )
        assert shown == {key: trace[key] for key in shown}
        page.wait_for("document.querySelector('nav .about')?.textContent.includes('200')")
        assert page.evaluate(f"{INSPECTOR}.image") == f"api/image/{name}"
        page.evaluate("document.querySelector('#tab-take-away').click()")
        page.wait_for("document.querySelector('take-away-panel pre')")
        assert "image=picture" in text_of(page, "take-away-panel .forms section:nth-child(2) pre")
    (received,) = fake.received
    request = received.request
    assert isinstance(request, SegmentRequest)
    assert (request.object, request.image) == ('it\'s a "moon" <b>', PIXEL)
    assert received.stream


def test_it_is_cancelled(browser: Chromium, fake: FakeServer):
    fake.answer(text="one two three", fault="stall@1")
    with asking(browser, fake) as (page, _):
        fill(page, "query", "What is it?")
        send(page)
        page.wait_for(f"{INSPECTOR}?.trace.count('event') === 1")
        assert "asked-1-query.jsonl is under way" in text_of(page, "ask-panel .state")
        page.evaluate(BUTTON.replace("NAME", "Cancel"))
        page.wait_for(f"{STATE} === 'Left'")
        fake.wait_until_left()
        assert page.evaluate(f"{INSPECTOR}.trace.ending.fault") == "left"
        assert not page.evaluate(f"{INSPECTOR}.player.playing")


def test_errors_are_in_words(browser: Chromium, fake: FakeServer):
    fake.answer(error=AuthenticationError(f"no such <key> {KEY}", status_code=401))
    fake.answer(text="one two three", fault="close@2")
    with asking(browser, fake) as (page, _):
        send_button = "document.querySelector('ask-panel .primary').click()"
        assert text_of(page, ".notice").startswith("No answers yet")
        page.evaluate(send_button)
        page.wait_for(FAILED)
        assert text_of(page, "ask-panel .failed") == "Not sent\ntype a question"
        fill(page, "query", "What is it?")
        send(page)
        page.wait_for(f"{FAILED} && {STATE} === ''")
        words = text_of(page, "ask-panel .failed")
        assert "AuthenticationError" in words
        assert f"no such <key> {'*' * len(KEY)}" in words
        assert "MOONDREAM_API_KEY should be a key of this server" in words
        page.evaluate(send_button)
        page.wait_for(f"{FAILED}?.textContent.includes('ConnectionLost')")
        # The address names the answer that is open, also one that had ended before it was opened.
        page.wait_for("location.hash.startsWith('#name=asked-2-query.jsonl&t=')")
        page.evaluate("document.querySelector('ask-panel [value=segment]').click()")
        page.evaluate(send_button)
        page.wait_for(f"{FAILED}?.textContent.includes('drop a picture first')")
        give(page, b"no picture", DROP, "notes.txt", kind="text/plain")
        page.evaluate(send_button)
        page.wait_for(f"{FAILED}?.textContent.includes('JPEG, PNG, WebP or GIF')")
        give(page, PIXEL.data, DROP, "a.gif", "b.gif")
        page.wait_for(f"{FAILED}?.textContent.includes('One picture at a time: these are 2')")
        page.evaluate(LARGE)
        page.wait_for(f"{FAILED}?.textContent.includes('24.0 MB, and this page sends at most 23')")
        assert page.evaluate("document.querySelector('ask-panel [role=alert]') === " + FAILED)


def test_pictures_come_in_all_ways(browser: Chromium, fake: FakeServer):
    fake.answer(text="A pixel.", times=None)
    endpoint = Endpoint(fake.url, api_key=KEY)
    with (
        serving([SHIPPED / "query.jsonl"], [HARBOUR], endpoint) as served,
        opened(browser, served.url) as page,
    ):
        page.evaluate("document.querySelector('#tab-ask').click()")
        page.wait_for("document.querySelector('ask-panel form')")
        buttons = "[...document.querySelectorAll('.drop button:not([hidden])')]"
        assert page.evaluate(f"{buttons}.map((b) => b.innerText)") == [
            "Choose a picture",
            "Use the picture shown above",
        ]
        page.evaluate(f"{buttons}[1].click()")
        page.wait_for("document.querySelector('.drop img').naturalWidth === 960")
        fill(page, "query", "What is it?")
        send(page)
        page.wait_for(f"{STATE} === 'Complete'")
        for where in (CHOOSE, PASTE):
            page.evaluate(f"{buttons}.at(-1).click()")
            assert "Drop a picture here" in text_of(page, ".drop")
            give(page, PIXEL.data, where, "pixel.gif")
            page.wait_for("document.querySelector('.drop img').naturalWidth === 1")
            send(page)
            page.wait_for(f"{STATE} === 'Complete'")
    images = [
        x.request.image.data
        for x in fake.received
        if isinstance(x.request, QueryRequest) and x.request.image
    ]
    assert images == [HARBOUR.read_bytes(), PIXEL.data, PIXEL.data]


def test_a_conversation(browser: Chromium, fake: FakeServer):
    fake.answer(text="A pixel.")
    fake.answer(status=503)
    fake.answer(text="Yes.")
    with asking(browser, fake, (400, 800)) as (page, _):
        give(page, PIXEL.data, DROP, "pixel.gif")
        fill(page, "chat", "What is it?")
        page.evaluate("document.querySelector('ask-panel details').open = true")
        page.evaluate("document.querySelector('.settings input[type=number]').value = '0.5'")
        send(page)
        page.wait_for(f"{STATE} === 'Complete'")
        assert text_of(page, ".talk") == "You\nWhat is it?\nModel\nA pixel."
        page.evaluate("document.querySelector('ask-panel textarea').focus()")
        page.command("Input.insertText", text="Sure?")
        send(page)
        page.wait_for(FAILED)
        assert page.evaluate("document.querySelector('ask-panel textarea').value") == "Sure?"
        send(page)
        page.wait_for(f"{STATE} === 'Complete'")
        assert text_of(page, ".talk").endswith("You\nSure?\nModel\nYes.")
        if AXE.exists():
            check(page)
        page.evaluate(BUTTON.replace("NAME", "New conversation"))
        assert page.evaluate("document.querySelector('.talk').hidden")
        assert page.evaluate("document.documentElement.scrollWidth") == 400
    last = fake.received[-1].request
    assert isinstance(last, ChatRequest)
    said = [(message.role, message.content) for message in last.messages]  # type: ignore[union-attr]
    assert said == [
        ("user", (PIXEL, "What is it?")),
        ("assistant", "A pixel."),
        ("user", "Sure?"),
    ]
    assert last.settings is not None and last.settings.temperature == 0.5


def test_without_an_endpoint_it_says_what_it_needs(
    browser: Chromium, shipped: Served, tmp_path: Path
):
    file = tmp_path / "page.html"
    file.write_text(exported(shipped.store, Pictures()), encoding="utf-8")
    for url, words in (
        (shipped.url, "Run moondream-stream inspect --endpoint URL"),
        (file.as_uri(), "one file without a server. Run moondream-stream inspect"),
    ):
        with opened(browser, url) as page:
            page.evaluate("document.querySelector('#tab-ask').click()")
            page.wait_for("document.querySelector('ask-panel code')")
            assert words in text_of(page, "ask-panel")
