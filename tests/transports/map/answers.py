"""A server whose answers break in the way that their questions say, and that keeps a log."""

from __future__ import annotations

import asyncio
import json
import struct
import threading
from collections import Counter
from socket import SO_LINGER, SOL_SOCKET
from types import TracebackType
from typing import Self


class AnswerServer:
    """Answers a question "FAULT NUMBER" by its fault: ok, 429, 503, cut, reset, wait or later.

    `later` is a 429 for the first time, and an answer after that. `wait` is never answered.

    Attributes:
        log: question and what was sent, of each request, in the order of the answers.
        most: so many requests were open at once.
    """

    def __init__(self, seconds: float = 0.0) -> None:
        self.log: list[tuple[str, str]] = []
        self.open = self.most = 0
        self.url = ""
        self._seconds = seconds
        self._began = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()))

    def __enter__(self) -> Self:
        self._thread.start()
        self._began.wait()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._loop.call_soon_threadsafe(self._end.set)
        self._thread.join()

    async def _serve(self) -> None:
        self._loop, self._end = asyncio.get_running_loop(), asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()
        server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"
        self._began.set()
        await self._end.wait()
        server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.ensure_future(self._answer_all(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _answer_all(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = int(head.lower().partition(b"content-length:")[2].split(b"\r\n")[0])
                question = json.loads(await reader.readexactly(length))["question"]
                self.open += 1
                self.most = max(self.most, self.open)
                try:
                    if not await self._answer(question, writer, reader):
                        break
                finally:
                    self.open -= 1
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    async def _answer(
        self, question: str, writer: asyncio.StreamWriter, reader: asyncio.StreamReader
    ) -> bool:
        """Returns whether the connection goes on."""
        fault = question.split(maxsplit=1)[0]
        if fault == "wait":
            self.log.append((question, "wait"))
            await reader.read(1)
            self.log.append((question, "left"))
            return False
        await asyncio.sleep(self._seconds)
        if fault == "later":
            fault = "429" if (question, "429") not in self.log else "ok"
        self.log.append((question, fault))
        if fault == "reset":
            writer.get_extra_info("socket").setsockopt(
                SOL_SOCKET, SO_LINGER, struct.pack("ii", 1, 0)
            )
            return False
        body: dict[str, object] = {"answer": f"about {question}", "finish_reason": "stop"}
        if fault in ("429", "503"):
            body = {"error": {"message": question, "type": "x"}}
        data = json.dumps(body).encode()
        status = fault if fault in ("429", "503") else "200"
        writer.write(
            f"HTTP/1.1 {status} x\r\nContent-Type: application/json\r\n"
            f"Content-Length: {len(data)}\r\n\r\n".encode()
        )
        writer.write(data[:-5] if fault == "cut" else data)
        return fault != "cut"

    def counts(self) -> Counter[str]:
        """How many requests came for each question."""
        return Counter(question for question, _ in self.log)
