"""Who reads the streams of end_to_end.py: our transports through a client, the bare libraries under
them, and the peers.

Each gives, for a server's address, a function that reads one whole stream and asserts what came.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager, nullcontext
from dataclasses import dataclass
from importlib import import_module
from typing import Any, TypeAlias

from stream_server import EVENTS, LAST_CHUNK, WORK, texts

QUESTION = "?"
CHUNK = 64 * 1024

Ask: TypeAlias = Callable[[], Awaitable[None]]
Opened: TypeAlias = Callable[[str], AbstractAsyncContextManager[Ask]]

BODY = json.dumps({"question": QUESTION, "stream": True}).encode()
HEADERS = {"Content-Type": "application/json"}
BODY_BYTES = sum(map(len, WORK.records))
PATIENCE = 120.0


def ours_sync(transport: Callable[[], Any]) -> Opened:
    @asynccontextmanager
    async def opened(url: str) -> AsyncIterator[Ask]:
        from moondream_transports import Client
        from sansio_moondream import Endpoint, QueryRequest

        with transport() as made:
            client, request = Client(made, Endpoint(f"{url}/v1")), QueryRequest(question=QUESTION)

            async def ask() -> None:
                events = 0
                with client.stream(request) as stream:
                    for _ in stream:
                        events += 1
                    assert events == WORK.events
                    assert stream.result().text == WORK.text

            yield ask

    return opened


def ours_async(transport: Callable[[], Any]) -> Opened:
    @asynccontextmanager
    async def opened(url: str) -> AsyncIterator[Ask]:
        from moondream_transports import AsyncClient
        from sansio_moondream import Endpoint, QueryRequest

        async with transport() as made:
            client, request = (
                AsyncClient(made, Endpoint(f"{url}/v1")),
                QueryRequest(question=QUESTION),
            )

            async def ask() -> None:
                events = 0
                async with client.stream(request) as stream:
                    async for _ in stream:
                        events += 1
                    assert events == WORK.events
                    assert (await stream.result()).text == WORK.text

            yield ask

    return opened


def our_urllib() -> Any:
    from moondream_transports import UrllibTransport

    return nullcontext(UrllibTransport(proxies={}))


def our_httpx(library: str) -> Callable[[], Any]:
    @contextmanager
    def transport() -> Iterator[Any]:
        from moondream_transports import HttpxTransport

        with import_module(library).Client(trust_env=False) as client:
            yield HttpxTransport(client)

    return transport


def our_async_httpx(library: str) -> Callable[[], Any]:
    @asynccontextmanager
    async def transport() -> AsyncIterator[Any]:
        from moondream_transports import AsyncHttpxTransport

        async with _async_httpx_client(library) as client:
            yield AsyncHttpxTransport(client)

    return transport


def _async_httpx_client(library: str) -> Any:
    module = import_module(library)
    return module.AsyncClient(
        trust_env=False, timeout=PATIENCE, limits=module.Limits(max_connections=None)
    )


def our_aiohttp() -> Any:
    from moondream_transports import AiohttpTransport

    return AiohttpTransport()


def our_anyio() -> Any:
    from moondream_transports import AnyioTransport

    return AnyioTransport()


@asynccontextmanager
async def bare_urllib(url: str) -> AsyncIterator[Ask]:
    import urllib.request

    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))

    async def ask() -> None:
        size = 0
        with opener.open(
            urllib.request.Request(f"{url}/v1/query", BODY, HEADERS), timeout=PATIENCE
        ) as response:
            while data := response.read1(CHUNK):
                size += len(data)
        assert size == BODY_BYTES

    yield ask


def bare_httpx(library: str) -> Opened:
    @asynccontextmanager
    async def opened(url: str) -> AsyncIterator[Ask]:
        with import_module(library).Client(trust_env=False, timeout=PATIENCE) as client:

            async def ask() -> None:
                size = 0
                with client.stream(
                    "POST", f"{url}/v1/query", content=BODY, headers=HEADERS
                ) as response:
                    for data in response.iter_raw():
                        size += len(data)
                assert size == BODY_BYTES

            yield ask

    return opened


def bare_async_httpx(library: str) -> Opened:
    @asynccontextmanager
    async def opened(url: str) -> AsyncIterator[Ask]:
        async with _async_httpx_client(library) as client:

            async def ask() -> None:
                size = 0
                async with client.stream(
                    "POST", f"{url}/v1/query", content=BODY, headers=HEADERS
                ) as response:
                    async for data in response.aiter_raw():
                        size += len(data)
                assert size == BODY_BYTES

            yield ask

    return opened


@asynccontextmanager
async def bare_aiohttp(url: str) -> AsyncIterator[Ask]:
    import aiohttp

    async with aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0), auto_decompress=False
    ) as session:

        async def ask() -> None:
            size = 0
            async with session.post(f"{url}/v1/query", data=BODY, headers=HEADERS) as response:
                async for data in response.content.iter_any():
                    size += len(data)
            assert size == BODY_BYTES

        yield ask


@asynccontextmanager
async def bare_asyncio(url: str) -> AsyncIterator[Ask]:
    """A kept connection, and not even HTTP: the last chunk is the end."""
    port, request = _raw_request(url)
    idle: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []

    async def ask() -> None:
        reader, writer = idle.pop() if idle else await asyncio.open_connection("127.0.0.1", port)
        writer.write(request)
        data, size = b"", 0
        while not data.endswith(LAST_CHUNK):
            data = await reader.read(CHUNK)
            assert data, "the server closed"
            size += len(data)
        assert size > BODY_BYTES
        idle.append((reader, writer))

    yield ask
    for _, writer in idle:
        writer.close()


@asynccontextmanager
async def bare_trio(url: str) -> AsyncIterator[Ask]:
    """As `bare_asyncio`."""
    import trio

    port, request = _raw_request(url)
    idle: list[trio.SocketStream] = []

    async def ask() -> None:
        stream = idle.pop() if idle else await trio.open_tcp_stream("127.0.0.1", port)
        await stream.send_all(request)
        data, size = b"", 0
        while not data.endswith(LAST_CHUNK):
            data = await stream.receive_some(CHUNK)
            assert data, "the server closed"
            size += len(data)
        assert size > BODY_BYTES
        idle.append(stream)

    yield ask
    for stream in idle:
        await stream.aclose()


@asynccontextmanager
async def bare_anyio(url: str) -> AsyncIterator[Ask]:
    """As `bare_asyncio`, through anyio."""
    import anyio
    from anyio.abc import SocketStream

    port, request = _raw_request(url)
    idle: list[SocketStream] = []

    async def ask() -> None:
        stream = idle.pop() if idle else await anyio.connect_tcp("127.0.0.1", port)
        await stream.send(request)
        data, size = b"", 0
        while not data.endswith(LAST_CHUNK):
            data = await stream.receive(CHUNK)
            size += len(data)
        assert size > BODY_BYTES
        idle.append(stream)

    yield ask
    for stream in idle:
        await stream.aclose()


def _raw_request(url: str) -> tuple[int, bytes]:
    """The port of a server, and what to send to it."""
    host, _, path = url.removeprefix("http://").partition("/")
    head = f"POST /{path}/v1/query HTTP/1.1\r\nHost: {host}\r\nContent-Length: {len(BODY)}\r\n\r\n"
    return int(host.partition(":")[2]), head.encode() + BODY


@asynccontextmanager
async def moondream(url: str) -> AsyncIterator[Ask]:
    client = import_module("moondream").vl(endpoint=f"{url}/v1")

    async def ask() -> None:
        assert "".join(client.query(question=QUESTION, stream=True)["answer"]) == WORK.text

    yield ask


@asynccontextmanager
async def openai(url: str) -> AsyncIterator[Ask]:
    package, text = import_module("openai"), "".join(texts(EVENTS - 2))
    with (
        import_module("httpx2").Client(trust_env=False) as http,
        package.OpenAI(
            api_key="none", base_url=f"{url}/v1", http_client=http, max_retries=0
        ) as client,
    ):

        async def ask() -> None:
            messages = [{"role": "user", "content": QUESTION}]
            with client.chat.completions.create(
                model="m", messages=messages, stream=True
            ) as chunks:
                assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == text

        yield ask


@asynccontextmanager
async def anthropic(url: str) -> AsyncIterator[Ask]:
    package, text = import_module("anthropic"), "".join(texts(EVENTS - 5))
    with (
        import_module("httpx2").Client(trust_env=False) as http,
        package.Anthropic(api_key="none", base_url=url, http_client=http, max_retries=0) as client,
    ):

        async def ask() -> None:
            messages = [{"role": "user", "content": QUESTION}]
            with client.messages.create(
                model="m", max_tokens=1000, messages=messages, stream=True
            ) as events:
                assert (
                    "".join(
                        event.delta.text for event in events if event.type == "content_block_delta"
                    )
                    == text
                )

        yield ask


@dataclass(frozen=True)
class Candidate:
    open: Opened
    backend: str = "sync"  # or asyncio or trio
    bare: str | None = None  # of one of ours: the bare library that it is measured against
    bare_idle: str | None = None  # the same for memory, where it is another

    @property
    def bares(self) -> tuple[str | None, str | None]:
        """What it is measured against in speed, and in memory."""
        return self.bare, self.bare_idle or self.bare


OFFICIAL = "moondream"
# In the order in which they run: what is compared stands side by side.
CANDIDATES = {
    "urllib": Candidate(ours_sync(our_urllib), bare="bare-urllib"),
    "bare-urllib": Candidate(bare_urllib),
    OFFICIAL: Candidate(moondream),
    "aiohttp": Candidate(ours_async(our_aiohttp), "asyncio", "bare-aiohttp"),
    "bare-aiohttp": Candidate(bare_aiohttp, "asyncio"),
    "httpx2": Candidate(ours_sync(our_httpx("httpx2")), bare="bare-httpx2"),
    "bare-httpx2": Candidate(bare_httpx("httpx2")),
    "httpx": Candidate(ours_sync(our_httpx("httpx")), bare="bare-httpx"),
    "bare-httpx": Candidate(bare_httpx("httpx")),
    "httpx2-async": Candidate(
        ours_async(our_async_httpx("httpx2")), "asyncio", "bare-httpx2-async"
    ),
    "bare-httpx2-async": Candidate(bare_async_httpx("httpx2"), "asyncio"),
    "httpx-async": Candidate(ours_async(our_async_httpx("httpx")), "asyncio", "bare-httpx-async"),
    "bare-httpx-async": Candidate(bare_async_httpx("httpx"), "asyncio"),
    "anyio-asyncio": Candidate(
        ours_async(our_anyio), "asyncio", "bare-asyncio", "bare-anyio-asyncio"
    ),
    "bare-asyncio": Candidate(bare_asyncio, "asyncio"),
    "bare-anyio-asyncio": Candidate(bare_anyio, "asyncio"),
    "anyio-trio": Candidate(ours_async(our_anyio), "trio", "bare-trio", "bare-anyio-trio"),
    "bare-trio": Candidate(bare_trio, "trio"),
    "bare-anyio-trio": Candidate(bare_anyio, "trio"),
    "openai": Candidate(openai),
    "anthropic": Candidate(anthropic),
}
