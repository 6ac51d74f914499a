"""Streams that are forgotten, scopes of anyio, and whole programs: what of leaving a stream the
conformance kit does not check.
"""

from __future__ import annotations

import gc
import subprocess
import sys
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from time import monotonic
from typing import Any

import pytest

from moondream_transports.conformance._fault_server import FaultServer, Peer, Script
from moondream_transports.conformance._faults import EVENTS, F1, answers, wait
from sansio_moondream import Endpoint
from tests.helpers import QUERY

from .adapters import ADAPTERS, Adapter, each_adapter

SILENT = answers(*F1, then=wait)  # five events, then nothing until the client closes
each_async_adapter = pytest.mark.parametrize(
    "adapter", [d for d in ADAPTERS if d.is_async], ids=lambda adapter: adapter.name
)


@contextmanager
def serving(script: Script = SILENT) -> Iterator[FaultServer]:
    """A server that has seen its connections closed within two seconds of the end of the block."""
    with ExitStack() as stack:
        server = stack.enter_context(FaultServer(script))
        yield server
        left_at = monotonic()
        stack.close()
        assert monotonic() - left_at < 2


def run(adapter: Adapter, main: Callable[[Any], Awaitable[None]], server: FaultServer) -> None:
    """Run `main(client)` over a transport of its own."""

    async def opened() -> None:
        async with adapter.transport() as transport:
            await main(adapter.client(transport, Endpoint(url=server.url)))

    adapter.run(opened)


async def take(stream: Any, count: int) -> None:
    for event in EVENTS[:count]:
        assert await anext(stream) == event


@each_adapter
def test_forgetting_it(adapter: Adapter) -> None:
    async def main(client: Any) -> None:
        stream = client.stream(QUERY)
        await stream.__aenter__()
        await take(stream, 5)
        with pytest.warns(ResourceWarning) as warned:
            del stream
        gc.collect()
        assert [str(warning.message) for warning in warned] == [str(warned[0].message)]
        assert "never closed" in str(warned[0].message)
        for _ in range(200):
            if closed.is_set():
                return
            await adapter.sleep(0.01)

    def script(peer: Peer) -> None:
        SILENT(peer)
        closed.set()

    closed = threading.Event()
    with serving(script) as server:
        run(adapter, main, server)
    assert closed.is_set()


@each_async_adapter
def test_by_a_cancel_scope_of_anyio(adapter: Adapter) -> None:
    anyio = pytest.importorskip("anyio")

    async def main(client: Any) -> None:
        with anyio.move_on_after(0.1) as scope:
            async with client.stream(QUERY) as stream:
                await take(stream, 5)
                await anext(stream)
        assert scope.cancelled_caught
        with anyio.CancelScope() as scope:
            async with client.stream(QUERY) as stream:
                await take(stream, 1)
                scope.cancel()

    with serving() as server:
        run(adapter, main, server)


_PROGRAM = """
import sys
from tests.transports import adapters
from tests.helpers import QUERY
from sansio_moondream import Endpoint

adapter = next(adapter for adapter in adapters.ADAPTERS if adapter.name == {name!r})
kept = []

async def main():
    context = adapter.transport()
    transport = await context.__aenter__()
    stream = adapter.client(transport, Endpoint(url={url!r})).stream(QUERY)
    kept.extend((context, stream))
    await stream.__aenter__()
    for _ in range(5):
        await anext(stream)
    {then}

{catch}
"""


@each_adapter
def test_interrupted_by_the_user(adapter: Adapter) -> None:
    """A real SIGINT, while it waits for bytes."""
    program = _PROGRAM.replace("{then}", "async with context_of(stream): await anext(stream)")
    text = f"""
import contextlib

@contextlib.asynccontextmanager
async def context_of(stream):
    try:
        yield
    finally:
        await stream.aclose()
        await kept[0].__aexit__(None, None, None)
{program}"""
    catch = """
try:
    adapter.run(main)
except KeyboardInterrupt:
    print("interrupted")
"""

    processes: list[subprocess.Popen[str]] = []

    def script(peer: Peer) -> None:
        peer.answer(*F1)
        assert not peer.is_closed_within(0.3)
        processes[0].send_signal(2)
        peer.wait_until_closed()

    with serving(script) as server, started_program(text, adapter, server, catch) as process:
        processes.append(process)
        out, err = process.communicate(timeout=20)
    assert (out, err, process.returncode) == ("interrupted\n", "", 0)


@each_adapter
def test_a_program_that_leaves_a_stream_open_ends(adapter: Adapter) -> None:
    with (
        serving() as server,
        started_program(
            _PROGRAM.replace("{then}", "pass"), adapter, server, "adapter.run(main)"
        ) as process,
    ):
        _, err = process.communicate(timeout=20)
    assert process.returncode == 0, err
    if adapter.name not in (
        "httpx2-asyncio",
        "httpx-asyncio",
    ):  # asyncio reports that their nested generators end in any order
        assert "Traceback" not in err


@each_adapter
def test_a_program_that_closes_everything_warns_of_nothing(adapter: Adapter) -> None:
    then = "await stream.aclose(); await context.__aexit__(None, None, None)"
    with (
        serving() as server,
        started_program(
            _PROGRAM.replace("{then}", then), adapter, server, "adapter.run(main)"
        ) as process,
    ):
        assert process.communicate(timeout=20) == ("", "")
    assert process.returncode == 0


@contextmanager
def started_program(
    text: str, adapter: Adapter, server: FaultServer, catch: str
) -> Iterator[subprocess.Popen[str]]:
    program = (
        text.replace("{name!r}", repr(adapter.name))
        .replace("{url!r}", repr(server.url))
        .replace("{catch}", catch)
    )
    command = [sys.executable, "-W", "always", "-c", program]
    root = Path(__file__).parents[2]
    with subprocess.Popen(
        command, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=root
    ) as process:
        try:
            yield process
        finally:
            process.kill()
