"""What only UrllibTransport has; the rest is in the tests of all transports."""

from __future__ import annotations

import socket
from time import monotonic

import pytest

from moondream_transports import Client, Timeouts, UrllibTransport
from moondream_transports.conformance._fault_server import FaultServer
from moondream_transports.conformance._faults import WHOLE_BODY, WORDS, answers, sized, wait
from sansio_moondream import ConnectError, Endpoint, QueryResult
from tests.helpers import QUERY


def send(
    endpoint: Endpoint, transport: UrllibTransport | None = None, timeouts: Timeouts | None = None
) -> QueryResult:
    return Client(transport or UrllibTransport(), endpoint, timeouts=timeouts).send(QUERY)


def test_tries_each_address_of_the_host() -> None:
    with (
        FaultServer(answers(sized(WHOLE_BODY))) as server,
        pytest.MonkeyPatch.context() as monkeypatch,
    ):
        resolved = [
            (socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, server.port))
            for address in ("127.0.0.2", "127.0.0.1")
        ]
        monkeypatch.setattr(
            socket,
            "getaddrinfo",
            lambda host, *_, **__: [r for r in resolved if host in ("localhost", r[4][0])],
        )
        assert send(Endpoint(url=server.url)).text == "".join(WORDS)
        monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: [])
        with pytest.raises(ConnectError, match="no address"):
            send(Endpoint(url=server.url))


def test_total_counts_the_connecting_too() -> None:
    began = monotonic()
    with FaultServer(answers(then=wait)) as server, pytest.raises(TimeoutError):
        UrllibTransport().send(
            QUERY.to_http(Endpoint(url=server.url)), Timeouts(first_event=9, total=0.2)
        )
    assert monotonic() - began < 5


def test_proxies_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    with (
        FaultServer(answers(sized(WHOLE_BODY))) as proxy,
        FaultServer(answers(sized(WHOLE_BODY))) as server,
    ):
        monkeypatch.setenv("http_proxy", f"http://localhost:{proxy.port}")
        monkeypatch.delenv("no_proxy", raising=False)
        send(Endpoint(url=server.url))
        assert (proxy.connections, server.connections) == (1, 0)
        send(Endpoint(url=server.url), UrllibTransport(proxies={}))
        assert (proxy.connections, server.connections) == (1, 1)
        monkeypatch.setenv("no_proxy", "localhost")
        send(Endpoint(url=server.url))
        assert (proxy.connections, server.connections) == (1, 2)


def test_proxy_of_an_unknown_kind() -> None:
    with pytest.raises(ConnectError, match="socks5"):
        send(
            Endpoint(url="http://moondream.test/v1"),
            UrllibTransport(proxies={"http": "socks5://localhost:1"}),
        )
