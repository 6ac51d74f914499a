"""The session of the program and a session of our own, and what a request has in it."""

from __future__ import annotations

import gc
from importlib import import_module
from pathlib import Path

import pytest

from moondream_transports import AiohttpTransport, Timeouts
from moondream_transports.conformance._certificates import client_tls, server_tls
from moondream_transports.conformance._fault_server import (
    FaultServer,
    Peer,
    head,
)
from moondream_transports.conformance._faults import (
    WHOLE_BODY,
    answers,
    sized,
    wait,
)
from sansio_moondream import (
    LocalProtocolError,
    TLSError,
)
from tests.helpers import QUERY
from tests.transports.adapters import assert_no_key
from tests.transports.aiohttp.exchanges import WHOLE, aiohttp, client, request_to, run, times, until


class TestOwnership:
    @pytest.mark.usefixtures("patient_drain")
    def test_own_connections_are_made_when_needed_and_closed(self) -> None:
        async def main(server: FaultServer) -> None:
            async with transport:
                for _ in range(3):
                    assert (
                        await client(transport, server).send(QUERY)
                    ).text == "The moon over the sea"
            await transport.aclose()

        transport = AiohttpTransport()  # no event loop runs here
        for _ in range(2):  # closed, it makes new ones, on another loop too
            with FaultServer(times(3, WHOLE)) as server:
                run(main(server))
            assert server.connections == 1

    def test_unlimited(self) -> None:
        async def main() -> None:
            async with AiohttpTransport() as transport:
                streams = [
                    await transport.send(request_to(server.url), Timeouts()) for _ in range(120)
                ]  # aiohttp's limit is 100
                for stream in streams:
                    await stream.aclose()

        with FaultServer(answers(head(), then=wait), timeout=60) as server:
            run(main())

    def test_session_passed_in_stays_as_it_is(self) -> None:
        async def main() -> None:
            async with aiohttp.ClientSession(
                headers={"X-Mine": "1", "Authorization": "mine"},
                cookies={"a": "b"},
                raise_for_status=True,
                read_bufsize=1000,
            ) as session:
                transport = AiohttpTransport(session)
                for _ in range(2):
                    async with transport:
                        stream = await transport.send(
                            request_to(server.url, X_Of_Request="2"), Timeouts()
                        )
                        while await stream.read(5):
                            pass
                        for _ in range(2):
                            await stream.aclose()
                assert not session.closed
                assert dict(session.headers) == {"X-Mine": "1", "Authorization": "mine"}
                assert [cookie.key for cookie in session.cookie_jar] == ["a"]
            with pytest.raises(LocalProtocolError, match="closed"):
                await transport.send(request_to(server.url), Timeouts())

        def script(peer: Peer) -> None:
            heads.append(peer.read_request()[0])
            peer.send(sized(b"no", status_code=404, Set_Cookie="c=d; Path=/"))

        heads: list[bytes] = []
        with FaultServer(times(2, script)) as server:
            run(main())
        assert server.connections == 1
        for sent in heads:
            assert sent.split(b"\r\n")[2:] == [b"X_Of_Request: 2", b"Content-Length: 2"]

    def test_tracing_of_the_session_runs(self) -> None:
        async def main() -> None:
            async def note(session: object, context: object, parameters: object) -> None:
                seen.append(parameters)

            trace = aiohttp.TraceConfig()
            trace.on_request_end.append(note)
            async with aiohttp.ClientSession(trace_configs=[trace]) as session:
                assert (await client(AiohttpTransport(session), server).send(QUERY)).text
            assert len(seen) == 1

        seen: list[object] = []
        with FaultServer(WHOLE) as server:
            run(main())


class TestNothingIsAdded:
    """A request is what `to_http` says, whatever the environment has."""

    def test_netrc_is_not_read(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """A session with `trust_env` would add `Authorization: Basic` to any request."""
        netrc = tmp_path / "netrc"
        netrc.write_text("machine 127.0.0.1 login user password secret\n")
        monkeypatch.setenv("NETRC", str(netrc))
        heads: list[bytes] = []

        def script(peer: Peer) -> None:
            heads.append(peer.read_request()[0])
            peer.send(sized(WHOLE_BODY))

        async def main() -> None:
            async with aiohttp.ClientSession(trust_env=True) as session:
                transport = AiohttpTransport(session)
                stream = await transport.send(request_to(url, Authorization="Bearer x"), Timeouts())
                await stream.aclose()

        with FaultServer(script) as server:
            url = server.url.replace("localhost", "127.0.0.1")
            run(main())
        assert heads[0].lower().count(b"authorization") == 1
        assert b"Basic" not in heads[0]

    def test_proxies_of_the_environment_are_not_used(self, monkeypatch: pytest.MonkeyPatch) -> None:
        async def main() -> None:
            async with aiohttp.ClientSession(trust_env=True) as session:
                assert (await client(AiohttpTransport(session), server).send(QUERY)).text

        with FaultServer(WHOLE) as server, FaultServer(answers()) as proxy:
            monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{proxy.port}")
            run(main())
        assert (server.connections, proxy.connections) == (1, 0)


def test_ssl_context_of_an_http2_client() -> None:
    """httpx makes it offer h2, which aiohttp does not speak."""
    context = client_tls()
    import_module("httpx").Client(http2=True, verify=context, trust_env=False).close()
    context.set_alpn_protocols(["h2", "http/1.1"])
    tls = server_tls("localhost")
    tls.set_alpn_protocols(["h2"])

    async def main() -> None:
        connector = aiohttp.TCPConnector(ssl=context)
        async with aiohttp.ClientSession(connector=connector) as session:
            with pytest.raises(TLSError, match="h2.*SSLContext of its own") as caught:
                await client(AiohttpTransport(session), server).send(QUERY)
            assert_no_key(caught.value)

    with FaultServer(lambda peer: peer.wait_until_closed(), ssl_context=tls) as server:
        run(main())


def test_a_kept_connection_that_is_reset_is_not_complained_of(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def main() -> None:
        async with AiohttpTransport() as transport:
            for _ in range(2):
                assert (await client(transport, server).send(QUERY)).text == "The moon over the sea"
            server.saw_event()
            await until(lambda: not server.is_busy())
            gc.collect()

    def script(peer: Peer) -> None:
        times(2, WHOLE)(peer)
        peer.wait_for_event()
        peer.reset()

    with FaultServer(script) as server:
        run(main())
    gc.collect()
    assert [record for record in caplog.records if record.levelname == "ERROR"] == []
