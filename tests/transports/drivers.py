"""Every transport, driven alike: a test is written once, as a coroutine, and runs over all of them.

A `Driver` opens its transport, wraps a client around it, and runs the test's coroutine: on its event loop, or, where the client is
a sync one, step by step without any, as then nothing in it ever waits.
"""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from functools import cache
from types import ModuleType
from typing import Any, Protocol, TypeVar, cast

import pytest

import moondream_transports as transports
from moondream_transports import AsyncClient, Client, ClientStream
from sansio_moondream import Endpoint, Event, MoondreamError, Request

from .fault_server import PATIENCE

T = TypeVar("T")
Opened = Callable[..., AbstractAsyncContextManager[Any]]


@dataclass(frozen=True)
class Driver:
    """One way to a server.

    `transport(ssl_context=, proxy=)` is a context manager that gives a transport over a session of the test's own, and closes both;
    `own()` gives one that makes its session itself. `backend` is sync, asyncio or trio.
    """

    name: str
    backend: str
    transport: Opened
    kind: str = ""
    pools: bool = True  # keeps connections for the next exchange

    @property
    def is_async(self) -> bool:
        return self.backend != "sync"

    def run(self, main: Callable[..., Coroutine[Any, Any, T]], *args: Any, debug: bool = True) -> T:
        """Run a test's coroutine to its end. It leaves no task behind."""
        if self.backend == "sync":
            return _run_without_a_loop(main(*args))
        if self.backend == "trio":
            trio: Any = pytest.importorskip("trio")
            outcome: T = trio.run(main, *args)
            return outcome

        async def watched() -> T:
            asyncio.get_running_loop().slow_callback_duration = 10  # the machine is slow, not the library
            try:
                return await main(*args)
            finally:
                await asyncio.sleep(0)
                left = asyncio.all_tasks() - {asyncio.current_task()}
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
            elif self.pools:
                transport.close()

    def client(self, transport: Any, endpoint: Endpoint, **options: Any) -> AsyncClient:
        """An AsyncClient, or a Client that looks like one."""
        if self.is_async:
            return AsyncClient(transport, endpoint, **options)
        return cast(AsyncClient, _AsyncLooking(Client(transport, endpoint, **options)))

    async def sleep(self, seconds: float) -> None:
        """Let the event loop run, where there is one."""
        if self.backend == "sync":
            time.sleep(seconds)  # noqa: ASYNC251 - there is no loop that it could block
        elif self.backend == "asyncio":
            await asyncio.sleep(seconds)
        else:
            await pytest.importorskip("trio").sleep(seconds)

    async def forever(self) -> None:
        """Until cancelled."""
        await self.sleep(10 * PATIENCE)

    async def cancelled_after(self, seconds: float, main: Callable[[], Awaitable[object]]) -> None:
        """Run it in a task that is cancelled after a while; what comes out then must be the cancellation."""

        async def main_and_cancel(cancel: Callable[[], object]) -> None:
            if self.backend == "asyncio":
                asyncio.get_running_loop().call_later(seconds, cancel)
                await main()
            else:
                with pytest.importorskip("trio").move_on_after(seconds):
                    await main()
                cancel()
                await self.sleep(0)

        await self.cancelled(main_and_cancel)

    async def cancelled(self, main: Callable[[Callable[[], object]], Awaitable[object]]) -> None:
        """Run it in a task that cancels itself by what it is given; what comes out must be the cancellation."""
        if self.backend == "trio":
            with pytest.importorskip("trio").CancelScope() as scope:
                await main(scope.cancel)
            assert scope.cancelled_caught
            return

        async def cancelling() -> None:
            task = asyncio.current_task()
            assert task is not None
            await main(task.cancel)

        with pytest.raises(asyncio.CancelledError):
            await asyncio.create_task(cancelling())

    async def all_of(self, mains: Iterable[Callable[[], Awaitable[object]]]) -> None:
        """Run all at once."""
        if self.backend == "trio":
            async with pytest.importorskip("trio").open_nursery() as nursery:
                for main in mains:
                    nursery.start_soon(main)
        else:
            await asyncio.gather(*(main() for main in mains))

    async def together(self, first: Callable[[], Awaitable[object]], then: Callable[[], Awaitable[object]]) -> None:
        """Run both, the second one when the first waits."""

        async def later() -> None:
            await self.sleep(0.05)
            await then()

        await self.all_of([first, later])


def _run_without_a_loop(coroutine: Coroutine[Any, Any, T]) -> T:
    try:
        coroutine.send(None)
    except StopIteration as end:
        return cast(T, end.value)
    raise AssertionError("a sync transport awaited something")


class _AsyncLooking:
    def __init__(self, client: Client) -> None:
        self._client = client

    def stream(self, request: Request[Any], **options: Any) -> _AsyncLookingStream:
        return _AsyncLookingStream(self._client.stream(request, **options))

    def __getattr__(self, name: str) -> Callable[..., Awaitable[Any]]:
        async def call(*args: Any, **kwargs: Any) -> Any:
            return getattr(self._client, name)(*args, **kwargs)

        return call


