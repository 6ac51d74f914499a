"""Proxies of the client and of the environment."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest

from moondream_transports import AsyncClient, AsyncHttpxTransport, Client, HttpxTransport, Timeouts
from moondream_transports.conformance._certificates import client_tls, server_tls
from moondream_transports.conformance._fault_server import (
    FaultServer,
    Peer,
    head,
)
from moondream_transports.conformance._faults import (
    EVENTS,
    F1_AT_ONCE,
    WHOLE_BODY,
    answers,
    sized,
)
from sansio_moondream import (
    ConnectError,
    Endpoint,
    IdleTimeout,
    LocalProtocolError,
)
from tests.helpers import QUERY
from tests.transports.httpx.clients import KEY, TEXT, TLS, WHOLE, each_library


# Proxies
@each_library
def test_http_proxy(library: Any) -> None:
    heads: list[bytes] = []

    def proxy(peer: Peer) -> None:
        heads.append(peer.read_request()[0])
        peer.send(sized(WHOLE_BODY))

    with (
        FaultServer(proxy) as server,
        library.Client(proxy=f"http://localhost:{server.port}", verify=TLS) as client,
    ):
        assert (
            Client(HttpxTransport(client), Endpoint(url="http://moondream.test/v1"))
            .send(QUERY)
            .text
            == TEXT
        )
    assert heads[0].startswith(b"POST http://moondream.test/v1/query HTTP/1.1\r\n")


@each_library
def test_tls_through_a_proxy(library: Any) -> None:
    heads: list[bytes] = []
    context = server_tls("moondream.test")

    def tunnel(peer: Peer) -> None:
        heads.append(peer.read_request()[0])
        peer.send(b"HTTP/1.1 200 Connection established\r\n\r\n")
        with context.wrap_socket(peer.sock, server_side=True) as sock:
            inner = peer.inside(sock)
            inner.answer(F1_AT_ONCE)
            inner.wait_until_closed()

    with (
        FaultServer(tunnel) as server,
        library.Client(
            proxy=f"http://user:secret@localhost:{server.port}", verify=client_tls()
        ) as client,
    ):
        ours = Client(
            HttpxTransport(client),
            Endpoint(url="https://moondream.test/v1", api_key=KEY),
            timeouts=Timeouts(idle=0.2),
        )
        with ours.stream(QUERY) as stream:
            assert [next(stream) for _ in EVENTS] == EVENTS
            with pytest.raises(IdleTimeout):
                next(stream)
    assert heads[0].startswith(b"CONNECT moondream.test:443 ")
    assert KEY.encode() not in heads[0]


@each_library
def test_proxy_that_refuses(library: Any) -> None:
    with (
        FaultServer(answers(head(407, ()))) as server,
        library.Client(proxy=f"http://user:secret@localhost:{server.port}", verify=TLS) as client,
    ):
        with pytest.raises(ConnectError, match="407") as caught:
            Client(HttpxTransport(client), Endpoint(url="https://moondream.test/v1")).send(QUERY)
        assert "secret" not in repr(caught.value)


@pytest.fixture
def environment_proxy(monkeypatch: pytest.MonkeyPatch) -> Iterator[FaultServer]:
    """A proxy that programs inherit. It answers whole."""
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    with FaultServer(answers(sized(WHOLE_BODY))) as proxy:
        monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{proxy.port}")
        yield proxy


def test_loopback_does_not_go_through_a_proxy_of_the_environment(
    environment_proxy: FaultServer,
) -> None:
    """The key would go to it in the clear."""

    async def main() -> None:
        async with AsyncHttpxTransport() as transport:
            client = AsyncClient(transport, Endpoint(url=server.url, api_key=KEY))
            assert (await client.send(QUERY)).text == TEXT

    with FaultServer(answers(*WHOLE)) as server:
        with HttpxTransport() as transport:
            client = Client(transport, Endpoint(url=server.url, api_key=KEY))
            assert client.send(QUERY).text == TEXT
        asyncio.run(main())
    assert (server.connections, environment_proxy.connections) == (2, 0)


def test_key_is_not_sent_to_a_proxy_of_the_environment_over_plain_http(
    environment_proxy: FaultServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    remote = "http://moondream.test/v1"
    with HttpxTransport() as transport:
        assert Client(transport, Endpoint(url=remote)).send(QUERY).text == TEXT
        assert environment_proxy.connections == 1
        monkeypatch.setenv("http_proxy", "http://proxy.test:3128")
        secret = Endpoint(url=remote, api_key=KEY, allow_insecure_key=True)
        with pytest.raises(LocalProtocolError, match="proxy.test") as caught:
            Client(transport, secret).send(QUERY)
        assert KEY not in str(caught.value)

    async def main() -> None:
        async with AsyncHttpxTransport() as transport:
            with pytest.raises(LocalProtocolError, match="proxy.test"):
                await AsyncClient(transport, secret).send(QUERY)

    asyncio.run(main())
