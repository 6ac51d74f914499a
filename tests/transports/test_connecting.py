"""Rows 1 to 4 of the faults on every transport: no connection, names, TLS, proxies; and what a request looks like on the wire."""

from __future__ import annotations

import socket
import ssl
from datetime import UTC, datetime, timedelta
from time import monotonic
from typing import Any

import pytest

from moondream_transports import Timeouts
from sansio_moondream import (
    ConnectFailed,
    ConnectionLost,
    ConnectTimeout,
    Endpoint,
    QueryResult,
    TLSFailed,
    TotalTimeout,
)
from tests.helpers import QUERY

from .certificates import client_tls, server_tls
from .drivers import KEY, Driver, each_driver
from .fault_server import FaultServer, Peer, head, nobody_accepts
from .faults import F1, WHOLE_BODY, WORDS, answers, sized, wait
from .secrets import assert_no_key

TEXT = "".join(WORDS)
WHOLE = answers(sized(WHOLE_BODY))


def send(
    driver: Driver, url: str, *, ssl_context: ssl.SSLContext | None = None, proxy: str | None = None, timeouts: Timeouts | None = None
) -> QueryResult:
    """One exchange with an endpoint that has a key where it may."""

    async def main() -> QueryResult:
        async with driver.transport(ssl_context=ssl_context, proxy=proxy) as transport:
            endpoint = Endpoint(url=url, api_key=KEY, allow_insecure_key=True)
            try:
                return await driver.client(transport, endpoint, timeouts=timeouts).send(QUERY)
            except BaseException as error:
                assert_no_key(error, repr(transport))
                raise

    return driver.run(main)


