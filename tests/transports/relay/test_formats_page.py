"""The backend for `useChat` of docs/reference/relay-formats.md, under uvicorn."""

from __future__ import annotations

from pathlib import Path

import httpx2
import pytest

from moondream_tools import FakeServer
from sansio_moondream import AuthenticationError, ChatMessage, ChatRequest
from tests.core.ui_messages import read
from tests.guides import ROOT, write_files
from tests.helpers import PIXEL

from .programs import LONGEST_WAIT, free_port, program, uvicorn

pytestmark = pytest.mark.slow

# A conversation as `DefaultChatTransport` of the AI SDK sends it.
ASKED = {
    "id": "1",
    "trigger": "submit-message",
    "messages": [
        {
            "id": "2",
            "role": "user",
            "parts": [
                {"type": "file", "mediaType": "image/gif", "url": PIXEL.data_url},
                {"type": "text", "text": "What is it?"},
            ],
        },
        {
            "id": "3",
            "role": "assistant",
            "metadata": {"request_id": "31"},
            "parts": [
                {"type": "text", "text": "A moon.", "state": "done"},
                {"type": "data-result", "id": "result", "data": {}},
            ],
        },
        {"id": "4", "role": "user", "parts": [{"type": "text", "text": "And below?"}]},
    ],
}


def test_the_backend(moondream_server: FakeServer, tmp_path: Path):
    moondream_server.answer(text="The sea.")
    moondream_server.answer(error=AuthenticationError("no such key"))
    write_files(ROOT / "docs" / "reference" / "relay-formats.md", tmp_path)
    port = free_port()
    with (
        program(uvicorn("usechat_app", port), port, tmp_path, UPSTREAM=moondream_server.url),
        httpx2.Client(base_url=f"http://127.0.0.1:{port}", timeout=LONGEST_WAIT) as client,
    ):
        answered = client.post("/api/chat", json=ASKED)
        refused = client.post("/api/chat", json=ASKED)
    assert answered.headers["x-vercel-ai-ui-message-stream"] == "v1"
    assert read(answered.content)["parts"][0]["text"] == "The sea."
    request = moondream_server.requests[0]
    assert isinstance(request, ChatRequest)
    assert request.messages == (
        ChatMessage("user", [PIXEL, "What is it?"]),
        ChatMessage("assistant", ["A moon."]),
        ChatMessage("user", ["And below?"]),
    )
    assert (refused.status_code, refused.json()["error"]["message"]) == (401, "no such key")
