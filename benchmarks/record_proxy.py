"""How much later does a chunk arrive through `moondream-stream record`? Prints milliseconds, for
pairs of streams.

    python benchmarks/record_proxy.py [--streams N] [--chunks N] [--pause SECONDS] [--json]

A server in a process of its own sends each chunk with the time at which it does so, a chunk every
`--pause` seconds a stream. All pairs run at once, and begin one after the other within one pause,
since streams that tick in step would wait for each other. One stream of a pair comes directly, the
other through the proxy, a program of its own as users run it. What a chunk is late by is its time
of arrival less its time of sending, on the one clock of the machine. *added* is, for each pair, the
median of the proxied stream less the median of the direct one; the target is judged by the median
of the pairs."""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

TARGET_MS = 2.0
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
FILLING = "x" * 60  # about as long as events are


async def serve(chunks: int, pause: float) -> None:
    """The server: says its port, and answers every request alike."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        length = next(
            int(line.partition(b":")[2])
            for line in head.lower().split(b"\r\n")
            if line.startswith(b"content-length:")
        )
        await reader.readexactly(length)
        writer.write(HEAD)
        for _ in range(chunks):
            await asyncio.sleep(pause)
            data = f'data: {{"chunk": "{FILLING}", "sent": {time.monotonic()!r}}}\n\n'.encode()
            writer.write(b"%x\r\n%b\r\n" % (len(data), data))
            await writer.drain()
        writer.write(b"0\r\n\r\n")
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


async def lateness(port: int, begin_after: float) -> list[float]:
    """Of each chunk of one stream, in milliseconds."""
    await asyncio.sleep(begin_after)
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    body = b'{"question": "?", "stream": true}'
    writer.write(
        b"POST /v1/query HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n%b"
        % (len(body), body)
    )
    late: list[float] = []
    async for line in reader:
        now = time.monotonic()
        if line.startswith(b"data: "):
            late.append(1000 * (now - json.loads(line[6:])["sent"]))
        elif line == b"0\r\n":
            break
    writer.close()
    return late


async def measure(
    direct: int, proxied: int, streams: int, chunks: int, pause: float
) -> list[tuple[float, float]]:
    """Medians of each pair: direct, and through the proxy."""
    begins = [
        (port, pause * number / streams) for number in range(streams) for port in (direct, proxied)
    ]
    each = await asyncio.gather(*(lateness(port, begin_after) for port, begin_after in begins))
    assert all(len(late) == chunks for late in each), [len(late) for late in each]
    medians = [statistics.median(late) for late in each]
    return list(zip(medians[::2], medians[1::2], strict=True))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--streams", type=int, default=20, help="pairs of streams, all at once")
    parser.add_argument("--chunks", type=int, default=200, help="of each stream")
    parser.add_argument(
        "--pause", type=float, default=0.05, help="seconds between two chunks of a stream"
    )
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.serve:
        asyncio.run(serve(arguments.chunks, arguments.pause))
        return
    options = ["--serve", "--chunks", str(arguments.chunks), "--pause", str(arguments.pause)]
    with (
        tempfile.TemporaryDirectory() as folder,
        subprocess.Popen([sys.executable, __file__, *options], stdout=subprocess.PIPE) as server,
    ):
        assert server.stdout is not None
        direct = int(server.stdout.readline())
        record = [
            "-m",
            "moondream_tools.cli",
            "record",
            "--upstream",
            f"http://127.0.0.1:{direct}/v1",
            "--to",
            folder,
            "--port",
            "0",
        ]
        with subprocess.Popen(
            [sys.executable, *record], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        ) as proxy:
            assert proxy.stdout is not None
            proxied = int(proxy.stdout.readline().split(b":")[2].split(b"/")[0])
            try:
                pairs = asyncio.run(
                    measure(direct, proxied, arguments.streams, arguments.chunks, arguments.pause)
                )
                recorded = len(list(Path(folder).glob("*.jsonl")))
            finally:
                proxy.terminate()
                server.terminate()
    assert recorded == arguments.streams, f"{recorded} recordings of {arguments.streams} streams"
    added = statistics.median(through - straight for straight, through in pairs)
    figures = {
        "streams": arguments.streams,
        "direct_ms": statistics.median(straight for straight, _ in pairs),
        "through_record_ms": statistics.median(through for _, through in pairs),
        "added_ms": added,
        "most_added_ms": max(through - straight for straight, through in pairs),
    }
    if arguments.json:
        print(json.dumps(figures))
        return
    for name, value in figures.items():
        print(f"{name:18} {value:8.3f}" if isinstance(value, float) else f"{name:18} {value:8}")
    print(f"target: at most {TARGET_MS:g} ms added: {'met' if added <= TARGET_MS else 'MISSED'}")


if __name__ == "__main__":
    main()
