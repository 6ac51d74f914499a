"""The clients of relay.py: many at once, each reads one whole stream, and checks what it read."""

from __future__ import annotations

import asyncio
import json
from typing import Any

from stream_server import EVENTS, WORK, texts

WARM_UP = 10  # streams
LONGEST = 300.0  # seconds for all streams of one run


async def measure(port: int, name: str, mode: str, streams: int, pause: float) -> dict[str, float]:
    """Microseconds of the server's process for each event of the upstream.

    The streams begin one after the other within one pause, as streams in step would come to the
    server many at a time.
    """
    async with asyncio.timeout(LONGEST):
        await asyncio.gather(*(stream(port, name, "burst", 0) for _ in range(WARM_UP)))
        before = json.loads(await get(port, "spent"))
        begins = (pause * number / streams for number in range(streams))
        await asyncio.gather(*(stream(port, name, mode, begin) for begin in begins))
        after = json.loads(await get(port, "spent"))
    events = streams * EVENTS
    return {
        "us": (after["cpu"] - before["cpu"]) / events * 1e6,
        "user": (after["user"] - before["user"]) / events * 1e6,
        "waits": (after["waits"] - before["waits"]) / events,
    }


async def stream(port: int, name: str, mode: str, begin_after: float) -> None:
    """Read one answer, and fail if it is not whole."""
    await asyncio.sleep(begin_after)
    records = (await get(port, mode)).split(b"\n\n")
    data = [record.partition(b"data: ")[2] for record in records if b"data: " in record]
    if name.startswith("openai"):
        assert data.pop() == b"[DONE]"
    messages = [json.loads(payload) for payload in data]
    expected = "".join(texts(EVENTS - 2)) if name == "openai" else WORK.text
    assert "".join(map(text, messages)) == expected, name


def text(message: dict[str, Any]) -> str:
    """The text of one message of any candidate."""
    if "choices" in message:
        deltas = (choice["delta"] for choice in message["choices"])  # none in the usage at the end
        return "".join(delta.get("content") or "" for delta in deltas)
    if "kind" in message:
        return message["text"] if message["kind"] == "text_delta" else ""
    return message["chunk"]


async def get(port: int, path: str) -> bytes:
    """The body of an answer."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        request = f"GET /{path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n"
        writer.write(request.encode())
        head, _, rest = (await reader.read()).partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200 "), head
        return b"".join(chunks(rest))
    finally:
        writer.close()


def chunks(body: bytes) -> list[bytes]:
    """Those of a chunked body, which has to be whole."""
    found: list[bytes] = []
    begin, size = 0, 1
    while size:
        line_end = body.index(b"\r\n", begin)
        size = int(body[begin:line_end], 16)
        found.append(body[line_end + 2 : line_end + 2 + size])
        begin = line_end + size + 4
    return found
