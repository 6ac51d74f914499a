"""Recordings whose texts try to become more than text, in every view and panel of the page."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.devtools import Chromium, Page
from tests.tools.inspect.page_server import HARBOUR, named, serving
from tests.tools.inspect.pages import INSPECTOR, opened

pytestmark = pytest.mark.slow

SCRIPT = '"/><script>pwned=1;alert(1)</script><img src="https://evil.example/x" onerror="pwned=1">'
STRANGE = "a\u202ertl\u2066\u0000\u0007\x1b[31m\ufeff\u2028e\u0301\ufffe\u200b"
TEXTS = [
    SCRIPT,
    "<iframe src='javascript:pwned=1'></iframe><svg onload=pwned=1>",
    "javascript:pwned=1 data:text/html,<script>pwned=1</script> ]]> <!-- </style></textarea>",
    STRANGE,
    "\ud83c",  # a surrogate alone
    "url(#x) ${pwned=1} {{pwned=1}} %3Cscript%3E &lt;b&gt;",
]
PATHS = [
    f"M0 0L1 1{SCRIPT}",
    "M0 0 L url(#x) 1",
    "M 0 0 L NaN 1 L 1e999 1",
    "M0 0L1e38 1e38C.1.1.2.2 1e30 1e30A1 1 0 01.5.5z",
    "L 0 0",
    STRANGE,
]
NUMBERS = [1e308, -1e300, 1e-320, "0", None, [], {"x": SCRIPT}, True]
NAME = "<img src=x onerror=pwned=1>'\"&%2e%2e;javascript:pwned=1.jsonl"
# What a page may consist of: elements that run or load something are counted instead.
PLAIN = """
html head meta title link body main nav header footer section article div span p a b i em strong
code pre kbd ul ol li dl dt dd h1 h2 h3 h4 h5 h6 table caption thead tbody tr th td details summary
button input select option label output textarea form fieldset legend dialog canvas img svg g path
rect circle line text marker defs polyline polygon time mark ins del small
play-controls picture-view text-view lanes-view bytes-view waterfall-view machine-view details-view
break-panel compare-panel take-away-panel ask-panel inspect-page
"""
FOUND = """(() => {
  const all = [...document.querySelectorAll('*')];
  const attributes = all.flatMap((e) => [...e.attributes].map(({ name, value }) =>
    [e.localName, name, value.slice(0, 300)]));
  return { tags: [...new Set(all.map((e) => e.localName))],
    scripts: [...document.scripts].map((e) => e.getAttribute('src')),
    attributes: attributes.filter(([, name, value]) => name.startsWith('on')
      || (['href', 'src', 'action', 'formaction', 'xlink:href'].includes(name)
        && !/^(#|static\\/|api\\/|data:,$|blob:)/.test(value)) || name === 'srcdoc'),
    requests: performance.getEntriesByType('resource').map(({ name }) => name)
      .filter((name) => !name.startsWith(document.baseURI.split('#')[0])
        && !/^(blob|data):/.test(name)),
    pwned: 'pwned' in globalThis };
})()"""
LOOK = """(async () => {
  const { trace, player, selection } = INSPECTOR;
  const frame = () => new Promise(requestAnimationFrame);
  for (const mode of document.querySelectorAll('lanes-view .modes button')) {
    mode.click();
    player.seek(0.4 * player.end);
    await frame();
    player.seek(player.end);
    for (const lane of ['chunk', 'record', 'message', 'event']) {
      const items = [0, trace.count(lane) - 1].map((index) => ({ lane, index }));
      for (const item of items) if (trace.has(item)) selection.select(item);
      await frame();
    }
  }
  document.querySelectorAll('details').forEach((e) => { e.open = true });
  await frame();
  await frame();
})()""".replace("INSPECTOR", INSPECTOR)


def write(path: Path, skill: str, messages: list[Any], **changes: Any) -> None:
    """Write a recording of these messages, a record a chunk. Strings are data as they are."""
    body = {"object": SCRIPT, "question": SCRIPT, "messages": [{"role": "user", "content": SCRIPT}]}
    request: dict[str, Any] = {
        "method": "POST",
        "path": f"/v1/{skill}",
        "headers": [["x-'onload`", SCRIPT]],
    }
    request["body"] = {**body, "image_url": {"width": 1e9, "height": 1, SCRIPT: SCRIPT}}
    headers = [
        ["content-type", "text/event-stream"],
        ["x-request-id", SCRIPT],
        ["server", "\u202e" + TEXTS[1]],
    ]
    response = {"seconds": 0.1, "status_code": 200, "headers": headers, **changes}
    lines: list[Any] = [{"recording": 1, "request": request, "response": response}]
    for message in messages:
        data = message if isinstance(message, str) else json.dumps(message)
        lines.append([0.01, "t", data if changes else f"data: {data}\n\n"])
    lines.append([0.001, "x", "ConnectionLost", SCRIPT])
    path.write_text("\n".join(map(json.dumps, lines)) + "\n")


def write_all(folder: Path) -> None:
    deltas = [{"chunk": text, "completed": False, SCRIPT: SCRIPT} for text in TEXTS]
    final = {"completed": True, "chunk": "", "request_id": SCRIPT, "finish_reason": SCRIPT}
    write(folder / "text.jsonl", "query", [*deltas, {**final, "answer": SCRIPT}])
    write(folder / "long.jsonl", "caption", [{"chunk": SCRIPT[:20] + "m" * 1_000_000}, deltas[0]])
    write(folder / "error.jsonl", "query", [deltas[0], {"error": {"message": SCRIPT}}])
    record = f"event: {SCRIPT}\nid: {SCRIPT}\n: {SCRIPT}\ndata: {SCRIPT}\n\n"
    write(folder / "record.jsonl", "query", [deltas[3], f"{{}}\n\n{record}data: {{}}"])
    write(folder / "page.jsonl", "query", [f"<html>{SCRIPT}"], status_code=500)
    choices = [{"delta": {"content": text, "reasoning": text}} for text in TEXTS]
    chat = [{"id": SCRIPT, "choices": [choice]} for choice in choices]
    write(folder / "chat.jsonl", "chat/completions", [*chat, "[DONE]"])
    for i, path in enumerate(PATHS):
        box = dict(zip(("x_min", "y_min", "x_max", "y_max"), (0.9, 1e6, -3, 0), strict=True))
        half = [path[: len(path) // 2], path[len(path) // 2 :]]
        chunks = [{"type": "path_delta", "chunk": text, "completed": False} for text in half]
        end = {"type": "final", **final, "path": path, "bbox": box, "parse_error": SCRIPT * (i % 2)}
        write(folder / f"path-{i}.jsonl", "segment", [{"type": "bbox", "bbox": box}, *chunks, end])
    for skill, key in (("detect", "x_min"), ("point", "x")):
        places: list[dict[str, Any]] = [
            {"x": 0.5, "y": 2, "x_min": 0, "y_min": 0, "x_max": 1, "y_max": 1e12}
        ]
        places += [{**places[0], key: number} for number in NUMBERS[:3]]
        message = {"objects": places, "points": places, "request_id": SCRIPT, SCRIPT: NUMBERS}
        write(folder / f"{skill}.jsonl", skill, [message], headers=[])
    write(folder / NAME, "query", deltas)


def check(page: Page, scripts: list[str]) -> None:
    """Assert that a page has only its own elements, and did nothing that it was not asked for."""
    page.evaluate(LOOK)
    for tab in ("break", "compare", "take-away", "ask"):
        page.evaluate(f"document.querySelector('#tab-{tab}').click()")
        page.wait_for("!document.querySelector('main[aria-busy], .panels [aria-busy=true]')")
    found = page.evaluate(FOUND)
    assert set(found["tags"]) - set(PLAIN.split()) == {"script"}
    assert found["scripts"] == scripts
    assert (found["attributes"], found["requests"], found["pwned"]) == ([], [], False)
    assert page.events("Page.javascriptDialogOpening") == []
    entries = [entry["entry"] for entry in page.events("Log.entryAdded")]
    # That there is no picture is an answer of the server, which Chromium writes down.
    assert [entry for entry in entries if "api/image" not in entry.get("url", "")] == []


def test_what_a_server_said_is_text(browser: Chromium, tmp_path: Path):
    write_all(tmp_path)
    files = sorted(path.name for path in tmp_path.iterdir())
    assert len(files) == 15
    with (
        serving([tmp_path], [HARBOUR]) as served,
        opened(browser, f"{served.url}#name={named('text.jsonl')}") as page,
    ):
        scripts = page.evaluate("[...document.scripts].map((e) => e.getAttribute('src'))")
        assert all(script.startswith("static/") for script in scripts)
        text = "document.querySelector('text-view .text .scroller')?.textContent"
        page.wait_for(f"{text}.startsWith({json.dumps(''.join(TEXTS[:2]))})")
        page.command("Log.enable")
        page.command("Runtime.enable")
        for name in files:
            page.evaluate(f"location.hash = '#name={named(name)}'")
            page.wait_for(f"{INSPECTOR}.name === {json.dumps(name)}")
            check(page, scripts)
        logged = page.events("Runtime.consoleAPICalled")
        assert [call for call in logged if call["type"] in ("error", "warning")] == []
