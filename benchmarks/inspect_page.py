"""Measure the page of `moondream-stream inspect` in Chromium.

    python benchmarks/inspect_page.py           # both, a minute
    python benchmarks/inspect_page.py --short   # a look, not a measurement

- playing: a segmentation of 5,000 chunks, in real time. A frame's figure is the processor time of
  all of its script, layouts that it forces included: the player and every view. The target is 8 ms.
- opening: a recording of 100,000 chunks, from the address to the first drawn lanes. The wait for
  the server is in it, and given by itself. The target is 3 s. On a busy machine look at the
  processor time instead, of the server (its start included) and of the page.
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from resource import RUSAGE_CHILDREN, getrusage
from tempfile import TemporaryDirectory
from typing import Any

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from tests import chromium  # noqa: E402
from tests.devtools import Chromium, Page  # noqa: E402

SIZE = (1600, 1000)
SECONDS_A_CHUNK = 0.002
BOX = {"x_min": 0.1, "y_min": 0.1, "x_max": 0.9, "y_max": 0.9}
WATCH = """
const copy = CanvasRenderingContext2D.prototype.drawImage;
CanvasRenderingContext2D.prototype.drawImage = function drawImage(...what) {
  copy.apply(this, what);
  window.drawnAt ??= performance.now();
};
"""
PLAYER = "document.querySelector('lanes-view').inspector.player"
SCRIPT = "PageAnimator::serviceScriptedAnimations"  # what Chromium calls the script of a frame


def write_recording(path: Path, skill: str, messages: list[dict[str, Any]]) -> None:
    """Write a recording with a message a chunk."""
    request = {"method": "POST", "path": f"/v1/{skill}", "headers": []}
    body = {"object": "moon"} if skill == "segment" else {"question": "What is this?"}
    request["body"] = {**body, "image_url": {"width": 960, "height": 640}, "stream": True}
    head = {"seconds": 0.1, "status_code": 200, "headers": [["content-type", "text/event-stream"]]}
    lines = [json.dumps({"recording": 1, "request": request, "response": head})]
    for message in messages:
        lines.append(json.dumps([SECONDS_A_CHUNK, "t", f"data: {json.dumps(message)}\n\n"]))
    path.write_text("\n".join([*lines, '[0.001, "x", "eof"]']) + "\n")


def segmentation(count: int) -> list[dict[str, Any]]:
    """Return the messages of a path with that many commands, around a gear."""
    commands: list[str] = []
    for i in range(count):
        angle = 2 * math.pi * i / count
        radius = 0.45 + 0.05 * math.sin(40 * angle)
        x, y = 0.5 + radius * math.cos(angle), 0.5 + radius * math.sin(angle)
        commands.append(f"{' L' if i else 'M'} {x:.3f} {y:.3f}")
    deltas = [{"type": "path_delta", "chunk": text, "completed": False} for text in commands]
    final = {"type": "final", "completed": True, "path": f"{''.join(commands)}Z", "bbox": BOX}
    return [{"type": "bbox", "bbox": BOX}, *deltas, final]


def answer(count: int) -> list[dict[str, Any]]:
    """Return the messages of a text with that many deltas."""
    deltas = [{"chunk": f" moon {i}", "completed": False, "token_index": i} for i in range(count)]
    return [*deltas, {"chunk": "", "completed": True, "finish_reason": "stop"}]


@contextmanager
def inspecting(recording: Path) -> Iterator[str]:
    """Run the program, and give the address of its page."""
    command = [sys.executable, "-m", "moondream_tools.cli", "inspect", "--no-open", str(recording)]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
    with subprocess.Popen(command, text=True, **pipes) as program:
        assert program.stdout is not None
        try:
            yield program.stdout.readline().split()[-1]
        finally:
            program.terminate()


def opened(browser: Chromium, url: str) -> Page:
    """Open the page in a new tab, until the lanes are drawn."""
    page = browser.open("about:blank", SIZE)
    page.command("Page.addScriptToEvaluateOnNewDocument", source=WATCH)
    page.command("Performance.enable", timeDomain="threadTicks")
    page.go(url)
    page.wait_for("window.drawnAt")
    return page


def times_of_script(events: list[dict[str, Any]]) -> list[float]:
    """Return the processor time of the script of each frame, in milliseconds.

    The clock of a thread sometimes jumps by 10 ms. So a frame is taken in its parts: the events
    that are traced within it. No part counts for more than the time that passed in it.
    """
    threads = {(event["pid"], event["tid"]) for event in events if event["name"] == SCRIPT}
    timed = [e for e in events if (e["pid"], e["tid"]) in threads and "tdur" in e]
    times: list[float] = []
    inside: list[dict[str, Any]] = []  # the events that an event is in
    timed.sort(key=lambda event: (event["ts"], -event["dur"]))
    for event in [*timed, {"name": "the end", "ts": math.inf, "dur": 0, "tdur": 0}]:
        while inside and inside[-1]["ts"] + inside[-1]["dur"] <= event["ts"]:
            part = inside.pop()
            if any(outer["name"] == SCRIPT for outer in [*inside, part]):
                times[-1] += max(0, min(part["dur"] - part["within"], part["tdur"] - part["used"]))
        if inside:
            inside[-1]["within"] += event["dur"]
            inside[-1]["used"] += event["tdur"]
        if event["name"] == SCRIPT:
            times.append(0.0)
        inside.append({**event, "within": 0, "used": 0})
    return [microseconds / 1000 for microseconds in times]


def measure_playing(browser: Chromium, recording: Path) -> None:
    with inspecting(recording) as url:
        page = opened(browser, url)
        page.evaluate(f"{PLAYER}.seek(0)")
        traced = {"includedCategories": ["blink", "devtools.timeline"]}
        page.command("Tracing.start", traceConfig=traced, transferMode="ReportEvents")
        page.evaluate(f"{PLAYER}.play()")
        page.wait_for(f"!{PLAYER}.playing")
        page.command("Tracing.end")
        page.wait_for_event("Tracing.tracingComplete")
        events = [event for part in page.events("Tracing.dataCollected") for event in part["value"]]
        page.close()
    frames = sorted(times_of_script(events))
    p95 = frames[int(len(frames) * 0.95)]
    print(f"playing   {len(frames)} frames   script of a frame: ", end="")
    print(f"p50 {statistics.median(frames):.1f} ms, p95 {p95:.1f} ms, max {frames[-1]:.1f} ms")


def measure_opening(browser: Chromium, recording: Path) -> None:
    before = getrusage(RUSAGE_CHILDREN)
    with inspecting(recording) as url:
        page = opened(browser, url)
        drawn = page.evaluate("drawnAt") / 1000
        waited, size = page.evaluate(
            "(() => { const one = performance.getEntriesByType('resource')"
            ".find(({ name }) => name.includes('api/trace'));"
            " return [one.responseStart - one.requestStart, one.decodedBodySize]; })()"
        )
        metrics = page.command("Performance.getMetrics")["metrics"]
        used = {metric["name"]: metric["value"] for metric in metrics}["TaskDuration"]
        page.close()
    after = getrusage(RUSAGE_CHILDREN)
    served = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    print(
        f"opening   drawn after {drawn:.2f} s, {waited / 1000:.2f} s of it for the server", end=""
    )
    print(
        f"; processor time: server {served:.2f} s, page {used:.2f} s; {size / 1e6:.0f} MB of JSON"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--short", action="store_true", help="a tenth of the chunks")
    share = 10 if parser.parse_args().short else 1
    if chromium.PROGRAM is None:
        sys.exit("needs Chromium: `make ci-tools`")
    with TemporaryDirectory() as made, Chromium(Path(made) / "profile") as browser:
        segment, query = Path(made) / "segment.jsonl", Path(made) / "query.jsonl"
        write_recording(segment, "segment", segmentation(5_000 // share))
        write_recording(query, "query", answer(100_000 // share))
        for _ in range(3):
            measure_playing(browser, segment)
        for _ in range(3):
            measure_opening(browser, query)


if __name__ == "__main__":
    main()
