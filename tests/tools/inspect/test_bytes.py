"""The bytes of the page: hex, text, borders, and what was not yet received."""

from __future__ import annotations

import gzip
import json
from base64 import b64encode
from pathlib import Path
from typing import Any

import pytest

from moondream_transports.recording import read_recording
from tests.devtools import Chromium, Page
from tests.tools.inspect.page_server import SHIPPED, Served, serving
from tests.tools.inspect.pages import INSPECTOR, opened

pytestmark = pytest.mark.slow

VIEW = "document.querySelector('bytes-view')"
FRAMES = "new Promise((end) => requestAnimationFrame(() => requestAnimationFrame(end)))"
ROWS = f"""[...{VIEW}.querySelectorAll('.row')].map((row) => ({{
  start: Number(row.dataset.start), offset: row.querySelector('.offset').innerText,
  label: row.querySelector('.label').innerText,
  runs: [...row.querySelector('.hex').children].map((run) => [run.textContent, run.className]),
  text: row.querySelector('.text').textContent }}))"""
SELECTED = f"{INSPECTOR}.selection.selected"
MEGABYTE = 1_000_000


def write(path: Path, chunks: list[bytes], **headers: str) -> None:
    """Write a recording of bytes, a hundredth of a second a chunk."""
    request = {"method": "POST", "path": "/v1/query", "headers": [], "body": {"question": "?"}}
    fields = [["content-type", "text/event-stream"], *map(list, headers.items())]
    head = {"seconds": 0.1, "status_code": 200, "headers": fields}
    lines: list[Any] = [{"recording": 1, "request": request, "response": head}]
    lines += [[0.01, "b", b64encode(data).decode()] for data in chunks]
    path.write_text("\n".join(map(json.dumps, [*lines, [0.001, "x", "eof"]])) + "\n")


def rows(page: Page) -> list[dict[str, Any]]:
    page.evaluate(FRAMES)
    shown: list[dict[str, Any]] = page.evaluate(ROWS)
    return shown


def place_of(page: Page, offset: int, side: str) -> dict[str, float]:
    """Scroll to a byte, and return where it is on the screen."""
    page.evaluate(f"{VIEW}.scrollIntoView({{ block: 'center' }}); {FRAMES}")
    found: dict[str, float] = page.evaluate(
        f"""(() => {{
          const row = [...{VIEW}.querySelectorAll('.row')].findLast(
            (row) => Number(row.dataset.start) <= {offset});
          const {{ left, top, width, height }} = row.querySelector('.{side}')
            .getBoundingClientRect();
          const columns = Number({VIEW}.className.split('-')[1]);
          const column = {offset} - Number(row.dataset.start);
          return {{ x: left + (column + 0.5) / columns * width, y: top + height / 2 }};
        }})()"""
    )
    return found


def click(page: Page, offset: int, side: str) -> None:
    place = place_of(page, offset, side)
    for kind in ("mouseMoved", "mousePressed", "mouseReleased"):
        page.command("Input.dispatchMouseEvent", type=kind, **place, button="left", clickCount=1)


