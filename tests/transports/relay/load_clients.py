"""The clients of the load tests: cheap, as thousands of them run in one process."""

from __future__ import annotations

import asyncio
import json
import socket
import time
from collections.abc import Sequence
from typing import Any
from urllib.parse import quote

from .load_upstream import Plan

LAST_CHUNK = b"\r\n0\r\n\r\n"


class Reader(asyncio.Protocol):
    """Read one answer.

    Args:
        reads: a reader that does not read leaves all in the buffers of the system.
    """

    def __init__(self, path: str, plan: Plan, reads: bool = True) -> None:
        self.plan = plan
        self.ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._path = path
        self._reads = reads
        self._received = bytearray()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        if not self._reads:
            transport.pause_reading()
        request = f"GET {self._path}?{quote(self.plan.question)} HTTP/1.1\r\nHost: relay\r\n\r\n"
        transport.write(request.encode())

    def data_received(self, data: bytes) -> None:
        self._received += data
        if self._received.endswith(LAST_CHUNK):
            self._end()

    def connection_lost(self, exc: Exception | None) -> None:
        self._end()

    def _end(self) -> None:
        if not self.ended.done():
            self.ended.set_result(None)
            self._transport.close()

    def go_on(self) -> None:
        """Read from now on."""
        self._transport.resume_reading()

    def leave(self, reset: bool) -> float:
        """Close the connection, and return when, on the clock of the machine."""
        self.ended.cancel()
        if reset:
            self._transport.abort()
        else:
            self._transport.close()
        return time.monotonic()

    def head(self) -> bytes:
        return bytes(self._received.partition(b"\r\n\r\n")[0])

    def records(self) -> list[dict[str, Any]]:
        """Return the JSON of all records.

        Their ids have to be 1, 2, 3, … Only what ends the stream for this reader alone has none.
        """
        body = b"".join(chunks(bytes(self._received.partition(b"\r\n\r\n")[2])))
        records = [record for record in body.split(b"\n\n") if record not in (b"", b":")]
        found: list[dict[str, Any]] = []
        for number, record in enumerate(records, 1):
            *ids, data = record.split(b"\n")
            found.append(json.loads(data.removeprefix(b"data: ")))
            is_error = found[-1]["kind"].endswith("_error")
            assert ids == ([] if is_error else [b"id: %d" % number]), record
        return found

    def assert_whole(self) -> None:
        """Fail if an event or the end is missing, or is at another place."""
        assert self.head().startswith(b"HTTP/1.1 200 "), self.head()
        *deltas, last = self.records()
        texts = [self.plan.text(event) for event in range(self.plan.events)]
        assert [delta["text"] for delta in deltas] == texts
        assert last["kind"] == "completed"
        assert last["result"]["text"] == "".join(texts)


def chunks(body: bytes) -> list[bytes]:
    """Return the whole chunks of a chunked body. The last one of an answer that ends is empty."""
    found: list[bytes] = []
    begin, size = 0, 1
    while size and begin < len(body):
        line_end = body.index(b"\r\n", begin)
        size = int(body[begin:line_end], 16)
        found.append(body[line_end + 2 : line_end + 2 + size])
        begin = line_end + size + 4
    return found


async def connect(port: int, readers: Sequence[Reader], receive_buffer: int | None = None) -> None:
    """Connect all, some at a time."""
    loop = asyncio.get_running_loop()
    at_once = asyncio.Semaphore(50)

    async def one(reader: Reader) -> None:
        async with at_once:
            sock = socket.socket()
            if receive_buffer is not None:  # the window of a connection is fixed when it is made
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
            sock.setblocking(False)
            await loop.sock_connect(sock, ("127.0.0.1", port))
            await loop.create_connection(lambda: reader, sock=sock)

    await asyncio.gather(*(one(reader) for reader in readers))
