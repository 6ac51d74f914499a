"""What is aiohttp's own; what all transports share is tested for all of them."""

from __future__ import annotations

import asyncio
import gc
import socket
import threading
import time
import warnings
from collections.abc import Callable, Coroutine
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from time import monotonic
from typing import Any

import pytest

from moondream_transports import AiohttpTransport, AsyncClient, Timeouts
from moondream_transports.conformance._certificates import client_tls, server_tls
from moondream_transports.conformance._fault_server import (
    EVENT_STREAM,
    LAST_CHUNK,
    TIMEOUT,
    FaultServer,
    Peer,
    Script,
    chunk,
    head,
)
from moondream_transports.conformance._faults import (
    CLOSE_DELIMITED,
    DELTAS,
    EVENTS,
    F1,
    WHOLE_BODY,
    answers,
    sized,
    wait,
)
from moondream_transports.conformance._secrets import KEY
from sansio_moondream import (
    ConnectError,
    ConnectionLost,
    ConnectTimeout,
    Endpoint,
    HTTPRequest,
    LocalProtocolError,
    MoondreamError,
    RemoteProtocolError,
    TLSError,
)
from tests.helpers import END, QUERY

from .adapters import assert_no_key

aiohttp = pytest.importorskip("aiohttp")

WHOLE = answers(*F1, chunk(END), LAST_CHUNK)


def run(main: Coroutine[Any, Any, Any]) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return asyncio.run(main, debug=True)


async def until(is_so: Callable[[], object]) -> None:
    """Wait until the server has done it, and the event loop has seen what came of it."""
    end = monotonic() + TIMEOUT
    while not is_so():
        assert monotonic() < end
        await asyncio.sleep(0.001)
    for _ in range(5):
        await asyncio.sleep(0)


def times(count: int, script: Script) -> Script:
    """The same on one connection, again and again."""

    def repeated(peer: Peer) -> None:
        for _ in range(count):
            script(peer)

    return repeated


def request_to(url: str, body: bytes = b"{}", **headers: str) -> HTTPRequest:
    return HTTPRequest("POST", url, tuple(headers.items()), body)


def client(transport: AiohttpTransport, server: FaultServer, **options: Any) -> AsyncClient:
    return AsyncClient(transport, Endpoint(url=server.url, api_key=KEY), **options)


class TestOwnership:
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


def test_cancelled_wait_for_the_head_shows_no_key() -> None:
    """The frames of aiohttp, which have the key in their locals, are no part of the traceback."""

    async def main() -> None:
        async with AiohttpTransport() as transport:
            with pytest.raises(TimeoutError) as caught:
                async with asyncio.timeout(0.1):
                    await transport.send(request_to(server.url, Authorization=KEY), Timeouts())
            assert isinstance(caught.value.__cause__, asyncio.CancelledError)
            assert_no_key(caught.value)

    with FaultServer(answers(then=wait)) as server:
        run(main())


