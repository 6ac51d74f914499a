"""What is particular to the transports on httpx2 and httpx.

What all transports have in common is tested for all of them elsewhere.
"""

from __future__ import annotations

import asyncio
import socket
import subprocess
import sys
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from importlib import import_module
from time import monotonic
from typing import Any

import pytest

from moondream_transports import AsyncClient, AsyncHttpxTransport, Client, HttpxTransport, Timeouts
from moondream_transports.conformance._certificates import client_tls, server_tls
from moondream_transports.conformance._fault_server import (
    LAST_CHUNK,
    TIMEOUT,
    FaultServer,
    Peer,
    chunk,
    head,
)
from moondream_transports.conformance._faults import (
    DELTAS,
    EVENTS,
    F1,
    F1_AT_ONCE,
    WHOLE_BODY,
    WORDS,
    answers,
    sized,
    wait,
)
from sansio_moondream import (
    ConnectError,
    ConnectionLost,
    ConnectTimeout,
    Endpoint,
    FirstEventTimeout,
    IdleTimeout,
    LocalProtocolError,
    TotalTimeout,
)
from tests.helpers import END, QUERY

httpx, httpx2 = pytest.importorskip("httpx"), pytest.importorskip("httpx2")
trio = pytest.importorskip("trio")

TLS = client_tls()
KEY = "key-that-must-not-leak"
TEXT = "".join(WORDS)
WHOLE = (*F1, chunk(END), LAST_CHUNK)
each_library = pytest.mark.parametrize("library", [httpx2, httpx], ids=["httpx2", "httpx"])
each_loop = pytest.mark.parametrize(
    "run", [lambda main: asyncio.run(main(), debug=True), trio.run], ids=["asyncio", "trio"]
)
Run = Callable[[Callable[[], Awaitable[None]]], object]


def listens(port: int) -> bool:
    with suppress(ConnectionRefusedError), socket.create_connection(("127.0.0.1", port), TIMEOUT):
        return True
    return False


def connections(client: Any) -> list[Any]:
    return list(client._transport._pool.connections)


# Which library, and whose client


@each_library
def test_library_is_that_of_the_client(library: Any) -> None:
    class Mine(library.Client):  # type: ignore[misc]
        pass

    with FaultServer(answers(sized(WHOLE_BODY))) as server, Mine(trust_env=False) as client:
        assert Client(HttpxTransport(client), Endpoint(url=server.url)).send(QUERY).text == TEXT
    with Mine(trust_env=False) as client, pytest.raises(ConnectError) as caught:
        Client(HttpxTransport(client), Endpoint(url=server.url)).send(QUERY)
    assert type(caught.value.__cause__) is library.ConnectError


@each_library
def test_client_of_another_kind(library: Any) -> None:
    with library.Client() as client, pytest.raises(TypeError, match="AsyncClient"):
        AsyncHttpxTransport(client)
    with pytest.raises(TypeError, match="one of httpx2 or of httpx"):
        HttpxTransport("client")  # type: ignore[arg-type]


@each_loop
def test_own_clients_are_closed(run: Run) -> None:
    """A transport of our own keeps its connection, and closes it with its block."""

    def script(peer: Peer) -> None:
        for _ in range(2):
            peer.answer(*WHOLE)
        peer.wait_until_closed()

    with FaultServer(script) as server, HttpxTransport() as transport:
        for _ in range(2):
            assert Client(transport, Endpoint(url=server.url)).send(QUERY).text == TEXT
    assert server.connections == 1

    async def main() -> None:
        async with AsyncHttpxTransport() as transport:
            for _ in range(2):
                client = AsyncClient(transport, Endpoint(url=server.url))
                assert (await client.send(QUERY)).text == TEXT

    with FaultServer(script) as server:
        run(main)
    assert server.connections == 1


@pytest.mark.parametrize(
    ("missing", "outcome"), [("httpx2", "httpx"), ("httpx2 httpx", "sansio-moondream[httpx2]")]
)
def test_library_that_is_not_installed(missing: str, outcome: str) -> None:
    program = f"""
import sys
sys.modules.update(dict.fromkeys({missing!r}.split()))
from moondream_transports import HttpxTransport
try:
    print(HttpxTransport()._clients.library.__name__)
except ModuleNotFoundError as error:
    print(error)
"""
    ran = subprocess.run(
        [sys.executable, "-W", "error", "-c", program], capture_output=True, text=True
    )
    assert outcome in ran.stdout, ran.stderr