def test_borders_go_through_the_bytes(browser: Chromium, shipped: Served):
    """The recording of a chat has chunks that cut records and characters."""
    recording = read_recording(SHIPPED / "chat.jsonl")
    body = b"".join(chunk.data for chunk in recording.chunks)
    starts = [sum(len(chunk.data) for chunk in recording.chunks[:i]) for i in range(9)]
    with opened(browser, f"{shipped.url}#name=chat.jsonl&t=0", (1000, 900)) as page:
        page.wait_for(f"{VIEW}.querySelectorAll('.row').length > 5")
        seen: dict[int, tuple[str, str]] = {}
        labels: list[str] = []
        top = 0
        for _ in range(20):
            shown = rows(page)
            for row in shown:
                at = row["start"]
                assert int(row["offset"], 16) == at
                for text, name in row["runs"]:
                    digits = text.split()
                    seen |= {at + i: (hex_, name) for i, hex_ in enumerate(digits)}
                    seen[at] = (digits[0], name)
                    at += len(digits)
                if row["label"] and row["label"] not in labels:
                    labels.append(row["label"])
            top += 300
            page.evaluate(f"{VIEW}.querySelector('.scroller').scrollTop = {top}")
        assert bytes(int(seen[i][0], 16) for i in range(len(body))) == body
        assert all("late" in name for _, name in seen.values())
        assert [label.split()[0] for label in labels] == [str(i) for i in range(9)]
        assert all(label.endswith(("s", "ms")) for label in labels)
        cut = [i for i, (_, name) in sorted(seen.items()) if "cut" in name.split()]
        expected: list[int] = []
        for start in starts[1:]:
            first = start
            while body[first] & 0xC0 == 0x80:
                first -= 1
            if first < start:
                length = 4 if body[first] >= 0xF0 else 3 if body[first] >= 0xE0 else 2
                expected += range(first, first + length)
        assert expected
        assert cut == expected


def test_a_side_selects_a_chunk_and_the_other_a_record(browser: Chromium, shipped: Served):
    with opened(browser, f"{shipped.url}#name=chat.jsonl&t=0", (1400, 900)) as page:
        page.wait_for(f"{VIEW}.querySelectorAll('.row').length > 5")
        page.evaluate(
            "document.addEventListener('byte', ({ detail }) => { globalThis.byte = detail })"
        )
        start = page.evaluate(f"{INSPECTOR}.trace.chunks[1].start")
        click(page, start, "hex")
        assert page.evaluate(SELECTED) == {"lane": "chunk", "index": 1}
        assert page.evaluate("byte") == {"offset": start, "received": True}
        click(page, start - 1, "hex")
        assert page.evaluate(SELECTED) == {"lane": "chunk", "index": 0}
        click(page, start, "text")
        assert page.evaluate(SELECTED) == {"lane": "record", "index": 1}
        page.wait_for(f"{VIEW}.querySelector('.readout').innerText.startsWith('byte {start}: 64')")
        shown = rows(page)
        lit = sum(len(t.split()) for row in shown for t, name in row["runs"] if "lit" in name)
        span = page.evaluate(f"{INSPECTOR}.trace.records[1]")
        assert lit == min(span["end"], shown[-1]["start"] + 16) - span["start"]
        # What is not received yet is marked, and the view follows what is.
        half = page.evaluate(f"{INSPECTOR}.trace.chunks[4].at")
        page.evaluate(f"{INSPECTOR}.selection.select(null); {INSPECTOR}.player.seek({half})")
        end = page.evaluate(f"{INSPECTOR}.trace.chunks[4].end")
        late = [
            row["start"] + sum(len(t.split()) for t, _ in row["runs"][:i])
            for row in rows(page)
            for i, (_, name) in enumerate(row["runs"])
            if "late" in name
        ]
        assert min(late) == end


def test_characters_and_codings(browser: Chromium, tmp_path: Path):
    data = 'data: {"chunk": "é月🌕"}\n\n'.encode() + b": \x00\x1b\x7f\xff\xc3 "
    data += ": \u202e\u200b\u0301\r\n".encode()
    packed = gzip.compress(data, mtime=0)
    write(tmp_path / "plain.jsonl", [data])
    write(tmp_path / "gzip.jsonl", [packed[:7], packed[7:]], **{"content-encoding": "gzip"})
    with serving([tmp_path]) as served, opened(browser, f"{served.url}#name=plain.jsonl") as page:
        page.wait_for(f"{VIEW}.querySelectorAll('.row').length > 2")
        text = "".join(row["text"] for row in rows(page))
        for symbol in ("é", "月", "🌕", "␊␊", "␀␛␡··", "▯▯", "\u25cc\u0301", "␍␊"):
            assert symbol in text
        assert "\u202e" not in text
        assert page.evaluate(f"{VIEW}.querySelector('.codings').checkVisibility()") is False

        page.evaluate("location.hash = '#name=gzip.jsonl'")
        page.wait_for(f"{VIEW}.querySelector('.codings').checkVisibility()")
        assert "月" in "".join(row["text"] for row in rows(page))
        page.evaluate(f"{VIEW}.querySelector('.codings button').click()")
        shown = " ".join(text for row in rows(page) for text, _ in row["runs"])
        assert bytes.fromhex(shown.replace(" ", "")) == packed
        click(page, 7, "hex")
        assert page.evaluate(SELECTED) == {"lane": "chunk", "index": 1}


