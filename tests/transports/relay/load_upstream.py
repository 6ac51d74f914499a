"""The upstream of the load tests: thousands of streams at a steady pace, cheaply.

A question is a `Plan` in JSON, so each stream has its own length, pace and end.
"""

from __future__ import annotations

import asyncio
import json
import time
from dataclasses import asdict, dataclass
from typing import Any, ClassVar

from .load_process import Answers, obey

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
END = b'data: {"chunk": "", "completed": true}\n\n'


@dataclass(frozen=True)
class Plan:
    """One stream.

    Attributes:
        number: of the stream; it is in the text.
        events: how many carry text. The end follows them.
        pause: seconds before each event.
        stall_after: after so many events nothing is sent any more, until `release`.
        size: of the text of each event, in characters.
    """

    number: int
    events: int = 100
    pause: float = 0.5
    stall_after: int | None = None
    size: int = 10

    @property
    def question(self) -> str:
        return json.dumps(asdict(self))

    def text(self, event: int) -> str:
        return f"{self.number}/{event} ".ljust(self.size, ".")


class Upstream(asyncio.Protocol):
    """One connection.

    Attributes:
        asked: numbers of all streams that were begun.
        left: by number of the stream, when the other end closed before the end, on the clock of the
            machine.
        running: how many streams have begun and not ended.
    """

    asked: ClassVar[list[int]] = []
    left: ClassVar[dict[int, float]] = {}
    running: ClassVar[int] = 0
    stalled: ClassVar[set[Upstream]] = set()

    def __init__(self) -> None:
        self._received = b""
        self._plan: Plan | None = None
        self._sent = 0
        self._begin = 0.0
        self._timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._received += data
        head, separator, body = self._received.partition(b"\r\n\r\n")
        if separator:
            length = int(head.lower().partition(b"content-length:")[2].split(b"\r\n")[0])
            if len(body) >= length:
                self._received = b""
                self._plan = Plan(**json.loads(json.loads(body)["question"]))
                self._sent, self._begin = 0, asyncio.get_running_loop().time()
                Upstream.asked.append(self._plan.number)
                Upstream.running += 1
                self._transport.write(HEAD)
                self._wait()

    def _wait(self) -> None:
        assert self._plan is not None
        if self._sent == self._plan.stall_after:
            Upstream.stalled.add(self)
        else:
            due = self._begin + (self._sent + 1) * self._plan.pause
            self._timer = asyncio.get_running_loop().call_at(due, self.send)

    def send(self) -> None:
        """Send the next event, or the end."""
        assert self._plan is not None
        if self._sent < self._plan.events:
            text = self._plan.text(self._sent).encode()
            self._write(b'data: {"chunk": "%b", "completed": false}\n\n' % text)
            self._sent += 1
            self._wait()
        else:
            self._write(END)
            self._transport.write(b"0\r\n\r\n")
            self._stop()

    def _write(self, data: bytes) -> None:
        self._transport.write(b"%x\r\n%b\r\n" % (len(data), data))

    def _stop(self) -> None:
        self._plan = None
        Upstream.running -= 1
        Upstream.stalled.discard(self)
        if self._timer is not None:
            self._timer.cancel()

    def connection_lost(self, exc: Exception | None) -> None:
        if self._plan is not None:
            Upstream.left[self._plan.number] = time.monotonic()
            self._stop()


def state() -> dict[str, Any]:
    """Return what the test asks for."""
    return {
        "asked": Upstream.asked,
        "left": Upstream.left,
        "running": Upstream.running,
        "stalled": len(Upstream.stalled),
    }


def release() -> None:
    """Let all streams go on that stall now."""
    for stream in list(Upstream.stalled):
        Upstream.stalled.discard(stream)
        stream.send()


async def main() -> None:
    server = await asyncio.get_running_loop().create_server(Upstream, "127.0.0.1", 0, backlog=4096)
    answers: Answers = {"state": state, "release": release}
    async with server:
        await obey(server.sockets[0].getsockname()[1], answers)


if __name__ == "__main__":
    asyncio.run(main())
