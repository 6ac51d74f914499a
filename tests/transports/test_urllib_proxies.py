"""Which requests of UrllibTransport go through which proxy, and which never do."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable

import pytest

from moondream_transports import AnyioTransport, AsyncClient, UrllibTransport
from moondream_transports.conformance._fault_server import FaultServer, Peer
from moondream_transports.conformance._faults import WHOLE_BODY, answers, sized
from moondream_transports.conformance._secrets import KEY
from sansio_moondream import (
    ConnectError,
    Endpoint,
    LocalProtocolError,
)

from .test_urllib import TEXT, resolving, send


class Proxy:
    """A proxy that keeps the first line and the headers of each request, and answers itself."""

    def __init__(self) -> None:
        self.heads: list[str] = []
        self.bodies: list[bytes] = []

    def __call__(self, peer: Peer) -> None:
        head, body = peer.read_request()
        self.heads.append(head.decode())
        self.bodies.append(body)
        if head.startswith(b"CONNECT "):
            peer.send(b"HTTP/1.1 403 \r\nContent-Length: 0\r\n\r\n")
        else:
            peer.send(sized(WHOLE_BODY))

    @property
    def targets(self) -> list[str]:
        return [" ".join(head.split(" ", 2)[:2]) for head in self.heads]


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Set variables, after all that urllib looks at were deleted."""
    for name in list(os.environ):
        if name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)

    def setenv(**variables: str) -> None:
        for name, value in variables.items():
            monkeypatch.setenv(name, value)

    return setenv


REMOTE = "http://moondream.test/v1"


class TestProxiesOfTheEnvironment:
    @pytest.mark.parametrize(
        "form", ["http://localhost:{}", "http://localhost:{}/", "localhost:{}"]
    )
    def test_a_remote_server_is_reached_through_it(
        self, environment: Callable[..., None], form: str
    ) -> None:
        proxy = Proxy()
        with FaultServer(proxy) as server:
            environment(http_proxy=form.format(server.port))
            assert send(Endpoint(url=REMOTE)).text == TEXT
        assert proxy.targets == [f"POST {REMOTE}/query"]

    def test_the_anyio_transport_uses_it_if_it_may(self, environment: Callable[..., None]) -> None:
        async def main() -> None:
            async with AnyioTransport(trust_env=True) as transport:
                client = AsyncClient(transport, Endpoint(url=REMOTE))
                assert (await client.query(question="What is this?")).text == TEXT

        proxy = Proxy()
        with FaultServer(proxy) as server:
            environment(http_proxy=f"localhost:{server.port}")
            asyncio.run(main())
        assert proxy.targets == [f"POST {REMOTE}/query"]

    def test_https_goes_through_a_tunnel(self, environment: Callable[..., None]) -> None:
        """The key is in it, and not in what the proxy sees."""
        proxy = Proxy()
        with FaultServer(proxy) as server:
            environment(https_proxy=f"http://user:word%21@localhost:{server.port}")
            with pytest.raises(ConnectError, match="403"):
                send(Endpoint(url="https://moondream.test/v1", api_key=KEY))
        assert proxy.targets == ["CONNECT moondream.test:443"]
        assert "Proxy-Authorization: Basic dXNlcjp3b3JkIQ==" in proxy.heads[0]
        assert KEY not in proxy.heads[0]

    @pytest.mark.parametrize(
        "host", ["localhost", "127.0.0.1", "127.1.2.3", "a.localhost", "[::1]"]
    )
    def test_loopback_never_goes_through_it(
        self, environment: Callable[..., None], host: str
    ) -> None:
        proxy = Proxy()
        with FaultServer(proxy) as server, FaultServer(answers(sized(WHOLE_BODY))) as endpoint:
            environment(http_proxy=f"http://localhost:{server.port}")
            with resolving(("127.0.0.1", endpoint.port)):
                result = send(Endpoint(url=f"http://{host}:{endpoint.port}/v1", api_key=KEY))
        assert result.text == TEXT
        assert proxy.heads == []

    @pytest.mark.parametrize(
        "no_proxy", ["moondream.test", ".test", "*", "other, moondream.test:80"]
    )
    def test_no_proxy(self, environment: Callable[..., None], no_proxy: str) -> None:
        proxy = Proxy()
        with FaultServer(proxy) as server, FaultServer(answers(sized(WHOLE_BODY))) as endpoint:
            environment(http_proxy=f"http://localhost:{server.port}", no_proxy=no_proxy)
            with resolving(("127.0.0.1", endpoint.port)):
                assert send(Endpoint(url="http://moondream.test:80/v1")).text == TEXT
        assert proxy.heads == []

    @pytest.mark.parametrize("name", ["X-Moondream-Auth", "authorization", "Cookie"])
    def test_a_key_does_not_go_to_one_elsewhere_over_plain_http(
        self, environment: Callable[..., None], name: str
    ) -> None:
        environment(http_proxy="http://proxy.test:3128")
        endpoint = Endpoint(url=REMOTE, headers={name: KEY}, allow_insecure_key=True)
        with pytest.raises(LocalProtocolError, match=r"proxy\.test .* no_proxy") as caught:
            send(endpoint)
        assert KEY not in str(caught.value)

    def test_a_key_goes_to_one_on_this_machine(self, environment: Callable[..., None]) -> None:
        """`allow_insecure_key` lets it go on from there."""
        proxy = Proxy()
        with FaultServer(proxy) as server:
            environment(http_proxy=f"http://127.0.0.1:{server.port}")
            assert send(Endpoint(url=REMOTE, api_key=KEY, allow_insecure_key=True)).text == TEXT
        assert proxy.targets == [f"POST {REMOTE}/query"]

    @pytest.mark.parametrize("url", ["socks5://user:{}@localhost:1", "https://user:{}@proxy.test"])
    def test_one_of_another_kind(self, environment: Callable[..., None], url: str) -> None:
        environment(http_proxy=url.format(KEY))
        with pytest.raises(ConnectError, match="http_proxy of the environment") as caught:
            send(Endpoint(url=REMOTE))
        assert KEY not in str(caught.value)


