"""The reader in a real Chromium, and `EventSource` beside it."""

from __future__ import annotations

import pytest

from moondream_tools import FakeServer
from tests.devtools import Chromium
from tests.guides import BLOCK
from tests.transports.relay.browser.pages import (
    GUIDE,
    IS_COMPLETE,
    WORDS,
    Direct,
    Faults,
    ask,
    running,
)

pytestmark = pytest.mark.slow


def test_an_event_source_reads_the_same_stream(
    browser: Chromium, upstream: FakeServer, site: tuple[str, Faults]
):
    url, faults = site
    upstream.answer(text=WORDS)
    page = browser.open(f"{url}/")
    ask(page)
    page.wait_for(IS_COMPLETE)
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


def test_a_relay_that_answers_the_post_itself(browser: Chromium, upstream: FakeServer):
    program = """(async () => {
        const { ask } = await import("/moondream-relay.js");
        const values = [];
        try {
            const answer = await ask("/v1/query", { question: "?" });
            values.push(answer.url);
            for await (const value of answer) {
                values.push(value);
                if (values.length > MOST) break;
            }
        } catch ({ kind, message, partial }) {
            values.push({ kind, message, partial });
        }
        return values;
    })()"""
    with running(Faults(Direct(upstream))) as (url, faults):
        page = browser.open(f"{url}/moondream-relay.js")
        upstream.answer(text=WORDS)
        first, *deltas, last = page.evaluate(program.replace("MOST", "1000"))
        assert first == ""
        assert "".join(delta["text"] for delta in deltas) == WORDS == last["result"]["text"]

        upstream.answer(text=WORDS, fault="close@3")
        *_, error = page.evaluate(program.replace("MOST", "1000"))
        assert error["kind"] == "connection_lost"
        assert error["partial"]["text"] == "word0 word1 word2"

        upstream.answer(text=WORDS, fault="stall@3")
        page.evaluate(program.replace("MOST", "2"))
        upstream.wait_until_left()
        assert [method for method, _, _ in faults.requests] == ["POST"] * 3
        page.close()