class TestSlowConsumer:
    """Bytes that came before a fault are given out before it."""

    @pytest.mark.parametrize(
        ("segments", "then", "error"),
        [
            (F1, Peer.reset, ConnectionLost),
            (F1, lambda peer: None, ConnectionLost),
            ((*F1, b"50\r\ndata: {"), lambda peer: None, ConnectionLost),
            ((sized(b"".join(DELTAS), length=1000),), lambda peer: None, ConnectionLost),
        ],
        ids=["RST", "FIN", "FIN in a chunk", "short"],
    )
    def test_five_events(self, segments: Any, then: Any, error: type[MoondreamError]) -> None:
        async def main() -> None:
            async with (
                AiohttpTransport() as transport,
                client(transport, server).stream(QUERY) as stream,
            ):
                events = [await anext(stream)]
                server.saw_event()
                await until(
                    lambda: all_is_sent.is_set() if then is wait else not server.is_busy()
                )  # nobody reads meanwhile
                for _ in EVENTS[1:]:
                    events.append(await anext(stream))
                assert events == EVENTS
                with pytest.raises(error):
                    await anext(stream)

        def script(peer: Peer) -> None:
            peer.answer(*segments)
            peer.wait_for_event()
            all_is_sent.set()
            then(peer)

        all_is_sent = threading.Event()
        with FaultServer(script) as server:
            run(main())

    def test_broken_framing_wakes_a_reader_that_waits(self) -> None:
        """aiohttp only closes the connection. We look once a second whether it has."""

        async def main() -> None:
            async with (
                AiohttpTransport() as transport,
                client(transport, server).stream(QUERY) as stream,
            ):
                for event in EVENTS:
                    assert await anext(stream) == event
                    server.saw_event()
                began = monotonic()
                with pytest.raises(ConnectionLost, match="framing"):
                    await anext(stream)
                assert monotonic() - began < 10  # not the 30 seconds of Timeouts.idle

        def script(peer: Peer) -> None:
            peer.answer(*F1)
            for _ in EVENTS:
                peer.wait_for_event()
            peer.send(b"zz\r\n")
            peer.wait_until_closed()

        with FaultServer(script) as server:
            run(main())

    def test_a_fault_hides_what_was_not_read(self) -> None:
        """As it is: a declared limit of aiohttp."""

        async def main() -> None:
            async with AiohttpTransport() as transport:
                stream = await transport.send(request_to(server.url), Timeouts())
                assert await stream.read(5) == DELTAS[0]
                server.saw_event()
                assert await asyncio.to_thread(ended.wait, 10)
                for _ in range(5):  # aiohttp sees the chunk, then the end; nobody reads
                    await asyncio.sleep(0)
                with pytest.raises(ConnectionLost):
                    await stream.read(5)
                await stream.aclose()

        def script(peer: Peer) -> None:
            peer.answer(head(), chunk(DELTAS[0]))
            peer.wait_for_event()
            peer.send(chunk(DELTAS[1]))
            peer.sock.shutdown(socket.SHUT_WR)
            ended.set()
            peer.wait_until_closed()

        ended = threading.Event()
        with FaultServer(script) as server:
            run(main())

    @pytest.mark.parametrize("behind", [b"zz\r\n", b"-5\r\n"])
    def test_a_fault_in_the_segment_of_the_head_hides_both(self, behind: bytes) -> None:
        """As it is: a declared limit of aiohttp."""

        async def main() -> None:
            async with AiohttpTransport() as transport:
                with pytest.raises(RemoteProtocolError, match="chunk size"):
                    await transport.send(request_to(server.url), Timeouts())

        with FaultServer(answers(b"".join(F1) + behind, then=wait)) as server:
            run(main())

    def test_a_fault_stays(self) -> None:
        async def main() -> None:
            async with AiohttpTransport() as transport:
                stream = await transport.send(request_to(server.url), Timeouts())
                assert await stream.read(5) == b"abc"
                for _ in range(2):
                    with pytest.raises(ConnectionLost, match="not completed|7 bytes|Not enough"):
                        await stream.read(5)
                await stream.aclose()

        with FaultServer(answers(sized(b"abc", length=10))) as server:
            run(main())


class TestDeadlines:
    def test_of_reads_are_kept_each(self) -> None:
        """A long one, then short ones, then one while the timer is set to an earlier moment."""

        async def main() -> None:
            async with AiohttpTransport() as transport:
                stream = await transport.send(request_to(server.url), Timeouts())
                assert await stream.read(50) == DELTAS[0]
                server.saw_event()
                assert await stream.read(1) == DELTAS[1]
                server.saw_event()
                assert await stream.read(None) == DELTAS[2]
                await asyncio.sleep(1.1)  # the timer of the second read rings, nobody waits
                began = monotonic()
                with pytest.raises(TimeoutError) as caught:
                    await stream.read(0.1)
                assert 0.09 < monotonic() - began < TIMEOUT / 2
                assert not isinstance(caught.value, MoondreamError)
                await stream.aclose()

        def script(peer: Peer) -> None:
            peer.answer(CLOSE_DELIMITED)
            peer.send(DELTAS[0])
            for data in DELTAS[1:3]:
                peer.wait_for_event()
                peer.send(data)
            peer.wait_until_closed()

        with FaultServer(script) as server:
            run(main())

    def test_what_came_while_the_loop_was_busy_is_in_time(self) -> None:
        async def main() -> None:
            async with AiohttpTransport() as transport:
                stream = await transport.send(request_to(server.url), Timeouts())

                async def block() -> None:
                    server.saw_event()
                    assert sent.wait(TIMEOUT)
                    time.sleep(0.15)  # noqa: ASYNC251 - it is what is tested

                blocking = asyncio.create_task(block())  # runs as soon as the read waits
                assert await stream.read(0.1) == DELTAS[0]
                await blocking
                assert await stream.read(5) == b""
                await stream.aclose()

        def script(peer: Peer) -> None:
            peer.answer(CLOSE_DELIMITED)
            peer.wait_for_event()
            peer.send(DELTAS[0])
            sent.set()

        sent = threading.Event()
        with FaultServer(script) as server:
            asyncio.run(main())

    def test_limit_of_a_user_s_session(self) -> None:
        async def main() -> None:
            connector = aiohttp.TCPConnector(limit=1)
            async with aiohttp.ClientSession(connector=connector) as session:
                transport = AiohttpTransport(session)
                first = await transport.send(request_to(server.url), Timeouts())
                began = monotonic()
                with pytest.raises(ConnectTimeout):
                    await transport.send(request_to(server.url), Timeouts(connect=0.1))
                assert 0.09 < monotonic() - began < TIMEOUT / 2
                second = asyncio.create_task(transport.send(request_to(server.url), Timeouts()))
                await asyncio.sleep(0.05)
                assert not second.done()
                await first.aclose()
                await (await second).aclose()

        with FaultServer(answers(head(), then=wait)) as server:
            run(main())
        assert server.connections == 2

    def test_first_event_counts_from_the_connection(self) -> None:
        async def main() -> None:
            async with AiohttpTransport() as transport:
                began = monotonic()
                with pytest.raises(TimeoutError) as caught:
                    await transport.send(
                        request_to(server.url), Timeouts(connect=5, first_event=0.2)
                    )
                assert 0.19 < monotonic() - began < TIMEOUT / 2
                assert type(caught.value) is TimeoutError
                assert_no_key(caught.value)

        with FaultServer(answers(then=wait)) as server:
            run(main())

    def test_connected_at(self) -> None:
        async def main() -> None:
            async with AiohttpTransport() as transport:
                began = monotonic()
                stream = await transport.send(request_to(server.url), Timeouts())
                assert stream.connected_at is not None
                assert began < stream.connected_at <= asked_at[0]
                await stream.aclose()

        def script(peer: Peer) -> None:
            peer.read_request()
            asked_at.append(monotonic())
            peer.send(head())
            peer.wait_until_closed()

        asked_at: list[float] = []
        with FaultServer(script) as server:
            run(main())


