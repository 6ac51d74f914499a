"""The page in one file: opened from the disk, with the network off."""

from __future__ import annotations

import json
import re
from base64 import b64encode
from hashlib import sha256
from pathlib import Path

import pytest

from moondream_tools._inspect._export import exported
from moondream_tools._inspect._images import Pictures
from moondream_tools._inspect._store import Store
from sansio_moondream.recording import Chunk, Ending, Recording, RecordingHeader
from tests.devtools import Chromium
from tests.tools.inspect.page_server import HARBOUR, SHIPPED
from tests.tools.inspect.pages import opened

_HOSTILE = "</script><script>globalThis.hacked = 1</script><img src=x onerror=hacked=1><!--"


def _hostile() -> Recording:
    """Return a recording with markup wherever a server or a client may write."""
    header = RecordingHeader(
        "POST",
        f"/v1/query?{_HOSTILE}",
        (("user-agent", _HOSTILE),),
        {"question": _HOSTILE, "stream": True},
        200,
        (("content-type", "text/event-stream"), ("x-request-id", _HOSTILE)),
    )
    text = json.dumps({"chunk": _HOSTILE, "completed": False})
    body = f"event: {_HOSTILE}\nid: {_HOSTILE}\ndata: {text}\n\ndata: {_HOSTILE}\n\n".encode()
    return Recording(header, (Chunk(0.1, body),), Ending(0.1, "ConnectionLost", _HOSTILE))


def _page() -> str:
    store = Store()
    store.read([str(SHIPPED)])
    for name in (_HOSTILE, "__proto__", "constructor"):
        store.add(name, _hostile())
    return exported(store, Pictures.read([str(HARBOUR)]))


def test_its_policy_names_what_is_in_it() -> None:
    page = _page()
    policy = re.search(r'http-equiv="Content-Security-Policy" content="([^"]*)"', page)
    assert policy is not None and page.index(policy[0]) < page.index("<script")
    (script,) = re.findall(r'<script type="module">(.*?)</script>', page, re.DOTALL)
    (style,) = re.findall(r"<style>(.*?)</style>", page, re.DOTALL)
    script_hash, style_hash = (
        b64encode(sha256(text.encode()).digest()).decode() for text in (script, style)
    )
    assert policy[1] == (
        f"default-src 'none'; script-src 'sha256-{script_hash}'; style-src 'sha256-{style_hash}'; "
        "img-src data: blob:; base-uri 'none'; form-action 'none'"
    )
    (embedded,) = re.findall(r'<script type="application/json" id="embedded">(.*?)</script>', page)
    data = json.loads(embedded)
    names = [each["name"] for each in data["recordings"]]
    assert names[-3:] == [_HOSTILE, "__proto__", "constructor"]
    assert data["traces"].keys() == data["takeaway"].keys() == set(names)
    assert "<" not in embedded
    assert set(data["images"].values()) == {0} and len(data["pictures"]) == 1
    rest = page.replace(embedded, "")
    assert len(rest.encode()) < 150_000  # what it shows comes on top
    assert not re.search(r'(src|href)="(?!data:,)', rest)


@pytest.mark.slow
def test_it_works_without_a_server(browser: Chromium, tmp_path: Path) -> None:
    """Everything but what needs Python, and nothing in a recording is more than text."""
    file = tmp_path / "page.html"
    file.write_text(_page())
    with opened(browser, file.as_uri(), offline=True) as page:
        names = page.evaluate("[...document.querySelectorAll('nav .name')].map(e => e.innerText)")
        assert len(names) == 9
        for at, name in enumerate(names):
            page.evaluate(f"document.querySelectorAll('nav a')[{at}].click()")
            page.wait_for(f"document.querySelector('main h2').textContent === {json.dumps(name)}")
        page.evaluate("document.querySelectorAll('nav a')[5].click()")
        page.wait_for("document.querySelector('main h2').textContent === 'segment.jsonl'")
        page.wait_for("document.querySelector('picture-view img').naturalWidth === 960")
        assert page.evaluate("document.querySelector('.exchange').innerText.includes('120 chunks')")
        for tab, words in (
            ("break", "moondream-stream inspect"),
            ("ask", "moondream-stream inspect"),
            ("take-away", "curl"),
        ):
            page.evaluate(f"document.querySelector('#tab-{tab}').click()")
            page.wait_for(
                f"document.querySelector('#panel-{tab}').innerText.includes({json.dumps(words)})"
            )
        assert page.evaluate("typeof hacked") == "undefined"
        assert page.evaluate("document.querySelector('img[src=x]')") is None
        # Its policy is in force: what would leave the file is refused.
        refused = page.evaluate("fetch('http://127.0.0.1:9/').then(() => 'sent', () => 'refused')")
        assert refused == "refused"
        page.evaluate(
            "(() => { const script = document.createElement('script');"
            " script.textContent = 'globalThis.hacked = 1'; document.body.append(script) })()"
        )
        assert page.evaluate("typeof hacked") == "undefined"
        violations = page.evaluate("errors.splice(0)")
        assert [each.split()[0] for each in violations] == ["connect-src", "script-src-elem"]