class TestProxiesAsGiven:
    def test_they_win_over_no_proxy_and_loopback(self, environment: Callable[..., None]) -> None:
        proxy = Proxy()
        with FaultServer(proxy) as server:
            environment(no_proxy="*")
            for url in (REMOTE, "http://localhost:9/v1"):
                given = UrllibTransport(proxies={"http": f"http://localhost:{server.port}"})
                endpoint = Endpoint(url=url, api_key=KEY, allow_insecure_key=True)
                assert send(endpoint, given).text == TEXT
        assert proxy.targets == [f"POST {REMOTE}/query", "POST http://localhost:9/v1/query"]

    def test_none_wins_over_the_environment(self, environment: Callable[..., None]) -> None:
        environment(http_proxy="http://proxy.test:3128")
        with (
            FaultServer(answers(sized(WHOLE_BODY))) as endpoint,
            resolving(("127.0.0.1", endpoint.port)),
        ):
            given = UrllibTransport(proxies={})
            assert send(Endpoint(url=REMOTE), given).text == TEXT

    @pytest.mark.parametrize("scheme", ["http", "https"])
    @pytest.mark.parametrize(
        "url", [f"socks5://user:{KEY}@localhost:1", f"http://user:{KEY}@", f"http://[{KEY}", ""]
    )
    def test_what_is_no_http_proxy(self, scheme: str, url: str) -> None:
        with pytest.raises(ValueError, match="proxy should be") as caught:
            UrllibTransport(proxies={scheme: url})
        assert KEY not in f"{caught.value} {caught.value.__context__!r}"

    def test_what_getproxies_gives(self, environment: Callable[..., None]) -> None:
        """It has more keys than ours."""
        from urllib.request import getproxies

        environment(http_proxy="http://proxy.test", no_proxy="localhost", all_proxy="socks5://a")
        assert {"http", "no", "all"} <= getproxies().keys()
        UrllibTransport(proxies=getproxies()).close()
