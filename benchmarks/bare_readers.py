"""Readers of the streams of end_to_end.py through bare libraries, without our transports.

Each gives, for a server's address, a function that reads one whole stream and asserts its size.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from importlib import import_module
from typing import Any, TypeAlias

from stream_server import LAST_CHUNK, WORK

QUESTION = "?"
CHUNK = 64 * 1024


Ask: TypeAlias = Callable[[], Awaitable[None]]


Opened: TypeAlias = Callable[[str], AbstractAsyncContextManager[Ask]]


BODY = json.dumps({"question": QUESTION, "stream": True}).encode()
HEADERS = {"Content-Type": "application/json"}
BODY_BYTES = sum(map(len, WORK.records))
READ_TIMEOUT = 120.0


def async_httpx_client(library: str) -> Any:
    module = import_module(library)
    return module.AsyncClient(
        trust_env=False, timeout=READ_TIMEOUT, limits=module.Limits(max_connections=None)
    )


@asynccontextmanager
async def bare_urllib(url: str) -> AsyncIterator[Ask]:
    import urllib.request

    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))

    async def ask() -> None:
        size = 0
        with opener.open(
            urllib.request.Request(f"{url}/v1/query", BODY, HEADERS), timeout=READ_TIMEOUT
        ) as response:
            while data := response.read1(CHUNK):
                size += len(data)
        assert size == BODY_BYTES

    yield ask


def bare_httpx(library: str) -> Opened:
    @asynccontextmanager
    async def opened(url: str) -> AsyncIterator[Ask]:
        with import_module(library).Client(trust_env=False, timeout=READ_TIMEOUT) as client:

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
        async with async_httpx_client(library) as client:

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
    """Keep the connection, and look only for the bytes of the last chunk."""
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
    """Do the same as `bare_asyncio`."""
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
    """Do the same as `bare_asyncio`, through anyio."""
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
    """Return the port of a server, and the bytes to send to it."""
    host, _, path = url.removeprefix("http://").partition("/")
    head = f"POST /{path}/v1/query HTTP/1.1\r\nHost: {host}\r\nContent-Length: {len(BODY)}\r\n\r\n"
    return int(host.partition(":")[2]), head.encode() + BODY
