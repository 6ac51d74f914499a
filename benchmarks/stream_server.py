"""The server of end_to_end.py: raw sockets, so that each TCP write is its own. It runs in a process
of its own.

It sends the same answer in three ways, which the path begins with. "each": every event in a write
of its own, after a pause, and not before the kernel says that the one before was read, so that
every one comes alone. "flow": a write each, without a pause, so that a slow reader finds several.
"burst": the whole answer in one write. And "idle": the head and one event, and then nothing."""

from __future__ import annotations

import json
import socket
import struct
import sys
import threading
import time
from contextlib import suppress
from typing import Any, Self

import works

EVENTS = 200  # of each stream, the last one included
WORK = works.query(EVENTS - 1)
OPEN = 1000  # streams at once, for memory
MODES = ("each", "flow", "burst")
LAST_CHUNK = b"0\r\n\r\n"
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"


def moondream_records() -> list[bytes]:
    return WORK.records


def openai_records() -> list[bytes]:
    fixed = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "m"}
    choices = [
        {"index": 0, "delta": {"content": text}, "finish_reason": None}
        for text in texts(EVENTS - 2)
    ]
    choices.append({"index": 0, "delta": {}, "finish_reason": "stop"})
    return [*(_record({**fixed, "choices": [choice]}) for choice in choices), b"data: [DONE]\n\n"]


def anthropic_records() -> list[bytes]:
    message = {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "m",
        "content": [],
        "stop_reason": None,
    }
    usage = {"input_tokens": 1, "output_tokens": 1}
    messages: list[dict[str, Any]] = [
        {"type": "message_start", "message": {**message, "usage": usage}},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
        *(
            {
                "type": "content_block_delta",
                "index": 0,
                "delta": {"type": "text_delta", "text": text},
            }
            for text in texts(EVENTS - 5)
        ),
        {"type": "content_block_stop", "index": 0},
        {
            "type": "message_delta",
            "delta": {"stop_reason": "end_turn", "stop_sequence": None},
            "usage": usage,
        },
        {"type": "message_stop"},
    ]
    return [b"event: %b\n%b" % (message["type"].encode(), _record(message)) for message in messages]


def texts(count: int) -> list[str]:
    return [json.loads(payload)["chunk"] for payload in WORK.payloads[:count]]


def _record(message: dict[str, Any]) -> bytes:
    return b"data: %b\n\n" % json.dumps(message).encode()


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


def serve(pause: float) -> None:
    """Print the port, and answer requests until the parent closes the pipe.

    A thread for each connection.
    """
    of_path = {
        "query": moondream_records(),
        "completions": openai_records(),
        "messages": anthropic_records(),
    }
    answers = {
        name.encode(): [chunk(record) for record in records] for name, records in of_path.items()
    }
    threading.stack_size(256 * 1024)
    listener = socket.create_server(("127.0.0.1", 0), backlog=2 * OPEN)

    def accept() -> None:
        while True:
            connection, _ = listener.accept()
            threading.Thread(target=answer, args=(connection, answers, pause), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    print(listener.getsockname()[1], flush=True)
    sys.stdin.read()


def answer(connection: socket.socket, answers: dict[bytes, list[bytes]], pause: float) -> None:
    """All requests of one connection.

    A path begins with the mode and ends with what tells the wire format.
    """
    with connection, connection.makefile("rb") as requests, suppress(ConnectionError):
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        while first_line := requests.readline():
            length = 0
            while line := requests.readline().strip():
                name, _, value = line.partition(b":")
                if name.lower() == b"content-length":
                    length = int(value)
            requests.read(length)
            parts = first_line.split()[1].split(b"/")
            send(connection, parts[1], answers[parts[-1]], pause)


def send(connection: socket.socket, mode: bytes, chunks: list[bytes], pause: float) -> None:
    if mode == b"idle":
        connection.sendall(HEAD + chunks[0])
    elif mode == b"burst":
        connection.sendall(b"".join([HEAD, *chunks, LAST_CHUNK]))
    else:
        connection.sendall(HEAD)
        with Unread(connection) as unread:
            for data in chunks:
                if mode == b"each":
                    time.sleep(pause)
                    while unread.any():
                        time.sleep(pause)
                connection.sendall(data)
        connection.sendall(LAST_CHUNK)  # a write of its own, at once: as servers do


class Unread:
    """Sees, in the kernel, whether the other end of a connection on this machine has read all that
    it was sent (sock_diag(7) of Linux).
    """

    def __init__(self, connection: socket.socket) -> None:
        (host, port), (our_host, our_port) = connection.getpeername(), connection.getsockname()
        ends = struct.pack(
            "!HH4s12x4s12x", port, our_port, socket.inet_aton(host), socket.inet_aton(our_host)
        )
        asked = (
            struct.pack("=BBBxI", socket.AF_INET, socket.IPPROTO_TCP, 0, 0xFFFFFFFF)
            + ends
            + struct.pack("=Iq", 0, -1)
        )
        self._request = struct.pack("=IHHII", 16 + len(asked), 20, 1, 0, 0) + asked
        linux = sys.platform == "linux"
        self._kernel = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 4) if linux else None

    def any(self) -> bool:
        """Always False where there is no such kernel: then the pause has to do."""
        if self._kernel is None:
            return False
        self._kernel.send(self._request)
        found = self._kernel.recv(4096)
        return (
            len(found) > 72 and struct.unpack_from("=I", found, 72)[0] > 0
        )  # a short answer: the connection is closed

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        if self._kernel is not None:
            self._kernel.close()


if __name__ == "__main__":
    serve(float(sys.argv[1]))
