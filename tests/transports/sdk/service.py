"""A server that answers with captured responses, and what is asked of it."""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Generator
from http.server import BaseHTTPRequestHandler
from typing import Any

from PIL import Image

import moondream_transports
from moondream_transports import sdk as md
from sansio_moondream import (
    ChatResult,
    Completed,
    Dialect,
    Grounding,
    Metadata,
    Point,
    Reasoning,
    ReasoningDelta,
    TextDelta,
    encode_events,
    encode_result,
)
from tests.helpers import TRACES

IMAGE = Image.new("RGB", (32, 24), "gray")
TEXT = {"query": "answer", "caption": "caption", "chat": "message"}


# What is asked of both, as a call of each method. `stream` comes on top, where there is such a
# thing.
CALLS: dict[str, tuple[tuple[Any, ...], dict[str, Any]]] = {
    "query": (
        (IMAGE, "What is in this image?"),
        {"settings": {"temperature": 0.5}, "spatial_refs": [[0.5, 0.25]]},
    ),
    "caption": ((IMAGE, "short"), {"settings": {"max_tokens": 9}}),
    "segment": (
        (IMAGE, "moon"),
        {"spatial_refs": [(0.1, 0.2, 0.3, 0.4)], "settings": {"temperature": 0}},
    ),
    "detect": ((IMAGE, "moon"), {"settings": {"max_objects": 3}}),
    "point": ((IMAGE, "moon"), {"spatial_refs": [[0.5, 0.25]]}),
    "chat": (
        ([{"role": "user", "content": [{"type": "text", "text": "What is this?"}]}],),
        {"settings": {"temperature": 0.5, "max_tokens": 9}, "reasoning": True},
    ),
}
STREAMED = [name for name in CALLS if name not in ("detect", "point")]
WHOLE_CAPTION = json.dumps(
    {"request_id": "7", "finish_reason": "stop", "caption": "The moon.", "metrics": {}}
).encode()  # none was captured


# As the documentation has it: no chat was captured either.
CHAT = ChatResult(
    "A moon.", Reasoning("Look.", (Grounding(0, 4, (Point(0.5, 0.25),)),)), Metadata("8", "stop")
)
MADE_UP = {
    "engine-caption-whole": WHOLE_CAPTION,
    "engine-completions": encode_events(
        [ReasoningDelta("Look."), TextDelta("A "), TextDelta("moon."), Completed(CHAT)],
        Dialect.CHAT,
    ),
    "engine-completions-whole": encode_result(CHAT, Dialect.CHAT),
}


# What only ours has: named in docs/how-to/from-the-official-sdk.md.
MORE = {"request_id", "parse_error"}
MORE_STREAMED = {*MORE, "finish_reason"}  # of a chat


class Service(BaseHTTPRequestHandler):
    """Answers with captured responses, or with what it was given, and keeps what it was asked."""

    asked: list[tuple[str, dict[str, str], dict[str, Any]]]
    answer: tuple[int, bytes] | None = None
    pause: threading.Event | None = None

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        self.asked.append(
            (self.path, {name.lower(): value for name, value in self.headers.items()}, body)
        )
        skill = self.path.rpartition("/")[2]
        name = f"engine-{skill}" if body.get("stream") else f"engine-{skill}-whole"
        if body.get("reasoning") and skill == "query":
            name = "engine-query-reasoning-whole"
        bodies = {trace.name: trace.body for trace in TRACES} | MADE_UP
        status, content = self.answer or (200, bodies[name])
        self.send_response(status)
        self.send_header(
            "Content-Type", "application/json" if content.startswith(b"{") else "text/event-stream"
        )
        self.end_headers()
        with contextlib.suppress(ConnectionError):
            self.wfile.write(content)
            if self.pause is not None:
                self.pause.wait(20)

    def log_message(self, *args: Any) -> None:
        pass


def ours(service: Any, **options: Any) -> md.VL:
    return md.vl(
        api_key="key",
        endpoint=service.url,
        transport=moondream_transports.UrllibTransport(proxies={}),
        **options,
    )


def settled(output: Any) -> Any:
    """What a call gave, with all that it streams taken."""
    if isinstance(output, Generator):
        return list(output)
    return {
        name: list(value) if isinstance(value, Generator) else value
        for name, value in output.items()
    }
