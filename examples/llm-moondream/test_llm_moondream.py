"""The plugin in llm's own command line, against a server on this machine."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image

from moondream_tools import FakeServer
from sansio_moondream import ChatMessage, ChatRequest, EncodedImage, PaymentRequiredError


@pytest.fixture
def server() -> Iterator[FakeServer]:
    with FakeServer() as server:
        yield server


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    Image.new("RGB", (32, 24), "navy").save(tmp_path / "night.png")
    return tmp_path / "night.png"


def run(server: FakeServer, home: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run `llm` with a home of its own."""
    return subprocess.run(
        [sys.executable, "-m", "llm", *arguments],
        env={**os.environ, "MOONDREAM_ENDPOINT": server.url, "LLM_USER_PATH": str(home)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
    )


def texts(request: ChatRequest) -> list[str]:
    return [
        part
        for message in request.messages
        if isinstance(message, ChatMessage)
        for part in ([message.content] if isinstance(message.content, str) else message.content)
        if isinstance(part, str)
    ]


def test_a_conversation_about_a_picture(server: FakeServer, picture: Path, tmp_path: Path):
    server.answer(skill="chat", text="A dark 月 sky.")
    server.answer(skill="chat", text="At night.")
    first = run(server, tmp_path, "-m", "moondream", "What is it?", "-a", str(picture))
    assert (first.returncode, first.stdout) == (0, "A dark 月 sky.\n"), first.stderr
    second = run(server, tmp_path, "-c", "When was it taken?")
    assert second.stdout == "At night.\n", second.stderr

    asked = [request for request in server.requests if isinstance(request, ChatRequest)]
    assert texts(asked[0]) == ["What is it?"]
    assert texts(asked[1]) == ["What is it?", "A dark 月 sky.", "When was it taken?"]
    assert isinstance(asked[1].messages[0], ChatMessage)
    assert isinstance(asked[1].messages[0].content[1], EncodedImage), "the picture is sent again"


def test_options_without_streaming(server: FakeServer, tmp_path: Path):
    server.answer(skill="chat", text="Yes.")
    options = ["-o", "temperature", "0", "-o", "max_tokens", "5", "--no-stream"]
    done = run(server, tmp_path, "-m", "md", "Is it?", *options)
    assert done.stdout == "Yes.\n", done.stderr
    (asked,) = server.requests
    assert asked.settings is not None
    assert (asked.settings.temperature, asked.settings.max_tokens) == (0, 5)


def test_an_answer_that_broke_off_is_an_error(server: FakeServer, tmp_path: Path):
    server.answer(skill="chat", text="A dark sky.", fault="close@2")
    done = run(server, tmp_path, "-m", "moondream", "What is it?")
    assert done.returncode != 0
    assert done.stdout.startswith("A dark"), "what came is shown"
    assert "closed the connection before the end" in done.stderr
    logged = json.loads(run(server, tmp_path, "logs", "list", "--json").stdout)
    assert logged == [], "llm keeps no answer that is not whole"


def test_an_error_of_the_server_is_shown_in_its_words(server: FakeServer, tmp_path: Path):
    server.answer(error=PaymentRequiredError("no credits"))
    done = run(server, tmp_path, "-m", "moondream", "What is it?")
    assert (done.returncode, done.stdout) == (1, "")
    assert "no credits" in done.stderr
    assert "Traceback" not in done.stderr


def test_the_async_model(server: FakeServer, monkeypatch: pytest.MonkeyPatch):
    import llm
    import llm_moondream

    monkeypatch.setattr(llm_moondream, "ENDPOINT", server.url)
    server.answer(skill="chat", text="A dark sky.")

    async def ask() -> tuple[list[str], str]:
        model = llm.get_async_model("moondream")
        assert isinstance(model, llm_moondream.AsyncMoondream)
        model.needs_key = None
        response = model.prompt("What is it?")
        deltas = [delta async for delta in response]
        return deltas, await response.text()

    deltas, text = asyncio.run(ask())
    assert len(deltas) > 1
    assert "".join(deltas) == text == "A dark sky."
