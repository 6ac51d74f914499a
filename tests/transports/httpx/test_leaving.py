"""What becomes of the connection when a stream is left."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
from importlib import import_module
from typing import Any

import pytest

from moondream_transports import AsyncClient, AsyncHttpxTransport, Client, HttpxTransport, Timeouts
from moondream_transports.conformance._certificates import server_tls
from moondream_transports.conformance._fault_server import (
    FaultServer,
    Peer,
)
from moondream_transports.conformance._faults import (
    DELTAS,
    EVENTS,
    F1,
    answers,
    wait,
)
from sansio_moondream import (
    ConnectionLost,
    Endpoint,
)
from tests.helpers import QUERY
from tests.transports.adapters import LONGEST_WAIT
from tests.transports.httpx.clients import (
    TEXT,
    TLS,
    WHOLE,
    Run,
    connections,
    each_library,
    each_loop,
    trio,
)


# Leaving
@each_library
@pytest.mark.parametrize("tls", [False, True], ids=["http", "https"])
def test_closed_by_another_thread(library: Any, tls: bool) -> None:
    with (
        FaultServer(
            answers(*F1, then=wait), ssl_context=server_tls("localhost") if tls else None
        ) as server,
        library.Client(trust_env=False, verify=TLS) as client,
    ):
        with Client(HttpxTransport(client), Endpoint(url=server.url)).stream(QUERY) as stream:
            assert [next(stream) for _ in EVENTS] == EVENTS
            closing = threading.Timer(1, stream.close)  # by then the read waits
            closing.start()
            with pytest.raises(ConnectionLost):
                next(stream)
            closing.join()
        assert connections(client) == []


@each_library
@pytest.mark.parametrize("tls", [False, True], ids=["http", "https"])
def test_closed_by_a_signal_handler(library: Any, tls: bool) -> None:
    """It runs in the thread that reads, and must not wait for it."""

    def script(peer: Peer) -> None:
        peer.answer(*F1)
        for _ in EVENTS:
            peer.wait_for_event()
        os.kill(os.getpid(), signal.SIGUSR1)
        peer.wait_until_closed()

    before = signal.signal(signal.SIGUSR1, lambda *_: stream.close())
    try:
        with (
            FaultServer(script, ssl_context=server_tls("localhost") if tls else None) as server,
            library.Client(trust_env=False, verify=TLS) as client,
        ):
            stream = HttpxTransport(client).send(
                QUERY.to_http(Endpoint(url=server.url)), Timeouts()
            )
            came = b""
            while DELTAS[-1] not in came:
                came += stream.read(LONGEST_WAIT)
            for _ in EVENTS:
                server.saw_event()
            with pytest.raises(ConnectionLost, match="closed while it was read"):
                stream.read(60)
            assert connections(client) == []
            with pytest.raises(ConnectionLost):
                stream.read(60)
            stream.close()
    finally:
        signal.signal(signal.SIGUSR1, before)


@each_library
@each_loop
def test_closed_by_another_task(library: Any, run: Run) -> None:
    anyio = import_module("anyio")

    async def main() -> None:
        async with library.AsyncClient(trust_env=False, verify=TLS) as client:
            stream = await AsyncHttpxTransport(client).send(
                QUERY.to_http(Endpoint(url=server.url)), Timeouts()
            )
            async with anyio.create_task_group() as tasks:
                while (await stream.read(5)) != DELTAS[-1]:
                    pass

                async def close() -> None:
                    await anyio.wait_all_tasks_blocked()
                    await stream.aclose()

                tasks.start_soon(close)
                with pytest.raises(ConnectionLost):
                    await stream.read(5)
            assert connections(client) == []

    with FaultServer(answers(*F1, then=wait)) as server:
        run(main)


@each_library
@each_loop
@pytest.mark.parametrize("phase", ["connecting", "head", "upload", "body", "between"])
def test_cancelled_scopes_leave_the_pool_whole(library: Any, run: Run, phase: str) -> None:
    """The scope is cancelled when the exchange is in this phase, and waits."""
    anyio = import_module("anyio")
    body = b"A" * (20_000_000 if phase == "upload" else 2)

    def script(peer: Peer) -> None:
        if phase == "upload":
            peer.sock.recv(1000)
        elif phase == "head":
            peer.read_request()
        elif phase in ("body", "between"):
            peer.answer(*F1)
        reached.set()
        assert is_cancelled.wait(LONGEST_WAIT)  # without reading on
        peer.wait_until_closed()

    async def cancel(scope: Any) -> None:
        await anyio.to_thread.run_sync(reached.wait, LONGEST_WAIT)
        await anyio.wait_all_tasks_blocked()
        scope.cancel()

    async def main() -> None:
        async with library.AsyncClient(trust_env=False, verify=TLS) as client:
            request = QUERY.to_http(Endpoint(url=url))
            request = type(request)(request.method, request.url, request.headers, body)
            stream: Any = None
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(cancel, tasks.cancel_scope)
                try:
                    stream = await AsyncHttpxTransport(client).send(request, Timeouts())
                    while phase == "body":
                        await stream.read(5)
                    await stream.read(5)
                    await anyio.sleep(5)
                finally:
                    if stream is not None:
                        await stream.aclose()
            assert tasks.cancel_scope.cancelled_caught
            is_cancelled.set()
            assert connections(client) == []
            if run is not trio.run:
                await asyncio.sleep(0)
                assert asyncio.all_tasks() == {asyncio.current_task()}

    reached, is_cancelled = threading.Event(), threading.Event()
    with FaultServer(script) as server:
        url = server.url.replace("http:", "https:") if phase == "connecting" else server.url
        run(main)


@pytest.mark.usefixtures("patient_drain")
@each_library
@each_loop
def test_exchanges_use_one_connection(library: Any, run: Run) -> None:
    def script(peer: Peer) -> None:
        for _ in range(5):
            peer.answer(*WHOLE)
        peer.wait_until_closed()

    async def main() -> None:
        async with library.AsyncClient(trust_env=False, verify=TLS) as client:
            ours = AsyncClient(AsyncHttpxTransport(client), Endpoint(url=server.url))
            assert {(await ours.send(QUERY)).text for _ in range(5)} == {TEXT}
            (connection,) = connections(client)
            assert connection.is_idle()

    with FaultServer(script) as server:
        run(main)
    assert server.connections == 1
