"""AnyioTransport: what is its own.

What all transports share is tested in the modules beside this one.
"""

from __future__ import annotations

import gc
import socket
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from time import monotonic
from typing import Any

import pytest

from moondream_transports import AnyioTransport, Timeouts
from moondream_transports.conformance._certificates import client_tls, server_tls
from moondream_transports.conformance._fault_server import (
    LAST_CHUNK,
    PATIENCE,
    FaultServer,
    Peer,
    Script,
    chunk,
    head,
)
from moondream_transports.conformance._faults import (
    DELTAS,
    F1,
    F1_AT_ONCE,
    LARGE,
    WORDS,
    answers,
    sized,
    wait,
)
from moondream_transports.conformance._secrets import KEY
from sansio_moondream import (
    ConnectError,
    ConnectionLost,
    Endpoint,
    HTTPRequest,
    MoondreamError,
    PayloadTooLargeError,
    TLSError,
)
from tests.helpers import END, QUERY

from .adapters import ADAPTERS, Adapter, assert_no_key

each_adapter = pytest.mark.parametrize(
    "adapter",
    [adapter for adapter in ADAPTERS if adapter.name.startswith("anyio-")],
    ids=lambda adapter: adapter.name,
)
TEXT = "".join(WORDS)
WHOLE = (*F1, chunk(END), LAST_CHUNK)
TIMEOUTS = Timeouts()


def again_and_again(*segments: bytes) -> Script:
    """One answer after the other on each connection, until the client closes it."""

    def script(peer: Peer) -> None:
        while peer.sock.recv(1, socket.MSG_PEEK):
            peer.answer(*segments)

    return script


@contextmanager
def served(*scripts: Script) -> Iterator[FaultServer]:
    """A server with a script for each connection; the last one is for all that follow."""
    left = list(scripts)

    def script(peer: Peer) -> None:
        (left.pop(0) if len(left) > 1 else left[0])(peer)

    with FaultServer(script) as server:
        yield server


def run(
    adapter: Adapter, main: Callable[[AnyioTransport], Awaitable[None]], **options: Any
) -> None:
    async def opened() -> None:
        async with AnyioTransport(**options) as transport:
            await main(transport)

    adapter.run(opened)


async def ask(adapter: Adapter, transport: AnyioTransport, server: FaultServer) -> str:
    result = await adapter.client(transport, Endpoint(url=server.url)).send(QUERY)
    return result.text


def request_to(server: FaultServer) -> HTTPRequest:
    return QUERY.to_http(Endpoint(url=server.url))