@pytest.mark.parametrize(
    ("count", "size", "fine"),
    [(200, 100, True), (6, 10_000, True), (7, 10_000, False), (1, 70_000, False)],
)
def test_size_of_the_head(count: int, size: int, fine: bool) -> None:
    async def main() -> None:
        async with AiohttpTransport() as transport:
            stream = await transport.send(request_to(server.url), Timeouts())
            assert len(list(stream.headers)) == count + 2
            await stream.aclose()

    fields = [
        *EVENT_STREAM,
        ("Content-Length", "0"),
        *((f"X-{number}", "x" * size) for number in range(count)),
    ]
    with FaultServer(answers(head(headers=fields))) as server:
        if fine:
            run(main())
        else:
            with pytest.raises(RemoteProtocolError) as caught:
                run(main())
            assert len(str(caught.value)) < 300


def test_back_pressure() -> None:
    """A reader that stops reading stops the sender, and little is kept meanwhile."""

    async def main() -> None:
        async with AiohttpTransport() as transport:
            stream = await transport.send(request_to(server.url), Timeouts())
            await until(stuck.is_set)
            data = await stream.read(5)
            assert 0 < len(data) <= 512 * 1024
            await stream.aclose()

    def script(peer: Peer) -> None:
        peer.answer(CLOSE_DELIMITED)
        peer.sock.settimeout(0.5)
        with suppress(TimeoutError):
            while True:
                peer.send(b"x" * 100_000)
        stuck.set()
        peer.wait_until_closed()

    stuck = threading.Event()
    with FaultServer(script) as server:
        run(main())


@pytest.mark.parametrize("tls", [False, True])
def test_password_of_a_proxy_shows_nowhere(tls: bool) -> None:
    async def main() -> None:
        proxy = f"http://user:{KEY}@localhost:{server.port}"
        async with AiohttpTransport(proxy=proxy) as transport:
            with pytest.raises(ConnectError if tls else ConnectionLost) as caught:
                await transport.send(
                    request_to(f"http{'s' if tls else ''}://moondream.test/v1"), Timeouts()
                )
            assert_no_key(caught.value)
            if tls:
                assert "407" in str(caught.value)

    with FaultServer(
        lambda peer: peer.answer(*([sized(b"", status_code=407)] if tls else []))
    ) as server:
        run(main())


def test_garbage_shows_no_key() -> None:
    async def main() -> None:
        async with AiohttpTransport() as transport:
            with pytest.raises(RemoteProtocolError) as caught:
                await transport.send(request_to(server.url, Authorization=KEY), Timeouts())
            assert caught.value.__cause__ is not None
            assert_no_key(caught.value)

    with FaultServer(answers(b"SSH-2.0-OpenSSH_9.9\r\n\r\n")) as server:
        run(main())


def test_whole_body_at_once() -> None:
    async def main() -> None:
        async with (
            AiohttpTransport() as transport,
            client(transport, server).stream(QUERY) as stream,
        ):
            assert [event.text async for event in stream if hasattr(event, "text")] == [
                event.text for event in EVENTS
            ]

    with FaultServer(answers(sized(WHOLE_BODY))) as server:
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
