"""HTTP/2, with hypercorn as the server."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib import import_module
from time import monotonic
from typing import Any

import pytest

from moondream_transports import AsyncClient, AsyncHttpxTransport, Client, HttpxTransport, Timeouts
from moondream_transports.conformance._certificates import server_tls
from moondream_transports.conformance._fault_server import (
    FaultServer,
)
from moondream_transports.conformance._faults import (
    DELTAS,
    EVENTS,
    answers,
)
from sansio_moondream import (
    ConnectionLost,
    Endpoint,
    IdleTimeout,
)
from tests.helpers import END, QUERY
from tests.transports.adapters import LONGEST_WAIT
from tests.transports.httpx.clients import (
    KEY,
    TEXT,
    TLS,
    Run,
    connections,
    each_loop,
    httpx,
    httpx2,
)


def listens(port: int) -> bool:
    with (
        suppress(ConnectionRefusedError),
        socket.create_connection(("127.0.0.1", port), LONGEST_WAIT),
    ):
        return True
    return False


# HTTP/2
class HTTP2Server:
    """hypercorn with an app that sends an event, then waits until the test has it."""

    def __init__(self) -> None:
        self.seen = threading.Semaphore(0)
        self.requests: list[tuple[str, bytes]] = []

    async def app(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":  # lifespan: not wanted
            raise NotImplementedError
        body, more = b"", True
        while more:
            message = await receive()
            body, more = body + message["body"], message["more_body"]
        self.requests.append((scope["http_version"], body))
        await send(
            {
                "type": "http.response.start",
                "status": 200,
                "headers": [(b"content-type", b"text/event-stream")],
            }
        )
        for data in DELTAS:
            await send({"type": "http.response.body", "body": data, "more_body": True})
            if not await asyncio.to_thread(self.seen.acquire, timeout=LONGEST_WAIT):
                return
        await send({"type": "http.response.body", "body": END, "more_body": False})

    @contextmanager
    def running(self) -> Iterator[str]:
        hypercorn = pytest.importorskip("hypercorn")
        serve = import_module("hypercorn.asyncio").serve
        with FaultServer(answers()) as unused:
            pass
        config = hypercorn.Config()
        config.bind, config.alpn_protocols, config.errorlog = (
            [f"127.0.0.1:{unused.port}"],
            ["h2"],
            None,
        )
        tls = server_tls("localhost")
        tls.set_alpn_protocols(["h2"])
        config.certfile = config.keyfile = "in memory"
        config.create_ssl_context = lambda: tls
        loop, stop = asyncio.new_event_loop(), asyncio.Event()

        async def main() -> None:
            await serve(self.app, config, shutdown_trigger=stop.wait)

        thread = threading.Thread(target=loop.run_until_complete, args=(main(),))
        thread.start()
        try:
            end = monotonic() + LONGEST_WAIT
            while not listens(unused.port):
                assert monotonic() < end
            yield f"https://localhost:{unused.port}/v1"
        finally:
            loop.call_soon_threadsafe(stop.set)
            thread.join(10)
            loop.close()


def test_http2() -> None:
    server = HTTP2Server()
    with server.running() as url:
        for library in (httpx2, httpx):
            with library.Client(trust_env=False, verify=TLS, http2=True) as client:
                ours = Client(
                    HttpxTransport(client),
                    Endpoint(url=url, api_key=KEY),
                    timeouts=Timeouts(connect=5, first_event=5, idle=5),
                )
                for leaves in (False, True, False):
                    with ours.stream(QUERY) as stream:
                        assert stream.snapshot is not None
                        for event in EVENTS:
                            assert next(stream) == event
                            server.seen.release(
                                3
                            )  # as below: an exchange that was left takes one more
                            if leaves:
                                break
                        if not leaves:
                            assert stream.result().text == TEXT
                    if leaves:
                        server.seen.release(4)
                assert len(connections(client)) == 1


@each_loop
def test_http2_async(run: Run) -> None:
    """Three on one connection: one is left, one passes its deadline, the other one is whole."""
    server = HTTP2Server()

    async def main() -> None:
        for library in (httpx2, httpx):
            async with library.AsyncClient(trust_env=False, verify=TLS, http2=True) as client:
                transport, endpoint = AsyncHttpxTransport(client), Endpoint(url=url, api_key=KEY)
                ours, impatient = (
                    AsyncClient(transport, endpoint),
                    AsyncClient(transport, endpoint, timeouts=Timeouts(idle=0.1)),
                )
                async with ours.stream(QUERY) as stream:
                    assert await anext(stream) == EVENTS[0]
                    async with impatient.stream(QUERY) as late:
                        with pytest.raises(IdleTimeout):
                            await late.result()
                    async with ours.stream(QUERY) as left:
                        assert await anext(left) == EVENTS[0]
                    server.seen.release(
                        99
                        # more than needed: threads of exchanges that were left still wait, and take
                        # some
                    )
                    assert (await stream.result()).text == TEXT
                assert len(connections(client)) == 1
                while server.seen.acquire(blocking=False):
                    pass

    with server.running() as url:
        run(main)
    assert {version for version, _ in server.requests} == {"2"}


def test_closed_by_a_signal_handler() -> None:
    """It cannot wake the read below it, and must not wait for it. The read closes when it ends."""

    def interrupt() -> None:
        os.kill(os.getpid(), signal.SIGUSR1)
        server.seen.release()

    server = HTTP2Server()
    before = signal.signal(signal.SIGUSR1, lambda *_: stream.close())
    try:
        with server.running() as url, httpx2.Client(http2=True, verify=TLS) as client:
            request = QUERY.to_http(Endpoint(url=url))
            stream = HttpxTransport(client).send(request, Timeouts())
            assert stream.read(LONGEST_WAIT) == DELTAS[0]
            interrupting = threading.Timer(0.2, interrupt)  # by then the read waits
            interrupting.start()
            with suppress(ConnectionLost):
                assert stream.read(LONGEST_WAIT) == DELTAS[1]
            interrupting.join()
            with pytest.raises(ConnectionLost, match="closed while it was read"):
                stream.read(LONGEST_WAIT)
            for _ in DELTAS:
                server.seen.release()
    finally:
        signal.signal(signal.SIGUSR1, before)