def test_a_body_of_many_megabytes_scrolls(browser: Chromium, tmp_path: Path):
    block = bytes(range(33, 127)) * (MEGABYTE // 94)
    write(tmp_path / "large.jsonl", [block] * 20)
    with serving([tmp_path]) as served, opened(browser, served.url, (1000, 900)) as page:
        page.wait_for(f"{VIEW}.querySelectorAll('.row').length > 5")
        length = 20 * len(block)
        scroller = f"{VIEW}.querySelector('.scroller')"
        for share in (1, 0.5, 0):
            page.evaluate(f"{scroller}.scrollTop = {share} * {scroller}.scrollHeight")
            shown = rows(page)
            assert 10 < len(shown) < 30
            at = shown[len(shown) // 2]["start"]
            assert abs(at / length - share) < 0.001
            first = shown[0]["runs"][0][0].split()[0]
            assert int(first, 16) == block[shown[0]["start"] % len(block)]
        page.evaluate(f"{INSPECTOR}.selection.select({{ lane: 'chunk', index: 12 }})")
        page.wait_for(f"{VIEW}.querySelector('.row .chunk.lit')")
        assert any(row["label"].startswith("12 ") for row in rows(page))


@pytest.mark.parametrize(("width", "columns"), [(400, 8), (800, 16), (1900, 32)])
def test_rows_fit_into_the_window(browser: Chromium, shipped: Served, width: int, columns: int):
    with opened(browser, f"{shipped.url}#name=query.jsonl", (width, 900)) as page:
        page.evaluate(f"{VIEW}.closest('details').open = true")
        page.wait_for(f"{VIEW}.querySelectorAll('.row').length > 5")
        page.wait_for(f"{VIEW}.className === 'columns-{columns}'")
        assert sum(len(text.split()) for text, _ in rows(page)[1]["runs"]) == columns
        scroller = f"{VIEW}.querySelector('.scroller')"
        assert page.evaluate(f"{scroller}.scrollWidth <= {scroller}.clientWidth")
        right = f"{VIEW}.querySelector('.text').getBoundingClientRect().right"
        assert page.evaluate(f"{right} <= {scroller}.getBoundingClientRect().right")


def test_the_place_stays_when_the_width_changes(browser: Chromium, shipped: Served):
    with opened(browser, f"{shipped.url}#name=segment.jsonl&select=chunk:60", (800, 900)) as page:
        lit = f"{VIEW}.querySelector('.row .chunk.lit')"
        page.wait_for(f"{VIEW}.className === 'columns-16' && {lit}")
        resize(page, 400)
        page.wait_for(f"{VIEW}.className === 'columns-8' && {lit}")
        # Where the user has scrolled away, the first byte in view stays there.
        page.evaluate(f"{VIEW}.querySelector('.scroller').scrollTop = 22 * 100")
        first = f"{VIEW}.querySelector('.row').dataset.start"
        page.wait_for(f"{first} === '800'")
        resize(page, 800)
        page.wait_for(f"{VIEW}.className === 'columns-16' && {first} === '800'")


def resize(page: Page, width: int) -> None:
    page.command(
        "Emulation.setDeviceMetricsOverride",
        width=width,
        height=900,
        deviceScaleFactor=1,
        mobile=False,
    )
