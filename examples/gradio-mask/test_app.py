"""The app in its own server, asked by Gradio's client, against a model's server on this machine."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import app as example
import pytest
from gradio_client import Client, handle_file
from gradio_client.exceptions import AppError
from PIL import Image

from moondream_tools import FakeServer
from sansio_moondream import BBox, Endpoint, PaymentRequiredError

PATH = "M0 0L.25 0L.5 0L.75 0L1 0L1 .5L1 1L.5 1L0 1L0 .5Z"
BOX = BBox(0.25, 0.25, 0.75, 0.75)


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeServer]:
    with FakeServer() as server:
        client = type(example.client)(endpoint=Endpoint(server.url))
        monkeypatch.setattr(example, "client", client)
        yield server


@pytest.fixture
def page(monkeypatch: pytest.MonkeyPatch) -> Iterator[Client]:
    monkeypatch.setenv("GRADIO_ANALYTICS_ENABLED", "False")
    monkeypatch.setattr(example, "SHOWN", 1)
    _, url, _ = example.app.launch(prevent_thread_lock=True, quiet=True, inbrowser=False)
    try:
        yield Client(url, verbose=False, download_files=False)
    finally:
        example.app.close()


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    Image.new("RGB", (80, 40), "navy").save(tmp_path / "night.png")
    return tmp_path / "night.png"


def green(shown: dict[str, Any]) -> int:
    """Count the pixels that the mask covers, in the file that the page gets."""
    with Image.open(shown["path"]) as image:
        pixels = image.convert("RGB").tobytes()
    return sum(g > r and g > 60 for r, g in zip(pixels[::3], pixels[1::3], strict=True))


def test_the_mask_grows_to_the_whole_outline(server: FakeServer, page: Client, picture: Path):
    server.answer(path=PATH, box=BOX, seconds=0.1)
    job = page.submit(handle_file(picture), "the sky", api_name="/outline")
    shown, said = job.result(timeout=60)
    sizes = [green(step[0]) for step in job.outputs()]
    assert len(set(sizes)) > 3, sizes
    assert sizes[-1] == green(shown) == max(sizes)
    assert abs(sizes[-1] - 40 * 20) < 80, "half the width, half the height"
    assert said == "25.0% of the picture"


def test_what_came_is_shown_when_the_stream_breaks(server: FakeServer, page: Client, picture: Path):
    server.answer(path=PATH, box=BOX, seconds=0.1, fault="close@9")
    job = page.submit(handle_file(picture), "the sky", api_name="/outline")
    with pytest.raises(AppError, match="closed the connection before the end"):
        job.result(timeout=60)
    assert green(job.outputs()[-1][0]) > 0


def test_the_words_of_the_server_reach_the_page(server: FakeServer, page: Client, picture: Path):
    server.answer(error=PaymentRequiredError("no credits"))
    with pytest.raises(AppError, match="no credits"):
        page.predict(handle_file(picture), "the sky", api_name="/outline")
