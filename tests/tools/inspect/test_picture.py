"""The picture of the page, in pixels, against the project's own drawing of the same result."""

from __future__ import annotations

import io
import json
import math
from base64 import b64decode
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from random import Random
from typing import Any

import pytest
from PIL import Image, ImageChops

from moondream_transports.recording import read_recording
from sansio_moondream import (
    DetectResult,
    ResponseStream,
    SegmentRequest,
    SegmentResult,
    encode_image,
)
from sansio_moondream.paths import PathError, PathParser
from tests.chromium import overlap
from tests.devtools import Chromium, Page
from tests.shapes import random_path
from tests.tools.inspect.page_server import HARBOUR, SHIPPED, Served, serving
from tests.tools.inspect.pages import INSPECTOR, opened, text_of

pytestmark = pytest.mark.slow

VIEW = "document.querySelector('picture-view')"
STAGE = f"{VIEW}.querySelector('.stage')"
FRAMES = "new Promise((end) => requestAnimationFrame(() => requestAnimationFrame(end)))"
BRIGHT, FIRST = (255, 79, 139), (255, 214, 10)


def shot(page: Page, *hidden: str) -> Image.Image:
    """Return the pixels of the stage, without the elements that selectors find."""
    rect = page.evaluate(
        f"""(() => {{
          for (const e of {VIEW}.querySelectorAll('*')) e.style.visibility = '';
          for (const selector of {json.dumps(hidden)})
            for (const e of {VIEW}.querySelectorAll(selector)) e.style.visibility = 'hidden';
          const {{ x, y }} = {STAGE}.getBoundingClientRect();
          return {{ x: x + scrollX + 1, y: y + scrollY + 1, width: {STAGE}.clientWidth,
            height: {STAGE}.clientHeight, scale: 1 }};
        }})()"""
    )
    data = page.command("Page.captureScreenshot", format="png", clip=rect)["data"]
    return Image.open(io.BytesIO(b64decode(data))).convert("RGB")


def drawn_at(page: Page, seconds: float) -> None:
    page.evaluate(f"{INSPECTOR}.player.seek({seconds}); {FRAMES}")
    page.wait_for(f"{VIEW}.querySelector('.area').getAttribute('d')")


def share_of(
    image: Image.Image, color: tuple[int, int, int], line: list[tuple[float, float]]
) -> float:
    """Return the share of the places of a line that have a colour within two pixels."""
    near = 0
    for x, y in line:
        left, top = round(x) - 2, round(y) - 2
        pixels = image.crop((left, top, left + 5, top + 5)).tobytes()
        near += any(
            max(abs(a - b) for a, b in zip(pixels[at : at + 3], color, strict=True)) < 12
            for at in range(0, len(pixels), 3)
        )
    return near / len(line)


def sides(box: Any, size: tuple[int, int]) -> Iterator[tuple[float, float]]:
    """Yield places on the two upright sides of a box, away from its corners."""
    for i in range(10, 90):
        y = (box.y_min + (box.y_max - box.y_min) * i / 100) * size[1]
        yield box.x_min * size[0], y
        yield box.x_max * size[0], y


