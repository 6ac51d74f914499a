"""A server in a process of its own that answers each question with a text made of it, at a random
pace. Prints its port.

Run with the number of events of each answer, and the longest pause between two in seconds (most
have none)."""

from __future__ import annotations

import asyncio
import json
import random
import sys

HEAD = b"HTTP/1.1 200 \r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"


def word(question: str, number: int) -> str:
    return f"{question}/{number} "


async def serve(events: int, pause: float) -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = int(head.lower().partition(b"content-length:")[2].split(b"\r\n")[0])
                question = json.loads(await reader.readexactly(length))["question"]
                pace = random.Random(question)
                writer.write(HEAD)
                for number in range(events):
                    if pace.random() < 0.1:
                        await asyncio.sleep(pace.random() * pause)
                    message = (
                        b'data: {"chunk": "%b", "completed": false}\n\n'
                        % word(question, number).encode()
                    )
                    writer.write(b"%x\r\n%b\r\n" % (len(message), message))
                    await writer.drain()
                end = b'data: {"chunk": "", "completed": true}\n\n'
                writer.write(b"%x\r\n%b\r\n0\r\n\r\n" % (len(end), end))
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0, backlog=2000)
    print(server.sockets[0].getsockname()[1], flush=True)  # noqa: T201
    async with server:
        await asyncio.to_thread(sys.stdin.read)  # until the parent process closes the pipe


if __name__ == "__main__":
    asyncio.run(serve(int(sys.argv[1]), float(sys.argv[2])))
