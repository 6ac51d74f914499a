"""What only AnyioTransport has. The rest is in `http11/`, and in the tests of all transports."""

from __future__ import annotations

import gc
import ssl
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest

from moondream_transports import AnyioTransport, AsyncClient, Timeouts
from moondream_transports._http11.streams import AnyioBackend
from moondream_transports.conformance._certificates import client_tls
from moondream_transports.conformance._fault_server import FaultServer, Peer
from moondream_transports.conformance._faults import F1, LARGE, answers, sized, wait
from moondream_transports.conformance._secrets import KEY
from sansio_moondream import Endpoint, HTTPRequest, PayloadTooLargeError
from tests.helpers import QUERY

from .adapters import ADAPTERS, LONGEST_WAIT, Adapter
from .http11.exchanges import TEXT, WHOLE, ask, run, until

each_adapter = pytest.mark.parametrize(
    "adapter",
    [adapter for adapter in ADAPTERS if adapter.name.startswith("anyio-")],
    ids=lambda adapter: adapter.name,
)


def request_to(server: FaultServer, scheme: str) -> HTTPRequest:
    return QUERY.to_http(Endpoint(url=server.url.replace("http:", f"{scheme}:")))


@each_adapter
def test_the_pool_is_whole_after_cancellations(adapter: Adapter) -> None:
    async def main(transport: AnyioTransport) -> None:
        async def read(cancel: Callable[[], object]) -> None:
            stream = await transport.send(request_to(server, "http"), Timeouts())
            try:
                while await stream.read(5):
                    cancel()
            finally:
                await stream.aclose()

        assert await ask(adapter, transport, server) == TEXT
        await adapter.cancelled(read)
        assert [await ask(adapter, transport, server) for _ in range(3)] == [TEXT] * 3

    def script(peer: Peer) -> None:
        if peer.number == 1:
            peer.answer(*WHOLE)
            peer.answer(*F1)
            peer.wait_until_closed()
        else:
            for _ in range(3):
                peer.answer(*WHOLE)

    with FaultServer(script) as server:
        run(adapter, main)
    assert server.connections == 2


@each_adapter
def test_cancelled_in_the_tls_handshake_and_in_a_tunnel(adapter: Adapter) -> None:
    async def main(transport: AnyioTransport) -> None:
        await adapter.cancelled_after(
            1, lambda: transport.send(request_to(server, "https"), Timeouts())
        )

    with FaultServer(wait) as server:
        run(adapter, main)
        run(adapter, main, proxy=f"http://localhost:{server.port}")
    assert server.connections == 2


@each_adapter
def test_nobody_keeps_a_body_that_is_sent(adapter: Adapter) -> None:
    """It may be large, and the head may be awaited for a minute."""
    bodies, holders, unused = list[bytes](), list[int](), [bytes(bytearray(1000))]

    async def main(transport: AnyioTransport) -> None:
        class Noting:
            async def send(self, request: HTTPRequest, timeouts: Timeouts) -> Any:
                bodies.append(request.body)
                sending = transport.send(request, timeouts)
                del request
                return await sending

        result = await AsyncClient(Noting(), Endpoint(server.url)).send(QUERY)
        assert result.text == TEXT

    def script(peer: Peer) -> None:
        holders.append(sys.getrefcount(bodies[0]))
        peer.answer(*WHOLE)

    with FaultServer(script) as server:
        run(adapter, main)
    assert holders == [sys.getrefcount(unused[0])]


@each_adapter
def test_bytes_before_the_tls_handshake(adapter: Adapter) -> None:
    """A proxy may not speak for the server."""

    async def main() -> None:
        connection = await AnyioBackend().connect("localhost", server.port, 10)
        await until(adapter, connection.is_readable)
        for _ in range(3):  # the event loop may read them meanwhile
            await adapter.sleep(0)
        with pytest.raises(ssl.SSLError):
            await connection.start_tls(client_tls(), "localhost", 10)
        await connection.aclose()

    def script(peer: Peer) -> None:
        peer.send(WHOLE[0])
        peer.wait_until_closed()

    with FaultServer(script) as server:
        adapter.run(main)


def test_bytes_that_come_with_the_timeout() -> None:
    """They are returned, and their connection can be used again."""
    adapter = next(adapter for adapter in ADAPTERS if adapter.name == "anyio-asyncio")

    async def main() -> None:
        connection = await AnyioBackend().connect("localhost", server.port, 10)
        await until(adapter, connection.is_readable)
        # Both are due in the same step of the event loop, which looks at sockets first.
        assert await connection.read(0) == b"late"
        assert not connection.is_readable()
        with pytest.raises(TimeoutError):
            await connection.read(0)
        await connection.aclose()

    def script(peer: Peer) -> None:
        peer.send(b"late")
        peer.wait_until_closed()

    with FaultServer(script) as server:
        adapter.run(main)


@each_adapter
def test_an_answer_that_comes_before_a_write_that_fails(adapter: Adapter) -> None:
    """The event loop has seen that it can write when the server answers and resets."""
    may_read, has_read, may_answer, has_closed = (threading.Event() for _ in range(4))

    async def main(transport: AnyioTransport) -> None:
        async def block() -> None:
            await adapter.sleep(0.1)  # the request does not fit into the buffers
            may_read.set()
            assert has_read.wait(LONGEST_WAIT)
            await adapter.sleep(0)
            may_answer.set()
            assert has_closed.wait(LONGEST_WAIT)

        async def send() -> None:
            with pytest.raises(PayloadTooLargeError):
                await adapter.client(transport, Endpoint(url=server.url)).send(LARGE)

        await adapter.together(send, block)

    def script(peer: Peer) -> None:
        assert may_read.wait(LONGEST_WAIT)
        peer.sock.settimeout(0.1)
        with suppress(TimeoutError):
            while peer.sock.recv(1024 * 1024):
                pass
        has_read.set()
        assert may_answer.wait(LONGEST_WAIT)
        peer.sock.sendall(sized(b"{}", status_code=413, kind="application/json"))
        peer.reset()
        has_closed.set()

    with FaultServer(script) as server:
        run(adapter, main)


@pytest.mark.parametrize(
    "proxy",
    [
        f"socks5://user:{KEY}@localhost:1",
        f"http://user:{KEY}@",
        f"http://user:pass@localhost:{KEY}",
        f"http://[{KEY}",
        "",
    ],
)
def test_proxy_that_is_none(proxy: str) -> None:
    with pytest.raises(ValueError, match="proxy should be") as caught:
        AnyioTransport(proxy=proxy)
    assert KEY not in str(caught.value)
    assert KEY not in repr(caught.value.__context__)


@each_adapter
def test_never_closed_does_not_hang(adapter: Adapter) -> None:
    async def main() -> None:
        transport = AnyioTransport()
        kept.append([transport])
        kept[0].append(kept[0])  # for the collector to find it below, not before
        assert await ask(adapter, transport, server) == TEXT

    kept: list[list[Any]] = []
    with FaultServer(answers(*WHOLE)) as server:  # it closes first
        adapter.run(main)
    kept.clear()
    with pytest.warns(ResourceWarning):
        gc.collect()  # on asyncio it is a cycle
