"""How UrllibTransport and AnyioTransport keep their connections."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Callable
from typing import Any

import pytest

from moondream_transports._http11.pool import Pool
from moondream_transports._http11.route import Route
from moondream_transports.conformance._certificates import client_tls, server_tls
from moondream_transports.conformance._fault_server import (
    FaultServer,
    Peer,
)
from moondream_transports.conformance._faults import sized
from sansio_moondream import (
    ConnectionLost,
)
from tests.transports.adapters import Adapter

from .exchanges import (
    TEXT,
    TIMEOUTS,
    WHOLE,
    again_and_again,
    ask,
    close,
    each_adapter,
    request_to,
    run,
    served,
    until,
)


@each_adapter
class TestPool:
    @pytest.mark.usefixtures("patient_drain")
    def test_fifty_exchanges_on_one_connection(self, adapter: Adapter) -> None:
        async def main(transport: Any) -> None:
            assert {await ask(adapter, transport, server) for _ in range(50)} == {TEXT}

        with FaultServer(again_and_again(*WHOLE)) as server:
            run(adapter, main)
        assert server.connections == 1

    @pytest.mark.usefixtures("patient_drain")
    def test_fifty_exchanges_with_tls(self, adapter: Adapter) -> None:
        async def main(transport: Any) -> None:
            assert {await ask(adapter, transport, server) for _ in range(50)} == {TEXT}

        def script(peer: Peer) -> None:
            for _ in range(50):
                peer.answer(*WHOLE)
            peer.wait_until_closed()

        with FaultServer(script, ssl_context=server_tls("localhost")) as server:
            run(adapter, main, ssl_context=client_tls())
        assert server.connections == 1

    @pytest.mark.parametrize(
        "then",
        [
            lambda peer: peer.sock.shutdown(socket.SHUT_RDWR),
            Peer.reset,
            lambda peer: peer.send(b"HTTP/1.1 408 \r\n\r\n"),
        ],
        ids=["closes", "resets", "speaks"],
    )
    def test_the_server_closes_or_speaks_in_between(
        self, adapter: Adapter, then: Callable[[Peer], None]
    ) -> None:
        kept, done = threading.Event(), threading.Event()

        async def main(transport: Any) -> None:
            assert await ask(adapter, transport, server) == TEXT
            kept.set()
            await until(adapter, done.is_set)
            assert await ask(adapter, transport, server) == TEXT

        def script(peer: Peer) -> None:
            peer.answer(*WHOLE)
            assert kept.wait(10)
            then(peer)
            done.set()

        with served(script, again_and_again(*WHOLE)) as server:
            run(adapter, main)
        assert server.connections == 2

    def test_tls_holds_a_second_response(self, adapter: Adapter) -> None:
        """It came with the first, in a record of its own: the system knows nothing of it."""

        async def main(transport: Any) -> None:
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
        async def main(transport: Any) -> None:
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
        async def main(transport: Any) -> None:
            for server in (one, other, one, other):
                assert await ask(adapter, transport, server) == TEXT

        with (
            FaultServer(again_and_again(*WHOLE)) as one,
            FaultServer(again_and_again(*WHOLE)) as other,
        ):
            run(adapter, main)
        assert (one.connections, other.connections) == (1, 1)

    def test_keeps_at_most_max_idle(self, adapter: Adapter) -> None:
        async def main(transport: Any) -> None:
            for _ in range(2):
                streams = [
                    await adapter.send(transport, request_to(server), TIMEOUTS) for _ in range(3)
                ]
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
        async def main(transport: Any) -> None:
            assert await ask(adapter, transport, server) == TEXT
            await adapter.sleep(0.1)
            assert await ask(adapter, transport, server) == TEXT

        with FaultServer(again_and_again(*WHOLE)) as server:
            run(adapter, main, **options)
        assert server.connections == 2

    def test_closed_transport_keeps_none(self, adapter: Adapter) -> None:
        async def main(transport: Any) -> None:
            stream = await adapter.send(transport, request_to(server), TIMEOUTS)
            await close(transport)
            while await stream.read(5):
                pass
            await stream.aclose()
            assert await ask(adapter, transport, server) == TEXT
            await close(transport)

        with FaultServer(again_and_again(*WHOLE)) as server:
            run(adapter, main)
        assert server.connections == 2


def test_a_pool_does_not_give_connections_to_another_process() -> None:
    pool, way = Pool[str](2, 60), Route.to("http://localhost/v1", None)
    assert pool.keep(way, "of the parent") == []
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setattr(os, "getpid", lambda: -1)
        assert pool.take(way) is None
    assert pool.take(way) == "of the parent"