@each_adapter
class TestPool:
    def test_fifty_exchanges_on_one_connection(self, adapter: Adapter) -> None:
        async def main(transport: AnyioTransport) -> None:
            assert {await ask(adapter, transport, server) for _ in range(50)} == {TEXT}

        with FaultServer(again_and_again(*WHOLE)) as server:
            run(adapter, main)
        assert server.connections == 1

    def test_fifty_exchanges_with_tls(self, adapter: Adapter) -> None:
        async def main(transport: AnyioTransport) -> None:
            assert {await ask(adapter, transport, server) for _ in range(50)} == {TEXT}

        def script(peer: Peer) -> None:
            for _ in range(50):
                peer.answer(*WHOLE)
            peer.wait_until_closed()

        with FaultServer(script, ssl_context=server_tls("localhost")) as server:
            run(adapter, main, ssl_context=client_tls())
        assert server.connections == 1

    @pytest.mark.parametrize(
        "then", [lambda peer: None, Peer.reset, lambda peer: peer.send(b"HTTP/1.1 408 \r\n\r\n")]
    )
    def test_the_server_closes_or_speaks_in_between(
        self, adapter: Adapter, then: Callable[[Peer], None]
    ) -> None:
        async def main(transport: AnyioTransport) -> None:
            assert await ask(adapter, transport, server) == TEXT
            server.saw_event()
            await adapter.until(lambda: not server.is_busy(), "the server to close")
            await adapter.sleep(0.01)  # for the event loop to see it
            assert await ask(adapter, transport, server) == TEXT

        def script(peer: Peer) -> None:
            peer.answer(*WHOLE)
            peer.wait_for_event()
            then(peer)

        with served(script, again_and_again(*WHOLE)) as server:
            run(adapter, main)
        assert server.connections == 2

    def test_tls_holds_a_second_response(self, adapter: Adapter) -> None:
        """It came with the first, in a record of its own: the system knows nothing of it."""

        async def main(transport: AnyioTransport) -> None:
            assert [await ask(adapter, transport, server) for _ in range(2)] == [TEXT, TEXT]

        def script(peer: Peer) -> None:
            peer.read_request()
            incoming, outgoing = peer.sock, b"".join(WHOLE)
            incoming.setsockopt(socket.IPPROTO_TCP, socket.TCP_CORK, 1)
            peer.send(outgoing)
            peer.send(sized(b"not yours"))
            incoming.setsockopt(socket.IPPROTO_TCP, socket.TCP_CORK, 0)
            peer.wait_until_closed()

        with FaultServer(script, ssl_context=server_tls("localhost")) as server:
            run(adapter, main, ssl_context=client_tls())
        assert server.connections == 2

    def test_a_request_on_a_connection_that_dies_is_sent_once(self, adapter: Adapter) -> None:
        async def main(transport: AnyioTransport) -> None:
            assert await ask(adapter, transport, server) == TEXT
            with pytest.raises(ConnectionLost):
                await ask(adapter, transport, server)
            assert await ask(adapter, transport, server) == TEXT

        def script(peer: Peer) -> None:
            peer.answer(*WHOLE)
            peer.read_request()

        with served(script, again_and_again(*WHOLE)) as server:
            run(adapter, main)
        assert server.connections == 2

    def test_two_servers(self, adapter: Adapter) -> None:
        async def main(transport: AnyioTransport) -> None:
            for server in (one, other, one, other):
                assert await ask(adapter, transport, server) == TEXT

        with (
            FaultServer(again_and_again(*WHOLE)) as one,
            FaultServer(again_and_again(*WHOLE)) as other,
        ):
            run(adapter, main)
        assert (one.connections, other.connections) == (1, 1)

    def test_keeps_as_many_as_it_is_told(self, adapter: Adapter) -> None:
        async def main(transport: AnyioTransport) -> None:
            for _ in range(2):
                streams = [await transport.send(request_to(server), TIMEOUTS) for _ in range(3)]
                for stream in streams:
                    while await stream.read(5):
                        pass
                    await stream.aclose()
                    await stream.aclose()

        with FaultServer(again_and_again(*WHOLE)) as server:
            run(adapter, main, max_idle=2)
        assert server.connections == 4

    @pytest.mark.parametrize("options", [{"idle_seconds": 0.05}, {"max_idle": 0}])
    def test_keeps_none_for_too_long(self, adapter: Adapter, options: dict[str, Any]) -> None:
        async def main(transport: AnyioTransport) -> None:
            assert await ask(adapter, transport, server) == TEXT
            await adapter.sleep(0.1)
            assert await ask(adapter, transport, server) == TEXT

        with FaultServer(again_and_again(*WHOLE)) as server:
            run(adapter, main, **options)
        assert server.connections == 2

    def test_closed_transport_keeps_none(self, adapter: Adapter) -> None:
        async def main(transport: AnyioTransport) -> None:
            stream = await transport.send(request_to(server), TIMEOUTS)
            await transport.aclose()
            while await stream.read(5):
                pass
            await stream.aclose()
            assert await ask(adapter, transport, server) == TEXT
            await transport.aclose()

        with FaultServer(again_and_again(*WHOLE)) as server:
            run(adapter, main)
        assert server.connections == 2

    def test_is_whole_after_cancellations(self, adapter: Adapter) -> None:
        async def main(transport: AnyioTransport) -> None:
            async def read() -> None:
                stream = await transport.send(request_to(server), TIMEOUTS)
                try:
                    while True:
                        await stream.read(5)
                        server.saw_event()
                finally:
                    await stream.aclose()

            async def read_and_cancel(cancel: Callable[[], object]) -> None:
                async def cancel_it() -> None:
                    await adapter.until(is_read.is_set, "the beginning to be read")
                    cancel()

                await adapter.all_of([read, cancel_it])

            assert await ask(adapter, transport, server) == TEXT
            await adapter.cancelled(read_and_cancel)
            assert [await ask(adapter, transport, server) for _ in range(3)] == [TEXT] * 3

        def script(peer: Peer) -> None:
            peer.answer(*WHOLE)
            peer.answer(*F1)
            peer.wait_for_event()
            is_read.set()
            peer.wait_until_closed()

        is_read = threading.Event()
        with served(script, again_and_again(*WHOLE)) as server:
            run(adapter, main)
        assert server.connections == 2