@each_library
def test_client_is_left_as_it_is(library: Any) -> None:
    """And nothing of it is sent: no header, cookie, parameter, auth."""
    heads: list[bytes] = []

    def script(peer: Peer) -> None:
        for _ in range(2):
            heads.append(peer.read_request()[0])
            for segment in WHOLE:
                peer.send(segment)
        peer.wait_until_closed()

    with FaultServer(script) as server:
        hooked: list[str] = []
        client = library.Client(
            trust_env=False,
            verify=TLS,
            headers={"X-Mine": "1"},
            cookies={"mine": "1"},
            params={"mine": "1"},
            auth=("mine", "1"),
            follow_redirects=True,
            event_hooks={"request": [lambda request: hooked.append(request.method)]},
        )
        transport = HttpxTransport(client)
        with client, transport:
            assert Client(transport, Endpoint(url=server.url, api_key=KEY)).send(QUERY).text == TEXT
            assert hooked == ["POST"]
            assert not client.is_closed
            transport.close()
            assert client.post(server.url, content=b"{}").status_code == 200
        assert server.connections == 1
    assert b"mine" not in heads[0].lower()
    sent = {
        name.lower(): value
        for name, _, value in (line.partition(": ") for line in heads[0].decode().split("\r\n")[1:])
    }
    asked = QUERY.to_http(Endpoint(url=server.url, api_key=KEY), stream=False)
    assert {name.lower(): value for name, value in asked.headers}.items() <= sent.items()
    assert sent.keys() == {"host", "content-length"} | {name.lower() for name, _ in asked.headers}
    assert b"x-mine" in heads[1].lower()


@each_library
def test_request_body_is_let_go(library: Any) -> None:
    with (
        FaultServer(answers(*F1, then=wait)) as server,
        library.Client(trust_env=False, verify=TLS) as client,
    ):
        stream = HttpxTransport(client).send(QUERY.to_http(Endpoint(url=server.url)), Timeouts())
        assert b"".join(stream._response.request.stream) == b""
        stream.close()
        stream.close()


# Deadlines


def timed(
    library: Any,
    script: Callable[[Peer], None],
    timeouts: Timeouts,
    error: type[Exception],
    run: Run | None,
) -> float:
    """How long it took until `error`, with the sync client where `run` is None."""
    with FaultServer(script) as server:
        began = monotonic()
        endpoint = Endpoint(url=server.url)
        if run is None:
            with library.Client(trust_env=False, verify=TLS) as client:
                began = monotonic()
                with pytest.raises(error):
                    Client(HttpxTransport(client), endpoint, timeouts=timeouts).send(QUERY)
                return monotonic() - began

        async def main() -> None:
            nonlocal began
            async with library.AsyncClient(trust_env=False, verify=TLS) as client:
                began = monotonic()
                with pytest.raises(error):
                    await AsyncClient(
                        AsyncHttpxTransport(client), endpoint, timeouts=timeouts
                    ).send(QUERY)
                began = monotonic() - began

        run(main)
        return began


def _dribbled_chunk_size(peer: Peer) -> None:
    peer.answer(F1_AT_ONCE)
    while not peer.is_closed_within(0.1):
        peer.send(b"0")


each_way = pytest.mark.parametrize(
    "run", [None, lambda main: asyncio.run(main()), trio.run], ids=["sync", "asyncio", "trio"]
)


@each_library
@each_way
def test_deadlines_are_exact(library: Any, run: Run | None) -> None:
    for script, timeouts, error in [
        (answers(F1_AT_ONCE, then=wait), Timeouts(first_event=9, idle=0.2), IdleTimeout),
        (answers(head(), then=wait), Timeouts(first_event=0.2, idle=9), FirstEventTimeout),
        (answers(*F1, then=wait), Timeouts(total=0.2), TotalTimeout),
        (answers(then=wait), Timeouts(first_event=9, total=0.2), TotalTimeout),
        (_dribbled_chunk_size, Timeouts(idle=0.2), IdleTimeout),  # bytes, but none of the body
    ]:
        assert 0.19 < timed(library, script, timeouts, error, run) < 5


def _flood_of_heads(peer: Peer) -> None:
    """Send 103 after 103 as fast as they are read."""
    peer.read_request()
    peer.send_for_ever(head(103, [("Link", "</>")]) * 50)


def _slow_heads(peer: Peer) -> None:
    peer.read_request()
    peer.send_for_ever(head(103, [("Link", "</>")]), every=0.05)


def _dribbled_head(peer: Peer) -> None:
    peer.answer(b"HTTP/1.1 200 OK\r\nX: ")
    peer.send_for_ever(b"x", every=0.05)


def _dribbled_body(peer: Peer) -> None:
    peer.answer(*F1)
    peer.send_for_ever(chunk(b": comment\n\n"), every=0.05)


never_ending = pytest.mark.parametrize(
    "script", [_flood_of_heads, _slow_heads, _dribbled_head, _dribbled_body, answers(then=wait)]
)