def test_a_path_grows_at_its_place(browser: Chromium, shipped: Served):
    recording = read_recording(SHIPPED / "segment.jsonl")
    stream = ResponseStream(
        SegmentRequest(image=encode_image(HARBOUR.read_bytes()), object="sailboat")
    )
    stream.receive_response(200, recording.header.response_headers)
    with opened(browser, f"{shipped.url}#name=segment.jsonl", (1600, 1000)) as page:
        page.wait_for(f"{VIEW}.querySelector('img').complete && {STAGE}.clientWidth > 300")
        seconds, done = recording.header.seconds, 0
        for until in (40, 80, len(recording.chunks)):
            for chunk in recording.chunks[done:until]:
                seconds += chunk.seconds
                stream.receive_data(chunk.data)
            done = until
            list(stream.events())
            result = stream.snapshot
            assert isinstance(result, SegmentResult)
            assert result.bbox is not None
            drawn_at(page, seconds + 1e-5)
            with_marks = shot(page)
            size = with_marks.size
            page.evaluate(f"{VIEW}.querySelector('.area').style.stroke = 'none'")
            area = shot(page, "img", "svg > g:last-child")
            page.evaluate(f"{VIEW}.querySelector('.area').style.stroke = ''")
            frame = shot(page, "img", "svg")
            changed = ImageChops.difference(area, frame).convert("L")
            scale = 255 / max(changed.tobytes())
            mask = changed.point([min(255, round(value * scale)) for value in range(256)])
            # The library waits for what follows the last number. The page does not.
            whole = SegmentResult(f"{result.path} ", result.bbox, partial=True)
            assert overlap(mask, whole.mask(size)) > 0.95
            if until < len(recording.chunks):
                assert 0.3 < share_of(with_marks, FIRST, list(sides(result.bbox, size))) < 0.95
        final = stream.result()
        assert final.bbox is not None
        picture = shot(page)
        assert share_of(picture, BRIGHT, list(sides(final.bbox, picture.size))) > 0.97
        assert text_of(page, "picture-view .legend").split() == (
            ["coarse", "box", "refined", "box", "path"]
        )


def test_a_chunk_lights_its_part_and_the_path_its_chunk(browser: Chromium, shipped: Served):
    with opened(browser, f"{shipped.url}#name=segment.jsonl&t=2.2", (1600, 1000)) as page:
        page.wait_for(f"{VIEW}.querySelector('.area')?.getAttribute('d')")
        page.evaluate(f"{INSPECTOR}.selection.select({{lane: 'chunk', index: 20}}); {FRAMES}")
        page.wait_for(f"{VIEW}.querySelector('.lit path').getAttribute('d')")
        place = page.evaluate(
            f"""(() => {{
              const path = {VIEW}.querySelector('.lit path');
              const end = path.getPointAtLength(path.getTotalLength());
              const {{ x, y }} = end.matrixTransform(path.getScreenCTM());
              return {{ x, y }};
            }})()"""
        )
        page.evaluate(f"{INSPECTOR}.selection.select(null)")
        for kind in ("mouseMoved", "mousePressed", "mouseReleased"):
            page.command(
                "Input.dispatchMouseEvent", type=kind, **place, button="left", clickCount=1
            )
        page.wait_for(f"{INSPECTOR}.selection.selected?.lane === 'event'")
        assert page.evaluate(f"{INSPECTOR}.selection.selected.index") == 20


@pytest.mark.parametrize("name", ["point", "detect"])
def test_places_have_numbers(browser: Chromium, shipped: Served, name: str):
    result = read_recording(SHIPPED / f"{name}.jsonl").chunks[0].data
    answer = json.loads(result)
    with opened(browser, f"{shipped.url}#name={name}.jsonl", (1600, 1000)) as page:
        page.wait_for(f"{VIEW}.querySelector('.label') && {VIEW}.querySelector('img').complete")
        image = shot(page)
        width, height = image.size
        if name == "point":
            places = [(one["x"] * width, one["y"] * height) for one in answer["points"]]
            alone = [
                one for one in places if sum(math.dist(one, other) < 16 for other in places) == 1
            ]
            assert alone
            assert share_of(image, (255, 255, 255), alone) == 1
        else:
            boxes = DetectResult.from_dict({**page.evaluate(f"{INSPECTOR}.trace.result")}).objects
            places = [(box.x_min, box.y_min) for box in boxes]
            lines = [place for box in boxes for place in sides(box, image.size)]
            assert share_of(image, BRIGHT, lines) > 0.97
        labels = page.evaluate(
            f"""[...{VIEW}.querySelectorAll('.label')].map((label) => {{
              const {{ left, right, top, bottom }} = label.querySelector('rect')
                .getBoundingClientRect();
              return [label.textContent, left, right, top, bottom];
            }})"""
        )
        assert [label[0] for label in labels] == [str(i + 1) for i in range(len(places))]
        for i, (_, left, right, top, bottom) in enumerate(labels):
            for _, left_of, right_of, top_of, bottom_of in labels[:i]:
                apart_x = left >= right_of - 1 or left_of >= right - 1
                assert apart_x or top >= bottom_of - 1 or top_of >= bottom - 1
        items = page.evaluate("[...document.querySelectorAll('text-view .places li')].length")
        assert items == len(places)