@each_adapter
class TestDeadlines:
    def test_of_one_read_are_exact(self, adapter: Adapter) -> None:
        """The next may be sooner or later than the one before it, and bytes that are no body do not
        put it off.
        """

        async def main(transport: AnyioTransport) -> None:
            stream = await transport.send(request_to(server), TIMEOUTS)
            for timeout in (30, None, 5):
                server.saw_event()
                assert await stream.read(timeout)
            began = monotonic()
            with pytest.raises(TimeoutError) as caught:
                await stream.read(0.3)
            assert not isinstance(caught.value, MoondreamError)
            assert 0.29 < monotonic() - began < PATIENCE / 2
            await stream.aclose()

        def script(peer: Peer) -> None:
            peer.answer(head())
            for data in DELTAS[:3]:
                peer.wait_for_event()
                peer.send(chunk(data))
            peer.send(b"5;")
            peer.send_for_ever(b"x", 0.05)

        with FaultServer(script) as server:
            run(adapter, main)

    def test_of_a_late_read(self, adapter: Adapter) -> None:
        """The alarm of an earlier read goes off while nobody waits, and the next one is as exact."""

        async def main(transport: AnyioTransport) -> None:
            stream = await transport.send(request_to(server), TIMEOUTS)
            left = sum(map(len, DELTAS))
            while left:
                left -= len(await stream.read(1))
            await adapter.sleep(1.1)
            began = monotonic()
            with pytest.raises(TimeoutError):
                await stream.read(0.2)
            assert 0.19 < monotonic() - began < PATIENCE / 2
            await stream.aclose()

        with FaultServer(answers(F1_AT_ONCE, then=wait)) as server:
            run(adapter, main)

    def test_of_the_head_counts_from_the_connection(self, adapter: Adapter) -> None:
        async def main(transport: AnyioTransport) -> None:
            for timeouts in (Timeouts(first_event=0.2), Timeouts(total=0.2)):
                began = monotonic()
                with pytest.raises(TimeoutError):
                    await transport.send(request_to(server), timeouts)
                assert 0.19 < monotonic() - began < PATIENCE / 2

        with FaultServer(answers(then=wait)) as server:
            run(adapter, main)


@each_adapter
def test_413_while_sending_with_tls(adapter: Adapter) -> None:
    async def main(transport: AnyioTransport) -> None:
        client = adapter.client(transport, Endpoint(url=server.url))
        with pytest.raises(PayloadTooLargeError):
            await client.send(LARGE)

    def script(peer: Peer) -> None:
        peer.sock.recv(1000)
        peer.send(sized(b"{}", status_code=413, kind="application/json"))

    with FaultServer(script, ssl_context=server_tls("localhost")) as server:
        run(adapter, main, ssl_context=client_tls())


@each_adapter
def test_an_answer_that_begins_while_the_request_is_sent(adapter: Adapter) -> None:
    """It is whole, and the request goes out whole; more than is read beforehand waits for its turn."""
    words = chunk(DELTAS[0]) * 5000

    async def main(transport: AnyioTransport) -> None:
        stream = adapter.client(transport, Endpoint(url=server.url)).stream(LARGE)
        async with stream:
            assert (await stream.result()).text == WORDS[0] * 5000

    def script(peer: Peer) -> None:
        peer.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 64 * 1024)
        peer.send(head() + words)
        peer.answer(chunk(END), LAST_CHUNK)

    with FaultServer(script) as server:
        run(adapter, main)


@each_adapter
@pytest.mark.parametrize(
    ("script", "error"),
    [(lambda peer: None, TLSError), (Peer.reset, ConnectError)],
    ids=["closes", "resets"],
)
def test_tls_handshake_is_cut(
    adapter: Adapter, script: Script, error: type[MoondreamError]
) -> None:
    def cut(peer: Peer) -> None:
        peer.sock.recv(65536)
        script(peer)

    async def main(transport: AnyioTransport) -> None:
        with pytest.raises(error) as caught:
            await transport.send(
                QUERY.to_http(Endpoint(url=server.url.replace("http:", "https:"))), TIMEOUTS
            )
        assert caught.value.__cause__ is not None

    with FaultServer(cut) as server:
        run(adapter, main)


@each_adapter
def test_cancelled_in_the_tls_handshake_and_in_a_tunnel(adapter: Adapter) -> None:
    async def main(transport: AnyioTransport) -> None:
        await adapter.cancelled_after(0.1, lambda: transport.send(https, TIMEOUTS))

    with FaultServer(wait) as server:
        https = QUERY.to_http(Endpoint(url=server.url.replace("http:", "https:")))
        run(adapter, main)
        run(adapter, main, proxy=f"http://localhost:{server.port}")
    assert server.connections == 2


@each_adapter
def test_proxy_keeps_connections(adapter: Adapter) -> None:
    async def main(transport: AnyioTransport) -> None:
        client = adapter.client(transport, Endpoint(url="http://moondream.test/v1"))
        assert [(await client.send(QUERY)).text for _ in range(3)] == [TEXT] * 3

    with FaultServer(again_and_again(*WHOLE)) as server:
        run(adapter, main, proxy=f"http://localhost:{server.port}")
    assert server.connections == 1


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
def test_refused_tunnel_tells_no_password(adapter: Adapter) -> None:
    async def main(transport: AnyioTransport) -> None:
        client = adapter.client(transport, Endpoint(url="https://moondream.test/v1"))
        with pytest.raises(ConnectError, match="407") as caught:
            await client.send(QUERY)
        assert_no_key(caught.value, repr(transport))

    with FaultServer(answers(f"HTTP/1.1 407 {KEY}\r\n\r\n".encode())) as server:
        run(adapter, main, proxy=f"http://user:{KEY}@localhost:{server.port}")


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
