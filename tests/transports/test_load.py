"""Many streams at once on one client, and a reader that stops reading: `make load` runs these."""

from __future__ import annotations

import resource
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path

import anyio
import pytest

from moondream_transports import AsyncClient, Client, Timeouts
from moondream_transports.conformance._fault_server import FaultServer, Peer, chunk, head
from sansio_moondream import Endpoint, QueryRequest, TextDelta
from tests.helpers import QUERY, delta

from .adapters import ADAPTERS, Adapter, each_adapter
from .pace_server import word

pytestmark = pytest.mark.slow

STREAMS, EVENTS = 1000, 200
THREADS = 64
PATIENT = Timeouts(connect=60, first_event=120, idle=120, total=600)


@contextmanager
def pace_server() -> Iterator[str]:
    """Its address."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(
        resource.RLIMIT_NOFILE, (hard if hard != resource.RLIM_INFINITY else 65536, hard)
    )
    command = [sys.executable, "-m", "tests.transports.pace_server", str(EVENTS), "0.05"]
    root = Path(__file__).parents[2]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=root
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            yield f"http://127.0.0.1:{int(process.stdout.readline())}/v1"
        finally:
            process.stdin.close()
            process.wait(10)


def expected(question: str) -> list[str]:
    return [word(question, number) for number in range(EVENTS)]


@pytest.mark.parametrize(
    "adapter", [d for d in ADAPTERS if d.is_async], ids=lambda adapter: adapter.name
)
def test_many_streams_on_one_client(adapter: Adapter) -> None:
    async def main() -> None:
        async with adapter.own() as transport:
            client = AsyncClient(transport, Endpoint(url=url), timeouts=PATIENT)
            opened, all_opened = 0, anyio.Event()

            async def one(number: int) -> None:
                nonlocal opened
                question = f"stream {number}"
                async with client.stream(QueryRequest(question=question)) as stream:
                    opened += 1
                    if opened == STREAMS:
                        all_opened.set()
                    await all_opened.wait()  # all of them are open at once
                    assert [text async for text in stream.text()] == expected(question)

            await adapter.all_of([partial(one, number) for number in range(STREAMS)])

    with pace_server() as url:
        adapter.run(main, debug=False)


@pytest.mark.parametrize(
    "adapter", [d for d in ADAPTERS if not d.is_async], ids=lambda adapter: adapter.name
)
def test_many_threads_on_one_client(adapter: Adapter) -> None:
    async def main() -> None:
        async with adapter.own() as transport:
            client = Client(transport, Endpoint(url=url), timeouts=PATIENT)

            def one(number: int) -> None:
                for turn in range(STREAMS // THREADS + 1):
                    question = f"thread {number}, turn {turn}"
                    with client.stream(QueryRequest(question=question)) as stream:
                        assert list(stream.text()) == expected(question)

            with ThreadPoolExecutor(THREADS) as threads:
                list(threads.map(one, range(THREADS)))

    with pace_server() as url:
        adapter.run(main)


@each_adapter
def test_a_reader_that_stops_slows_the_sender_down(adapter: Adapter) -> None:
    """What the server can send meanwhile is what the system's socket buffers hold; nothing piles up
    here.
    """
    part = chunk(delta("x" * 8000))
    sent = 0

    def script(peer: Peer) -> None:
        nonlocal sent
        peer.answer(head())
        peer.sock.settimeout(0.5)
        with suppress(TimeoutError):
            while True:
                peer.send(part)
                sent += len(part)
        stuck.set()
        peer.wait_until_closed()

    async def main() -> None:
        async with (
            adapter.transport() as transport,
            adapter.client(transport, Endpoint(url=server.url)).stream(QUERY) as stream,
        ):
            assert isinstance(await anext(stream), TextDelta)
            before = memory()
            await adapter.until(stuck.is_set, "the sender to wait for the reader")
            assert memory() - before < 4 * 1024 * 1024
        assert 0 < sent < 16 * 1024 * 1024

    stuck = threading.Event()
    with FaultServer(script) as server:
        adapter.run(main)


def memory() -> int:
    """Resident bytes of this process."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()
