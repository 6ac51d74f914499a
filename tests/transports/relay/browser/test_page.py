"""The page of docs/how-to/browser.md in a real Chromium, against the relay and a fake server."""

from __future__ import annotations

from itertools import pairwise

import pytest

from moondream_tools import FakeServer
from sansio_moondream import QueryRequest, ServerError
from tests.devtools import Chromium
from tests.transports.relay.browser.pages import (
    IS_COMPLETE,
    STATUS,
    TEXT,
    WORDS,
    Faults,
    ask,
    paths,
    words_shown,
)

pytestmark = pytest.mark.slow

MARKUP = "<b>bold</b> & <img src=x onerror='window.isHacked = true'>"


def test_the_text_grows(browser: Chromium, upstream: FakeServer, site: tuple[str, Faults]):
    upstream.answer(text=WORDS, seconds=0.01)
    page = browser.open(f"{site[0]}/")
    page.evaluate(f"""
        window.seen = [];
        new MutationObserver(() => seen.push({TEXT})).observe(
            document.getElementById("answer"), {{ childList: true }},
        );
    """)
    ask(page)
    page.wait_for(IS_COMPLETE)
    seen = [text for text in page.evaluate("seen") if text]
    assert len(seen) > 3
    assert all(after.startswith(before) for before, after in pairwise(seen))
    assert seen[-1] == page.evaluate(TEXT) == WORDS
    assert page.evaluate("document.getElementById('answer').ariaBusy") == "false"
    assert upstream.requests == (QueryRequest(question="What is it?"),)
    page.close()


def test_a_reload_shows_what_there_is(
    browser: Chromium, upstream: FakeServer, site: tuple[str, Faults]
):
    upstream.answer(text=WORDS, fault="stall@5")
    page = browser.open(f"{site[0]}/")
    ask(page)
    for _ in range(2):
        words_shown(page, 5)
        assert page.evaluate(TEXT) == "word0 word1 word2 word3 word4"
        assert page.evaluate(STATUS) == "Answering …"
        assert page.evaluate("document.getElementById('answer').ariaBusy") == "true"
        page.reload()
    assert len(upstream.requests) == 1
    page.close()


def test_a_reload_in_the_middle_loses_and_doubles_nothing(
    browser: Chromium, upstream: FakeServer, site: tuple[str, Faults]
):
    upstream.answer(text=WORDS, seconds=0.1)
    page = browser.open(f"{site[0]}/")
    ask(page)
    words_shown(page, 5)
    page.reload()
    for _ in range(2):  # and after the end
        page.wait_for(IS_COMPLETE)
        assert page.evaluate(TEXT) == WORDS
        page.reload()
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
    page.back()
    page.wait_for(IS_COMPLETE)
    assert page.evaluate(TEXT) == WORDS
    assert len(upstream.requests) == 1
    page.close()