@each_driver
class TestNoConnection:
    def test_refused(self, driver: Driver) -> None:
        with FaultServer(answers()) as server:
            pass  # and now nobody listens there
        with pytest.raises(ConnectFailed) as caught:
            send(driver, server.url)
        assert caught.value.__cause__ is not None

    @pytest.mark.parametrize("failure", [socket.gaierror(socket.EAI_NONAME, "unknown name"), UnicodeError("label too long")])
    def test_name_does_not_resolve(self, driver: Driver, failure: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
        def fail(*address: object, **hints: object) -> None:
            raise failure

        monkeypatch.setattr(socket, "getaddrinfo", fail)  # a real look-up would leave this machine
        with pytest.raises(ConnectFailed):
            send(driver, "http://no-such-name.invalid/v1")

    def test_hangs(self, driver: Driver) -> None:
        with nobody_accepts() as url:
            began = monotonic()
            with pytest.raises(ConnectTimeout):
                send(driver, url, timeouts=Timeouts(connect=0.2))
            with pytest.raises(TotalTimeout, match=r"0\.2 seconds"):
                send(driver, url, timeouts=Timeouts(total=0.2))
            assert monotonic() - began < 3

    def test_total_ends_the_wait_for_a_head(self, driver: Driver) -> None:
        with FaultServer(answers(then=wait)) as server, pytest.raises(TotalTimeout):
            send(driver, server.url, timeouts=Timeouts(total=0.2))

    def test_waits_for_ever_if_told_to(self, driver: Driver) -> None:
        with FaultServer(WHOLE) as server:
            assert send(driver, server.url, timeouts=Timeouts(None, None, None, None)).text == TEXT


@each_driver
class TestTLS:
    def test_whole(self, driver: Driver) -> None:
        with FaultServer(WHOLE, ssl_context=server_tls("localhost")) as server:
            assert send(driver, server.url, ssl_context=client_tls()).text == TEXT

    @pytest.mark.parametrize("fault", ["not trusted", "wrong name", "expired"])
    def test_certificates(self, driver: Driver, fault: str) -> None:
        yesterday = datetime.now(UTC) - timedelta(days=1)
        context, trust = {
            "not trusted": (server_tls("localhost"), None),
            "wrong name": (server_tls("other.test"), client_tls()),
            "expired": (server_tls("localhost", not_before=yesterday - timedelta(days=1), not_after=yesterday), client_tls()),
        }[fault]
        with FaultServer(answers(), ssl_context=context) as server, pytest.raises(TLSFailed) as caught:
            send(driver, server.url, ssl_context=trust)
        assert "certificate" in str(caught.value).lower()

    def test_handshake_is_never_answered(self, driver: Driver) -> None:
        with FaultServer(wait) as server, pytest.raises(ConnectTimeout):
            send(driver, server.url.replace("http:", "https:"), timeouts=Timeouts(connect=0.2))

    def test_server_speaks_http(self, driver: Driver) -> None:
        with FaultServer(lambda peer: peer.send(head(400, ()))) as server, pytest.raises(TLSFailed):
            send(driver, server.url.replace("http:", "https:"))

    def test_cut_between_chunks(self, driver: Driver) -> None:
        with FaultServer(answers(*F1), ssl_context=server_tls("localhost")) as server, pytest.raises(ConnectionLost) as caught:
            send(driver, server.url, ssl_context=client_tls())
        assert isinstance(caught.value.partial, QueryResult)
        assert caught.value.partial.text == TEXT


@each_driver
class TestProxies:
    def test_plain(self, driver: Driver) -> None:
        heads: list[bytes] = []

        def proxy(peer: Peer) -> None:
            heads.append(peer.read_request()[0])
            peer.send(sized(WHOLE_BODY))

        with FaultServer(proxy) as server:
            at = f"http://user:{KEY}@localhost:{server.port}"
            assert send(driver, "http://moondream.test/v1", proxy=at).text == TEXT
        assert heads[0].startswith(b"POST http://moondream.test/v1/query HTTP/1.1\r\n")
        assert b"proxy-authorization: basic " in heads[0].lower()

    def test_tunnel(self, driver: Driver) -> None:
        context = server_tls("moondream.test")
        heads: list[bytes] = []

        def tunnel(peer: Peer) -> None:
            heads.append(peer.read_request()[0])
            peer.send(b"HTTP/1.1 200 Connection established\r\n\r\n")
            with context.wrap_socket(peer.sock, server_side=True) as sock:
                inner = Peer(sock, peer.seen)
                heads.append(inner.read_request()[0])
                inner.send(sized(WHOLE_BODY))

        with FaultServer(tunnel) as server:
            at = f"http://user:secret@localhost:{server.port}"
            assert send(driver, "https://moondream.test/v1", ssl_context=client_tls(), proxy=at).text == TEXT
        assert heads[0].startswith(b"CONNECT moondream.test:443 ")
        assert b"proxy-authorization" in heads[0].lower()
        assert KEY.encode() not in heads[0]
        assert b"proxy-authorization" not in heads[1].lower()

    @pytest.mark.parametrize(
        "script",
        [
            lambda peer: peer.answer(head(407, ())),
            lambda peer: peer.answer(b"SSH-2.0\r\n\r\n"),
            lambda peer: peer.read_request(),
        ],
        ids=["refuses", "garbage", "closes"],
    )
    def test_makes_no_tunnel(self, driver: Driver, script: Any) -> None:
        with FaultServer(script) as server, pytest.raises(ConnectFailed):
            send(driver, "https://moondream.test/v1", proxy=f"http://user:{KEY}@localhost:{server.port}")

    def test_is_not_there(self, driver: Driver) -> None:
        with FaultServer(answers()) as server:
            pass
        for scheme in ("http", "https"):
            with pytest.raises(ConnectFailed):
                send(driver, f"{scheme}://moondream.test/v1", proxy=f"http://user:{KEY}@localhost:{server.port}")


@each_driver
def test_request_on_the_wire(driver: Driver) -> None:
    """What was asked for, and what HTTP needs; nothing that a library would add of its own."""
    requests: list[tuple[bytes, bytes]] = []

    def keep(peer: Peer) -> None:
        requests.append(peer.read_request())
        peer.send(sized(WHOLE_BODY))

    async def main(endpoint: Endpoint) -> None:
        async with driver.transport() as transport:
            await driver.client(transport, endpoint).send(QUERY)

    with FaultServer(keep) as server:
        endpoint = Endpoint(url=server.url, api_key=KEY, headers={"X-Team": "vision"})
        driver.run(main, endpoint)
    (request_head, body), http = requests[0], QUERY.to_http(endpoint, stream=False)
    line, *lines = request_head.decode().split("\r\n")
    assert line == "POST /v1/query HTTP/1.1"
    sent = {name.lower(): value for name, _, value in (field.partition(": ") for field in lines)}
    assert sent.pop("connection", "keep-alive") == ("keep-alive" if driver.pools else "close")
    assert sent == {
        **{name.lower(): value for name, value in http.headers},
        "host": f"localhost:{server.port}",
        "content-length": str(len(body)),
    }
    assert body == http.body
