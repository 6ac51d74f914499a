"""Every transport of ours, driven alike: a test is written once, as a coroutine, and runs over all
of them.

A `Adapter` is what the conformance suite calls a backend, and runs the test's coroutine: on its event
loop, or, where the client is a sync one, step by step without any, as then nothing in it ever
waits."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager, contextmanager
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any, TypeVar

import pytest

import moondream_transports as transports
from moondream_transports.conformance._backend import Backend, run_without_a_loop
from moondream_transports.conformance._secrets import leaks

T = TypeVar("T")


class Adapter(Backend):
    """One way to a server.

    `factory(ssl_context=, proxy=)` is a context manager that gives a transport over a session of
    the test's own, and closes both; `own()` gives one that makes its session itself. `backend` is
    sync, asyncio or trio."""

    def __init__(
        self, name: str, backend: str, factory: Callable[..., Any], kind: str = ""
    ) -> None:
        super().__init__(backend, factory)
        self.name = name
        self.kind = kind

    def run(self, main: Callable[..., Coroutine[Any, Any, T]], *args: Any, debug: bool = True) -> T:
        """Run a test's coroutine to its end. It leaves no task behind."""
        if self.backend == "sync":
            return run_without_a_loop(main(*args))
        if self.backend == "trio":
            trio: Any = pytest.importorskip("trio")
            outcome: T = trio.run(main, *args)
            return outcome

        async def watched() -> T:
            asyncio.get_running_loop().slow_callback_duration = (
                10  # the machine is slow, not the library
            )
            try:
                return await main(*args)
            finally:
                await asyncio.sleep(0)
                left = self.tasks()
                assert not left, left

        return asyncio.run(watched(), debug=debug)

    @asynccontextmanager
    async def own(self) -> AsyncIterator[Any]:
        """A transport that was told nothing."""
        transport = getattr(transports, self.kind)()
        try:
            yield transport
        finally:
            if self.is_async:
                await transport.aclose()
            else:
                transport.close()


@asynccontextmanager
async def never(
    ssl_context: ssl.SSLContext | None = None, proxy: str | None = None
) -> AsyncIterator[Any]:
    """For a adapter whose tests bring a transport of their own."""
    raise AssertionError("this adapter has no transport")
    yield


def assert_no_key(error: object, *texts: str) -> None:
    """The key is in none of it; the tests themselves know it."""
    assert leaks(error, *texts, knowing=str(Path(__file__).parent)) == []


@contextmanager
def _urllib(
    ssl_context: ssl.SSLContext | None = None, proxy: str | None = None
) -> Iterator[transports.UrllibTransport]:
    proxies = {} if proxy is None else {"http": proxy, "https": proxy}
    with transports.UrllibTransport(ssl_context=ssl_context, proxies=proxies) as transport:
        yield transport


@cache
def _default_context() -> ssl.SSLContext:
    """Made once: it takes longer than most tests."""
    return ssl.create_default_context()


def _httpx(name: str) -> Callable[..., Any]:
    @contextmanager
    def opened(
        ssl_context: ssl.SSLContext | None = None, proxy: str | None = None
    ) -> Iterator[transports.HttpxTransport]:
        library: ModuleType = pytest.importorskip(name)
        with library.Client(
            verify=ssl_context or _default_context(), proxy=proxy, trust_env=False
        ) as client:
            yield transports.HttpxTransport(client)

    return opened


def _httpx_async(name: str) -> Callable[..., Any]:
    @asynccontextmanager
    async def opened(
        ssl_context: ssl.SSLContext | None = None, proxy: str | None = None
    ) -> AsyncIterator[transports.AsyncHttpxTransport]:
        library: ModuleType = pytest.importorskip(name)
        async with library.AsyncClient(
            verify=ssl_context or _default_context(), proxy=proxy, trust_env=False
        ) as client:
            yield transports.AsyncHttpxTransport(client)

    return opened


@asynccontextmanager
async def _aiohttp(
    ssl_context: ssl.SSLContext | None = None, proxy: str | None = None
) -> AsyncIterator[transports.AiohttpTransport]:
    library = pytest.importorskip("aiohttp")
    connector = library.TCPConnector(ssl=ssl_context or True)
    async with library.ClientSession(connector=connector) as session:
        yield transports.AiohttpTransport(session, proxy=proxy)


@asynccontextmanager
async def _anyio(
    ssl_context: ssl.SSLContext | None = None, proxy: str | None = None
) -> AsyncIterator[transports.AnyioTransport]:
    async with transports.AnyioTransport(ssl_context=ssl_context, proxy=proxy) as transport:
        yield transport


ADAPTERS = [
    Adapter("urllib", "sync", _urllib, "UrllibTransport"),
    Adapter("httpx2", "sync", _httpx("httpx2"), "HttpxTransport"),
    Adapter("httpx", "sync", _httpx("httpx"), "HttpxTransport"),
    Adapter("httpx2-asyncio", "asyncio", _httpx_async("httpx2"), "AsyncHttpxTransport"),
    Adapter("httpx2-trio", "trio", _httpx_async("httpx2"), "AsyncHttpxTransport"),
    Adapter("httpx-asyncio", "asyncio", _httpx_async("httpx"), "AsyncHttpxTransport"),
    Adapter("aiohttp", "asyncio", _aiohttp, "AiohttpTransport"),
    Adapter("anyio-asyncio", "asyncio", _anyio, "AnyioTransport"),
    Adapter("anyio-trio", "trio", _anyio, "AnyioTransport"),
]
each_adapter = pytest.mark.parametrize("adapter", ADAPTERS, ids=lambda adapter: adapter.name)