@each_library
@each_way
@never_ending
def test_deadlines_end_what_never_ends(
    library: Any, run: Run | None, script: Callable[[Peer], None]
) -> None:
    """Sync httpx has no deadline for a head, only one for each wait for the socket."""
    assert timed(library, script, Timeouts(2, 2, 2, total=0.5), TotalTimeout, run) < 5


@each_library
@never_ending
def test_deadlines_on_a_kept_connection(library: Any, script: Callable[[Peer], None]) -> None:
    """Two connections are kept. The library does not say which one it takes, and the other one is
    not harmed.
    """

    def first_whole(peer: Peer) -> None:
        peer.answer(*F1[:2])
        peer.wait_for_event()  # so that two are open at once
        for segment in (*F1[2:], chunk(END), LAST_CHUNK):
            peer.send(segment)
        if peer.number == 1:
            peer.answer(*WHOLE)
        script(peer)

    quick = Timeouts(5, 5, 5, total=0.5)
    with (
        FaultServer(first_whole) as server,
        library.Client(trust_env=False, verify=TLS) as client,
    ):
        transport = HttpxTransport(client)
        ours = Client(transport, Endpoint(url=server.url))
        with ours.stream(QUERY) as one, ours.stream(QUERY) as other:
            for stream in (one, other):
                next(stream)
                server.saw_event()
            assert (one.result().text, other.result().text) == (TEXT, TEXT)
        assert len(connections(client)) == 2
        began = monotonic()
        outcomes = []
        for _ in range(3):  # one of the two has one more whole answer
            try:
                hasty = Client(transport, Endpoint(url=server.url), timeouts=quick)
                outcomes.append(hasty.send(QUERY).text)
            except TotalTimeout:
                outcomes.append("late")
            if server.connections > 2:
                break
        assert monotonic() - began < 8
    assert sorted(outcomes[:3]) in ([TEXT, "late", "late"], ["late", "late"])


def test_a_connection_of_another_exchange_is_not_shut_down() -> None:
    """One exchange passes its deadline while another one on the same client goes on."""
    scripts = {b"slow": threading.Event(), b"hasty": threading.Event()}

    def script(peer: Peer) -> None:
        peer.answer(*F1)
        if peer.number == 1:
            assert scripts[b"slow"].wait(10)
            for segment in (chunk(END), LAST_CHUNK):
                peer.send(segment)
        else:
            peer.wait_until_closed()

    with FaultServer(script) as server, httpx2.Client(trust_env=False, verify=TLS) as client:
        transport = HttpxTransport(client)
        endpoint = Endpoint(url=server.url)
        with Client(transport, endpoint).stream(QUERY) as slow:
            assert [next(slow) for _ in EVENTS] == EVENTS
            hasty = Client(transport, endpoint, timeouts=Timeouts(idle=0.2))
            with pytest.raises(IdleTimeout):
                hasty.send(QUERY)
            scripts[b"slow"].set()
            assert slow.result().text == TEXT


@each_library
@each_way
def test_waiting_for_the_pool_counts_as_connecting(library: Any, run: Run | None) -> None:
    limits = library.Limits(max_connections=1)
    quick = Timeouts(connect=1)  # the first has to connect within it
    with FaultServer(answers(*F1, then=wait)) as server:
        endpoint = Endpoint(url=server.url)
        if run is None:
            with library.Client(trust_env=False, verify=TLS, limits=limits) as client:
                ours = Client(HttpxTransport(client), endpoint, timeouts=quick)
                with ours.stream(QUERY), pytest.raises(ConnectTimeout):
                    ours.send(QUERY)
            return

        async def main() -> None:
            async with library.AsyncClient(trust_env=False, verify=TLS, limits=limits) as client:
                ours = AsyncClient(AsyncHttpxTransport(client), endpoint, timeouts=quick)
                async with ours.stream(QUERY):
                    with pytest.raises(ConnectTimeout):
                        await ours.send(QUERY)
                assert connections(client) == []

        run(main)


@each_library
@each_way
def test_a_proxy_that_is_silent_is_no_connection(library: Any, run: Run | None) -> None:
    with FaultServer(answers(then=wait)) as server:
        proxy, endpoint, quick = (
            f"http://localhost:{server.port}",
            Endpoint(url="https://moondream.test/v1"),
            Timeouts(connect=0.2),
        )
        if run is None:
            with library.Client(proxy=proxy, verify=TLS) as client, pytest.raises(ConnectTimeout):
                Client(HttpxTransport(client), endpoint, timeouts=quick).send(QUERY)
            return

        async def main() -> None:
            async with library.AsyncClient(proxy=proxy, verify=TLS) as client:
                with pytest.raises(ConnectTimeout):
                    await AsyncClient(AsyncHttpxTransport(client), endpoint, timeouts=quick).send(
                        QUERY
                    )

        run(main)


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


