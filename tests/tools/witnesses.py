"""The official clients, each in its real code, against any server: what they were asked is the same
for all.

A witness is asked for some calls (`CALLS`), and tells of each what came out of it: the chunks of a
stream, or a whole result, and the error that it raised, if any. What it gave out before is kept.
`CALL | FAULT` asks `serve` for a fault in that call, by a header that goes with it: the official
clients have no way to say so, so theirs is added where their HTTP library sends."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest

from moondream_transports import Client, UrllibTransport
from sansio_moondream import (
    CaptionRequest,
    ChatMessage,
    ChatRequest,
    DetectRequest,
    Endpoint,
    MoondreamError,
    PathChunk,
    PointRequest,
    QueryRequest,
    Request,
    SegmentRequest,
    TextDelta,
    encode_image,
)

HARBOUR = Path(str(files("moondream_tools") / "recordings" / "harbour.jpg"))
NODE = Path(__file__).parents[1] / "node"
STREAMED = ("query, streamed", "caption, streamed", "segment, streamed")
CALLS = ("query", "caption", "segment", "detect", "point", *STREAMED)
CHATS = ("chat", "chat, streamed")
"""Calls that the Node client does not have."""
_QUESTION = "What is in this image?"


@dataclass
class Seen:
    """The outcome of one call."""

    chunks: list[Any] | None = None
    result: Any = None
    error: str | None = None

    @property
    def text(self) -> str:
        """The text of a stream."""
        return "".join(
            str(chunk.get("chunk", "") if isinstance(chunk, dict) else chunk)
            for chunk in self.chunks or []
        )


Witness = Callable[[str, Sequence[str]], dict[str, Seen]]

_PYTHON = """
import json, sys, urllib.request
import moondream
from PIL import Image

endpoint, file, *calls = sys.argv[1:]
model = moondream.vl(endpoint=endpoint, api_key="none")
image = Image.open(file)
question, about = "What is in this image?", {"object": "moon"}
picture = {"type": "image_url", "image_url": {"url": model.encode_image(image).image_url}}
messages = [{"role": "user", "content": [picture, {"type": "text", "text": question}]}]
CALLS = {
    "query": lambda: model.query(image, question),
    "query, streamed": lambda: model.query(image, question, stream=True)["answer"],
    "caption": lambda: model.caption(image, length="short"),
    "caption, streamed": lambda: model.caption(image, length="short", stream=True)["caption"],
    "segment": lambda: model.segment(image, **about),
    "segment, streamed": lambda: model.segment(image, **about, stream=True),
    "detect": lambda: model.detect(image, **about),
    "point": lambda: model.point(image, **about),
    "chat": lambda: model.chat(messages, reasoning=False, settings={"max_tokens": 100}),
    "chat, streamed": lambda: model.chat(messages, stream=True)["message"],
}
for asked in calls:
    call, _, fault = asked.partition(" | ")
    opener = urllib.request.build_opener()
    opener.addheaders = [("X-Moondream-Fault", fault)] if fault else []
    urllib.request.install_opener(opener)
    seen = {"call": asked, "error": None}
    try:
        result = CALLS[call]()
        if isinstance(result, dict):
            seen["result"] = result
        else:
            seen["chunks"] = []
            for chunk in result:
                seen["chunks"].append(chunk)
    except Exception as error:
        seen["error"] = f"{type(error).__name__}: {error}"
    print(json.dumps(seen))
"""


def official_python(endpoint: str, calls: Sequence[str] = CALLS) -> dict[str, Seen]:
    """Run `moondream` from PyPI as a program."""
    pytest.importorskip(
        "moondream",
        reason="the official Python client is installed by `make`",
        exc_type=ImportError,
    )
    return _run([sys.executable, "-c", _PYTHON], endpoint, calls)


def official_node(endpoint: str, calls: Sequence[str] = CALLS) -> dict[str, Seen]:
    """Run `moondream` from npm as a program."""
    return _run([need_node(), str(NODE / "witness.mjs")], endpoint, calls)


def need_node() -> str:
    """Return the path of node. Without the official client for it, skip the test."""
    node = shutil.which("node")
    if (
        node is None or not (NODE / "node_modules" / ".stamp").exists()
    ):  # set last: what was installed in half does not count
        pytest.skip("the official Node client needs `make ci-tools`, and node")
    return node


def ours(endpoint: str, calls: Sequence[str] = CALLS) -> dict[str, Seen]:
    """Run our client. Its results have the form of the official clients'."""
    answers: dict[str, Seen] = {}
    for asked in calls:
        call, _, fault = asked.partition(" | ")
        headers = {"X-Moondream-Fault": fault} if fault else {}
        answers[asked] = _ask(
            Client(UrllibTransport(proxies={}), Endpoint(endpoint, headers=headers)), call
        )
    return answers


def _ask(client: Client, call: str) -> Seen:
    image = encode_image(HARBOUR.read_bytes())
    requests: dict[str, Request[Any]] = {
        "query": QueryRequest(image=image, question=_QUESTION),
        "caption": CaptionRequest(image=image, length="short"),
        "segment": SegmentRequest(image=image, object="moon"),
        "detect": DetectRequest(image=image, object="moon"),
        "point": PointRequest(image=image, object="moon"),
        "chat": ChatRequest(messages=[ChatMessage("user", [image, _QUESTION])]),
    }
    skill, _, streamed = call.partition(", ")
    seen = Seen()
    try:
        if not streamed:
            seen.result = client.send(requests[skill])
            return seen
        seen.chunks = []
        with client.stream(requests[skill]) as stream:
            for event in stream:
                if isinstance(event, TextDelta | PathChunk):
                    seen.chunks.append(event.text if isinstance(event, TextDelta) else event.data)
            seen.result = stream.result()
    except MoondreamError as error:
        seen.error = f"{type(error).__name__}: {error}"
    return seen


def _run(command: list[str], endpoint: str, calls: Sequence[str]) -> dict[str, Seen]:
    environment = {**os.environ, "no_proxy": "127.0.0.1", "PYTHONIOENCODING": "utf-8"}
    ran = subprocess.run(
        [*command, endpoint, HARBOUR, *calls],
        capture_output=True,
        text=True,
        timeout=60,
        env=environment,
    )
    assert ran.returncode == 0, ran.stderr
    lines = [json.loads(line) for line in ran.stdout.splitlines()]
    assert [one["call"] for one in lines] == list(calls)
    return {one["call"]: Seen(one.get("chunks"), one.get("result"), one["error"]) for one in lines}
