"""The panel Compare in Chromium: two exchanges side by side, with and without a server."""

from __future__ import annotations

from pathlib import Path

import pytest

from moondream_tools._inspect._export import exported
from moondream_tools._inspect._images import Pictures
from moondream_tools._inspect._store import Store
from sansio_moondream.recording import Recording
from tests.devtools import Chromium, Page
from tests.helpers import END, delta, record
from tests.tools.inspect.broken_answers import answer
from tests.tools.inspect.page_server import SHIPPED, Served, serving
from tests.tools.inspect.pages import opened, text_of
from tests.tools.inspect.test_break_page import QUERY, add_fault, wait_for_chunks

pytestmark = pytest.mark.slow

ROWS = "document.querySelectorAll('compare-panel tbody tr')"
FIRST = "document.querySelector('compare-panel tr.differs')"
# Whether the first difference is in view below the head of its table.
IN_VIEW = f"""(() => {{
  const row = {FIRST}.getBoundingClientRect();
  const view = document.querySelector('compare-panel .scroll').getBoundingClientRect();
  return row.top > view.top && row.bottom < view.bottom;
}})()"""


def compare_with(page: Page, name: str) -> None:
    page.evaluate("document.querySelector('#tab-compare').click()")
    page.wait_for("document.querySelector('compare-panel select')")
    page.evaluate(
        "{ const select = document.querySelector('compare-panel select');"
        f" select.value = {name!r}; select.dispatchEvent(new Event('change')); }}"
    )
    page.wait_for("document.querySelector('compare-panel table')")


def found(page: Page) -> list[str]:
    items: list[str] = page.evaluate(
        "[...document.querySelectorAll('compare-panel .found li')].map(item => item.innerText)"
    )
    return items


def body_of(recording: Recording) -> bytes:
    return b"".join(chunk.data for chunk in recording.chunks)


def many(count: int, *, other: int) -> Recording:
    """Return an answer of many deltas, one of which is another one."""
    return answer(*(delta(f"word {n if n != other else -n} ") for n in range(count)), END)


def test_the_first_difference_is_named_and_in_view(browser: Chromium, tmp_path: Path):
    left, right = many(900, other=0), many(900, other=600)
    (tmp_path / "a.jsonl").write_bytes(left.encode())
    (tmp_path / "b.jsonl").write_bytes(right.encode())
    (tmp_path / "c.jsonl").write_bytes(b"nothing")
    pairs = zip(body_of(left), body_of(right), strict=False)
    offset = next(at for at, (one, other) in enumerate(pairs) if one != other)
    with serving([tmp_path]) as served, opened(browser, served.url + "#name=a.jsonl") as page:
        compare_with(page, "b.jsonl")
        byte, records, events = found(page)
        assert byte.startswith(f"Bytes ≠ The bodies differ from byte {offset} on: ")
        assert "word 600" in byte and "word -600" in byte
        assert records == "Records ≠ The records differ from record 600 on."
        assert events == "Events ≠ The events differ from event 600 on."
        assert page.evaluate(f"{FIRST}.innerText.split(/\\s+/)[0]") == "600"
        assert page.evaluate(IN_VIEW) is True
        assert page.evaluate(f"{ROWS}.length") == 200
        page.evaluate("document.querySelector('compare-panel .found button').click()")
        row = text_of(page, "compare-panel tr.differs th")
        assert row == f"{offset // 16 * 16} ≠"
        assert page.evaluate(IN_VIEW) is True
        options = page.evaluate(
            "[...document.querySelectorAll('compare-panel option')].map(each => each.value)"
        )
        assert options == ["", "b.jsonl"]  # what cannot be read is no choice


def test_equal_and_different_recordings(browser: Chromium, tmp_path: Path, shipped: Served):
    (tmp_path / "a.jsonl").write_bytes(many(5, other=0).encode())
    (tmp_path / "b.jsonl").write_bytes(many(5, other=0).encode())
    with serving([tmp_path]) as served, opened(browser, served.url) as page:
        compare_with(page, "b.jsonl")
        assert found(page)[1:] == [
            "Records = All 6 records are equal.",
            "Events = All 6 events are equal.",
        ]
        assert page.evaluate(FIRST) is None
    with opened(browser, shipped.url + QUERY) as page:
        compare_with(page, "detect.jsonl")
        assert "14 left, 0 right" in found(page)[1]
        assert "It is text delta left, and completed right." in found(page)[2]


def test_as_recorded_with_broken(browser: Chromium, shipped: Served):
    with opened(browser, shipped.url + QUERY) as page:
        add_fault(page, "close", 100)
        wait_for_chunks(page, 2)
        page.evaluate("document.querySelector('#tab-compare').click()")
        page.wait_for("document.querySelector('compare-panel table')")
        assert "The right body ends after byte 100" in found(page)[0]
        assert "It is text delta left, and connection lost right." in found(page)[2]
        heads = page.evaluate(
            "[...document.querySelectorAll('compare-panel thead th')].map(each => each.innerText)"
        )
        assert heads == ["event", "query.jsonl, as recorded", "broken"]


def test_deltas_against_the_whole_text(browser: Chromium, tmp_path: Path):
    script = "<b>\u6708</b>"
    mended = answer(
        delta("under a "), delta("<b>\ufffd</b>"),
        record({"completed": True, "answer": f"under a {script}"}),
    )  # fmt: skip
    (tmp_path / "a.jsonl").write_bytes(mended.encode())
    (tmp_path / "b.jsonl").write_bytes(many(3, other=0).encode())
    with serving([tmp_path]) as served:
        with opened(browser, served.url + "#name=a.jsonl") as page:
            page.evaluate("document.querySelector('#tab-compare').click()")
            page.wait_for("document.querySelector('compare-panel .deltas')")
            assert text_of(page, "compare-panel .deltas del") == "\ufffd"
            assert text_of(page, "compare-panel .deltas ins") == "\u6708"
            assert page.evaluate("document.querySelector('compare-panel b')") is None
        with opened(browser, served.url + "#name=b.jsonl") as page:
            compare_with(page, "a.jsonl")
            assert text_of(page, "compare-panel .deltas").startswith("right: The deltas do not")


def test_an_exported_page_compares_and_says_how_to_break(browser: Chromium, tmp_path: Path):
    store = Store()
    store.read([str(SHIPPED)])
    (tmp_path / "page.html").write_text(exported(store, Pictures()))
    with opened(browser, f"file://{tmp_path}/page.html{QUERY}") as page:
        assert text_of(page, "break-panel") == (
            "This page is one file without a server. Run `moondream-stream inspect RECORDING` to "
            "break its streams."
        )
        compare_with(page, "segment.jsonl")
        assert found(page)[2].endswith("It is text delta left, and bbox right.")