# Leaving


@each_library
@pytest.mark.parametrize("tls", [False, True], ids=["http", "https"])
def test_closed_by_another_thread(library: Any, tls: bool) -> None:
    with (
        FaultServer(
            answers(*F1, then=wait), ssl_context=server_tls("localhost") if tls else None
        ) as server,
        library.Client(trust_env=False, verify=TLS) as client,
    ):
        with Client(HttpxTransport(client), Endpoint(url=server.url)).stream(QUERY) as stream:
            assert [next(stream) for _ in EVENTS] == EVENTS
            closing = threading.Timer(0.1, stream.close)
            closing.start()
            with pytest.raises(ConnectionLost):
                next(stream)
            closing.join()
        assert connections(client) == []


@each_library
@each_loop
def test_closed_by_another_task(library: Any, run: Run) -> None:
    anyio = import_module("anyio")

    async def main() -> None:
        async with library.AsyncClient(trust_env=False, verify=TLS) as client:
            stream = await AsyncHttpxTransport(client).send(
                QUERY.to_http(Endpoint(url=server.url)), Timeouts()
            )
            async with anyio.create_task_group() as tasks:
                while (await stream.read(5)) != DELTAS[-1]:
                    pass

                async def close() -> None:
                    await anyio.sleep(0.05)
                    await stream.aclose()

                tasks.start_soon(close)
                with pytest.raises(ConnectionLost):
                    await stream.read(5)
            assert connections(client) == []

    with FaultServer(answers(*F1, then=wait)) as server:
        run(main)


@each_library
@each_loop
@pytest.mark.parametrize("phase", ["connecting", "head", "upload", "body", "between"])
def test_cancelled_scopes_leave_the_pool_whole(library: Any, run: Run, phase: str) -> None:
    anyio = import_module("anyio")
    body = b"A" * (20_000_000 if phase == "upload" else 2)

    def script(peer: Peer) -> None:
        if phase == "upload":
            peer.sock.recv(1000)
            threading.Event().wait(0.3)
        elif phase in ("body", "between"):
            peer.answer(*F1)
        peer.wait_until_closed()

    async def main() -> None:
        async with library.AsyncClient(trust_env=False, verify=TLS) as client:
            request = QUERY.to_http(Endpoint(url=url))
            request = type(request)(request.method, request.url, request.headers, body)
            stream: Any = None
            with anyio.move_on_after(0.15) as scope:
                try:
                    stream = await AsyncHttpxTransport(client).send(request, Timeouts())
                    while phase == "body":
                        await stream.read(5)
                    await stream.read(5)
                    await anyio.sleep(5)
                finally:
                    if stream is not None:
                        await stream.aclose()
            assert scope.cancelled_caught
            assert connections(client) == []
            if run is not trio.run:
                await asyncio.sleep(0)
                assert asyncio.all_tasks() == {asyncio.current_task()}

    with FaultServer(script) as server:
        url = server.url.replace("http:", "https:") if phase == "connecting" else server.url
        run(main)


@each_library
@each_loop
def test_exchanges_use_one_connection(library: Any, run: Run) -> None:
    def script(peer: Peer) -> None:
        for _ in range(5):
            peer.answer(*WHOLE)
        peer.wait_until_closed()

    async def main() -> None:
        async with library.AsyncClient(trust_env=False, verify=TLS) as client:
            ours = AsyncClient(AsyncHttpxTransport(client), Endpoint(url=server.url))
            assert {(await ours.send(QUERY)).text for _ in range(5)} == {TEXT}
            (connection,) = connections(client)
            assert connection.is_idle()

    with FaultServer(script) as server:
        run(main)
    assert server.connections == 1


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
            if not await asyncio.to_thread(self.seen.acquire, timeout=TIMEOUT):
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
            end = monotonic() + TIMEOUT
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
    """Two at once on one connection: one is left, one passes its deadline; the other comes whole."""
    server = HTTP2Server()

    async def main() -> None:
        for library in (httpx2, httpx):
            async with library.AsyncClient(trust_env=False, verify=TLS, http2=True) as client:
                transport, endpoint = AsyncHttpxTransport(client), Endpoint(url=url, api_key=KEY)
                ours, hasty = (
                    AsyncClient(transport, endpoint),
                    AsyncClient(transport, endpoint, timeouts=Timeouts(idle=0.1)),
                )
                async with ours.stream(QUERY) as stream:
                    assert await anext(stream) == EVENTS[0]
                    async with hasty.stream(QUERY) as late:
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