class _AsyncLookingStream:
    def __init__(self, stream: ClientStream[Any]) -> None:
        self.sync = stream

    @property
    def snapshot(self) -> Any:
        return self.sync.snapshot

    async def result(self) -> Any:
        return self.sync.result()

    async def aclose(self) -> None:
        self.sync.close()

    async def __aenter__(self) -> _AsyncLookingStream:
        self.sync.__enter__()
        return self

    async def __aexit__(self, *error: Any) -> None:
        self.sync.__exit__(*error)

    def __aiter__(self) -> AsyncIterator[Event]:
        return self

    async def __anext__(self) -> Event:
        try:
            return next(self.sync)
        except StopIteration:
            raise StopAsyncIteration from None


class Server(Protocol):
    """What of a FaultServer is needed here."""

    @property
    def url(self) -> str: ...

    def saw_event(self) -> None: ...


@asynccontextmanager
async def never(ssl_context: ssl.SSLContext | None = None, proxy: str | None = None) -> AsyncIterator[Any]:
    """For a driver whose tests bring a transport of their own."""
    raise AssertionError("this driver has no transport")
    yield


KEY = "key-that-must-not-leak"


async def exchange(driver: Driver, transport: Any, server: Server, request: Request[Any], **options: Any) -> tuple[list[Event], Any]:
    """All events of one exchange, and its result or the error that ended it."""
    client = driver.client(transport, Endpoint(url=server.url, api_key=KEY), **options)
    events: list[Event] = []
    try:
        async with client.stream(request) as stream:
            async for event in stream:
                events.append(event)
                server.saw_event()
            return events, await stream.result()
    except MoondreamError as error:
        return events, error


@asynccontextmanager
async def _urllib(ssl_context: ssl.SSLContext | None = None, proxy: str | None = None) -> AsyncIterator[transports.UrllibTransport]:
    yield transports.UrllibTransport(ssl_context=ssl_context, proxies={} if proxy is None else {"http": proxy, "https": proxy})


@cache
def _default_context() -> ssl.SSLContext:
    """Made once: it takes longer than most tests."""
    return ssl.create_default_context()


def _httpx(name: str) -> Opened:
    @asynccontextmanager
    async def opened(ssl_context: ssl.SSLContext | None = None, proxy: str | None = None) -> AsyncIterator[transports.HttpxTransport]:
        library: ModuleType = pytest.importorskip(name)
        with library.Client(verify=ssl_context or _default_context(), proxy=proxy, trust_env=False) as client:
            yield transports.HttpxTransport(client)

    return opened


def _httpx_async(name: str) -> Opened:
    @asynccontextmanager
    async def opened(ssl_context: ssl.SSLContext | None = None, proxy: str | None = None) -> AsyncIterator[transports.AsyncHttpxTransport]:
        library: ModuleType = pytest.importorskip(name)
        async with library.AsyncClient(verify=ssl_context or _default_context(), proxy=proxy, trust_env=False) as client:
            yield transports.AsyncHttpxTransport(client)

    return opened


@asynccontextmanager
async def _aiohttp(ssl_context: ssl.SSLContext | None = None, proxy: str | None = None) -> AsyncIterator[transports.AiohttpTransport]:
    library = pytest.importorskip("aiohttp")
    connector = library.TCPConnector(ssl=ssl_context or True)
    async with library.ClientSession(connector=connector, proxy=proxy) as session:
        yield transports.AiohttpTransport(session)


@asynccontextmanager
async def _anyio(ssl_context: ssl.SSLContext | None = None, proxy: str | None = None) -> AsyncIterator[transports.AnyioTransport]:
    async with transports.AnyioTransport(ssl_context=ssl_context, proxy=proxy) as transport:
        yield transport


DRIVERS = [
    Driver("urllib", "sync", _urllib, "UrllibTransport", pools=False),
    Driver("httpx2", "sync", _httpx("httpx2"), "HttpxTransport"),
    Driver("httpx", "sync", _httpx("httpx"), "HttpxTransport"),
    Driver("httpx2-asyncio", "asyncio", _httpx_async("httpx2"), "AsyncHttpxTransport"),
    Driver("httpx2-trio", "trio", _httpx_async("httpx2"), "AsyncHttpxTransport"),
    Driver("httpx-asyncio", "asyncio", _httpx_async("httpx"), "AsyncHttpxTransport"),
    Driver("aiohttp", "asyncio", _aiohttp, "AiohttpTransport"),
    Driver("anyio-asyncio", "asyncio", _anyio, "AnyioTransport"),
    Driver("anyio-trio", "trio", _anyio, "AnyioTransport"),
]
each_driver = pytest.mark.parametrize("driver", DRIVERS, ids=lambda driver: driver.name)
