"""What the tests of questions share: to ask as the page does, and to follow the answer."""

from __future__ import annotations

import json
from typing import Any, NamedTuple

import msgspec

from moondream_tools.trace import Trace, TraceUpdate
from tests.tools.inspect.page_server import Served

KEY = "planted-key-7f3a"
QUESTION = {"skill": "query", "question": "What is in this image?"}


class Followed(NamedTuple):
    """What a page received: the updates, and the report of the end."""

    ids: list[int]
    updates: list[TraceUpdate]
    end: dict[str, Any]


def ask(served: Served, asked: dict[str, Any] = QUESTION) -> str:
    reply = served.ask("api/ask", asked)
    assert reply.status == 200, reply.json
    name: str = reply.json["name"]
    return name


def follow(served: Served, name: str, after: int = 0, **headers: str) -> Followed:
    reply = served.ask(f"api/live/{name}?after={after}", **headers)
    assert reply.status == 200, reply.json
    assert reply.headers["content-type"] == "text/event-stream"
    ids: list[int] = []
    updates: list[TraceUpdate] = []
    *events, last = reply.body.decode().split("\n\n")[:-1]
    for event in events:
        id_line, data = event.split("\n")
        ids.append(int(id_line.removeprefix("id: ")))
        updates.append(msgspec.json.decode(data.removeprefix("data: "), type=TraceUpdate))
    _, name_line, data = last.split("\n")
    assert name_line == "event: end"
    return Followed(ids, updates, json.loads(data.removeprefix("data: ")))


def added_up(served: Served, name: str, begin: Trace, updates: list[TraceUpdate]) -> None:
    """Check that the updates add up to the trace of the recording."""
    for update in updates:
        begin = begin.updated(update)
    assert json.loads(begin.encode()) == served.ask(f"api/trace/{name}").json