def test_without_a_picture_there_is_a_frame(browser: Chromium, tmp_path: Path):
    lines = (SHIPPED / "segment.jsonl").read_text().splitlines()
    header = json.loads(lines[0])
    del header["request"]["body"]["image_url"]
    (tmp_path / "unknown.jsonl").write_text("\n".join([json.dumps(header), *lines[1:]]) + "\n")
    (tmp_path / "known.jsonl").write_text("\n".join(lines) + "\n")
    with serving([tmp_path]) as served, opened(browser, f"{served.url}#name=known.jsonl") as page:
        page.wait_for(f"{VIEW}.querySelector('.notes').textContent")
        assert "960 \u00d7 640 pixels" in text_of(page, "picture-view .notes")
        ratio = f"{STAGE}.clientWidth / {STAGE}.clientHeight"
        assert page.evaluate(ratio) == pytest.approx(1.5, abs=0.02)
        page.evaluate("location.hash = '#name=unknown.jsonl'")
        page.wait_for(f"{VIEW}.querySelector('.notes').textContent.includes('not known')")
        assert page.evaluate(ratio) == pytest.approx(1, abs=0.02)


def test_another_picture_is_said_to_be_one(browser: Chromium, tmp_path: Path):
    Image.new("RGB", (30, 20)).save(tmp_path / "other.png")
    with serving([SHIPPED], [tmp_path / "other.png"]) as served:
        note = "The recording was made with another picture."
        with opened(browser, f"{served.url}#name=detect.jsonl") as page:
            page.wait_for(f"{VIEW}.querySelector('.notes').textContent === {note!r}")


def test_a_growing_path_is_read_as_the_library_reads_it(browser: Chromium, shipped: Served):
    """And its commands end where Chromium says that they end."""
    rng = Random(16)
    texts = [random_path(rng) for _ in range(60)]
    texts += [text[: rng.randrange(len(text))] for text in texts]
    texts += [
        "M0 0 0 1z5 5",
        "M1,,2",
        "m.5.5-1e2.5 1e1h1v1",
        "A",
        "M0 0A1 1 0 01.5.5 1 1 0 1 1 2 2",
    ]
    cases: list[list[str]] = []
    expected: list[int] = []
    for text in texts:
        cuts = sorted(rng.randrange(len(text) + 1) for _ in range(4))
        cases.append([text[a:b] for a, b in zip([0, *cuts], [*cuts, len(text)], strict=True)])
        parser = PathParser()
        with suppress(PathError):
            parser.append(text)
            parser.end()
        expected.append(len(parser.commands))
    with opened(browser, shipped.url) as page:
        found = page.evaluate(
            f"""import('./static/path.js').then(({{ GrowingPath }}) =>
              {json.dumps(cases)}.map((parts) => {{
                const path = new GrowingPath();
                for (const part of parts) path.append(part);
                const element = document.createElementNS('http://www.w3.org/2000/svg', 'path');
                element.setAttribute('d', path.upTo(Infinity));
                const last = path.commands.at(-1);
                const far = /M/i.test(last?.letter ?? 'M') ? 0 : Math.hypot(...['x', 'y'].map(
                  (axis) => element.getPointAtLength(1e9)[axis] - last[axis]));
                return [path.commands.length, far];
              }}))"""
        )
        page.command("Log.enable")
        assert [count for count, _ in found] == expected
        assert max(far for _, far in found) < 0.01
        assert page.events("Log.entryAdded") == []
