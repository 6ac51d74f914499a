"""The server of bulk.py, in a process of its own: whole answers, on asyncio's protocols.

A path that ends in `query` gets an answer of the service, `completions` that of a chat. The path
begins with the milliseconds between a request and its answer."""

from __future__ import annotations

import asyncio
import json
import sys
from typing import Any

TEXT = "The image shows a crescent moon against a black sky, with its lit side to the right. " * 4


def _query() -> dict[str, Any]:
    metrics = {"input_tokens": 740, "output_tokens": 80, "prefill_time_ms": 31.2}
    return {
        "request_id": "2026-01-01_query_0",
        "finish_reason": "stop",
        "metrics": {**metrics, "decode_time_ms": 402.5, "ttft_ms": 35.1},
        "answer": TEXT,
    }


def _chat() -> dict[str, Any]:
    message = {"role": "assistant", "content": TEXT}
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1,
        "model": "moondream",
        "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 740, "completion_tokens": 80, "total_tokens": 820},
    }


def _whole(value: dict[str, Any]) -> bytes:
    body = json.dumps(value).encode()
    head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n"
    return head.encode() + b"\r\n" + body


ANSWERS = {b"query": _whole(_query()), b"completions": _whole(_chat())}


class Connection(asyncio.Protocol):
    """Read requests of one connection, one after the other, and answer each after its latency."""

    def __init__(self) -> None:
        self._received = bytearray()
        self._needed = 0  # bytes of the request, once its head is there
        self._answer = b""
        self._latency = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._received += data
        if not self._needed:
            end = self._received.find(b"\r\n\r\n")
            if end < 0:
                return
            self._read_head(bytes(self._received[:end]), end + 4)
        if len(self._received) >= self._needed:
            del self._received[: self._needed]
            self._needed = 0
            if self._latency:
                loop = asyncio.get_running_loop()
                loop.call_later(self._latency, self._transport.write, self._answer)
            else:
                self._transport.write(self._answer)

    def _read_head(self, head: bytes, size: int) -> None:
        first, *lines = head.split(b"\r\n")
        parts = first.split()[1].split(b"/")
        self._answer, self._latency = ANSWERS[parts[-1]], float(parts[1]) / 1000
        fields = {
            name.lower(): value for name, _, value in (line.partition(b":") for line in lines)
        }
        self._needed = size + int(fields[b"content-length"])


async def main() -> None:
    """Print the port, and answer until the parent closes the pipe."""
    loop = asyncio.get_running_loop()
    server = await loop.create_server(Connection, "127.0.0.1", 0, backlog=256)
    print(server.sockets[0].getsockname()[1], flush=True)
    await loop.run_in_executor(None, sys.stdin.read)
    server.close()


if __name__ == "__main__":
    asyncio.run(main())
