"""Streams that are forgotten, scopes of anyio, and whole programs: what of leaving a stream the
conformance kit does not check.
"""

from __future__ import annotations

import gc
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import ExitStack, contextmanager
from importlib.metadata import version
from pathlib import Path
from time import monotonic
from typing import Any

import pytest

from moondream_transports.conformance._certificates import client_tls, server_tls
from moondream_transports.conformance._descriptors import open_sockets
from moondream_transports.conformance._fault_server import FaultServer, Peer, Script
from moondream_transports.conformance._faults import EVENTS, F1, WHOLE_BODY, answers, sized, wait
from sansio_moondream import Endpoint, MoondreamError
from tests.helpers import QUERY
from tests.transports.adapters import LONGEST_WAIT

from .adapters import ADAPTERS, Adapter, each_adapter

SILENT = answers(*F1, then=wait)  # five events, then nothing until the client closes
each_async_adapter = pytest.mark.parametrize(
    "adapter", [d for d in ADAPTERS if d.is_async], ids=lambda adapter: adapter.name
)


@contextmanager
def serving(script: Script = SILENT) -> Iterator[FaultServer]:
    """A server that has seen its connections closed at once when the block ends."""
    with ExitStack() as stack:
        server = stack.enter_context(FaultServer(script))
        yield server
        left_at = monotonic()
        stack.close()
        assert monotonic() - left_at < LONGEST_WAIT / 2


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
        await adapter.until(closed.is_set, "the connection to be closed")

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
        with anyio.CancelScope() as scope:
            async with client.stream(QUERY) as stream:
                await take(stream, 5)
                scope.deadline = anyio.current_time() + 0.1
                await anext(stream)
        assert scope.cancelled_caught
        with anyio.CancelScope() as scope:
            async with client.stream(QUERY) as stream:
                await take(stream, 1)
                scope.cancel()

    with serving() as server:
        run(adapter, main, server)


@each_adapter
@pytest.mark.parametrize("protocol", ["http/1.1", "h2"])
def test_tls_is_closed_without_waiting_for_the_server(adapter: Adapter, protocol: str) -> None:
    """The server does not answer the end of TLS, so a polite close leaves the socket open."""

    async def main() -> None:
        async with adapter.transport(ssl_context=context) as transport:
            client = adapter.client(transport, Endpoint(url=server.url))
            if protocol == "http/1.1":
                assert (await client.send(QUERY)).text == "The moon over the sea"
            else:
                with pytest.raises(MoondreamError):
                    await client.send(QUERY)

    def script(peer: Peer) -> None:
        if protocol == "http/1.1":
            answers(sized(WHOLE_BODY, connection="close"))(peer)
        peer.wait_for_event()

    context, tls = client_tls(), server_tls("localhost")
    context.set_alpn_protocols(["h2", "http/1.1"])
    tls.set_alpn_protocols([protocol])
    with FaultServer(script, ssl_context=tls) as server:
        before = open_sockets()
        if protocol == "h2" and "httpx" in adapter.name:
            server.saw_event()  # it speaks HTTP/2, which nobody answers here
        adapter.run(main)
        left = open_sockets() - before
        server.saw_event()
    assert len(left) <= 1  # the server's side of the connection


@pytest.mark.usefixtures("interruptible")
@pytest.mark.parametrize("backend", ["sync", "asyncio", "trio"])
def test_whole_programs(backend: str) -> None:
    """Closing everything warns of nothing, SIGINT ends a wait for bytes, and a stream that is left
    open does not keep a program alive.
    """
    names = [adapter.name for adapter in ADAPTERS if adapter.backend == backend]
    said: list[str] = []
    with serving() as server, started(backend, server.url) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        for line in process.stdout:
            said.append(line.rstrip())
            if line.startswith("waits "):
                process.send_signal(signal.SIGINT)
        errors = process.stderr.read()
    assert process.returncode == 0, errors
    closed = [f"{step} {name}" for name in names for step in ("closed", "waits", "interrupted")]
    left_open = [f"left open {name}" for name in names]
    assert said == closed + left_open
    begun = "".join(f"{step}\n" for step in closed)
    assert errors.startswith(begun), errors
    *steps, at_exit = re.split(r"^left open .*\n", errors.removeprefix(begun), flags=re.MULTILINE)
    for name, shown in zip(names, steps, strict=True):
        if name not in reported_generators():
            assert "Traceback" not in shown
    assert "Traceback" not in at_exit


def reported_generators() -> set[str]:
    """The adapters whose library nests generators that end in any order. The event loop reports it:
    asyncio always, trio with httpcore2 before 2.13.
    """
    major, minor, *_ = version("httpcore2").split(".")
    on_trio = {"httpx2-trio"} if (int(major), int(minor)) < (2, 13) else set()
    return {"httpx2-asyncio", "httpx-asyncio"} | on_trio


@contextmanager
def started(backend: str, url: str) -> Iterator[subprocess.Popen[str]]:
    command = [
        sys.executable,
        "-W",
        "always",
        "-m",
        "tests.transports.lifecycle_program",
        backend,
        url,
    ]
    root = Path(__file__).parents[2]
    with subprocess.Popen(
        command, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=root
    ) as process:
        watchdog = threading.Timer(120, process.kill)
        watchdog.start()
        try:
            yield process
            process.wait()
        finally:
            watchdog.cancel()
            process.kill()
