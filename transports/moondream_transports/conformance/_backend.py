"""A transport, sync or async, driven alike: a check is written once, as a coroutine, and runs for
both.

1. A `Backend` opens transports, wraps a client around them, and knows how to wait, to cancel and to
   run two things at once there.
2. With a sync transport nothing in such a coroutine ever waits, so it runs step by step without an
   event loop.
3. With an async one it runs in the loop that is there, asyncio's or trio's. It must not block it: a
   connection is often closed by the loop a step after it was told to.
"""

from __future__ import annotations

import asyncio
import inspect
import ssl
import sys
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Coroutine, Iterable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from time import monotonic
from typing import Any, TypeVar, cast

from moondream_transports import AsyncClient, Client, ClientStream, Timeouts
from sansio_moondream import Endpoint, Event, HTTPRequest, Request

from . import _certificates as certificates
from ._case import Need, Unexpected, in_words
from ._fault_server import PATIENCE, FaultServer, Script
from ._secrets import KEY

T = TypeVar("T")


class Backend:
    """One way to make transports, and what their checks need.

    `backend` is sync, asyncio or trio.
    """

    def __init__(
        self, backend: str, factory: Callable[..., Any], patience: float = PATIENCE
    ) -> None:
        self.backend = backend
        self.factory = factory
        self.patience = patience
        self.at_once = min(
            5.0, patience / 2
        )  # seconds within which a connection is closed, at the latest: machines may be busy

    @property
    def is_async(self) -> bool:
        return self.backend != "sync"

    def takes(self, *names: str) -> str | None:
        """The first of these keyword arguments that the factory has."""
        parameters = inspect.signature(self.factory).parameters
        return next((name for name in names if name in parameters), None)

    def lacks(self, need: Need) -> str | None:
        """Why what needs this cannot be checked, if it cannot."""
        if need == "certificates" and not certificates.can_be_made():
            return "trustme, which makes the certificates, is not installed: pip install 'sansio-moondream[testing]'"
        if need == "trust" and self.takes("ssl_context", "ca_file") is None:
            return "the factory takes neither ssl_context= nor ca_file="
        if need == "proxy" and self.takes("proxy") is None:
            return "the factory takes no proxy="
        return None

    def transport(self, **options: Any) -> AbstractAsyncContextManager[Any]:
        """A new transport, closed at the end of the block."""
        return _Opened(self.factory(**options))

    def trusting(self) -> dict[str, str | ssl.SSLContext]:
        """Options of a transport that trusts our certificates, and no others."""
        if self.takes("ssl_context"):
            return {"ssl_context": certificates.client_tls()}
        return {"ca_file": certificates.ca_file()}

    @asynccontextmanager
    async def server(
        self, script: Script, *, ssl_context: ssl.SSLContext | None = None
    ) -> AsyncGenerator[FaultServer, None]:
        """A server that does this. What the checks in the block raise knows what the server did."""
        with FaultServer(script, ssl_context=ssl_context, patience=self.patience) as server:
            try:
                try:
                    yield server
                finally:
                    server.stop_listening()
                    await self._until_idle(server, self.patience)
                server.raise_failure()
            except Unexpected as failure:
                raise Unexpected(
                    failure.expected, failure.came, failure.server or str(server.transcript)
                ) from failure.__cause__
            except Exception as failure:
                raise Unexpected(
                    "no error here", in_words(failure), str(server.transcript)
                ) from failure

    async def over(self, server: FaultServer) -> None:
        """All that was done with the server is over: its connections are closed, though the
        transport is not. Else raise Unexpected.
        """
        await self._until_idle(server, self.at_once)
        server.raise_failure()

    async def _until_idle(self, server: FaultServer, seconds: float) -> None:
        end = monotonic() + seconds
        while server.is_busy() and monotonic() < end:
            await self.sleep(0.001)

    def client(self, transport: Any, endpoint: Endpoint, **options: Any) -> AsyncClient:
        """An AsyncClient, or a Client that looks like one."""
        if self.is_async:
            return AsyncClient(transport, endpoint, **options)
        return cast(AsyncClient, _AsyncLooking(Client(transport, endpoint, **options)))

    def asks(self, transport: Any, url: str, **options: Any) -> AsyncClient:
        """The same for an endpoint that has a key, though it is a server without TLS."""
        return self.client(
            transport, Endpoint(url=url, api_key=KEY, allow_insecure_key=True), **options
        )

    async def send(self, transport: Any, request: HTTPRequest, timeouts: Timeouts) -> Any:
        """`Transport.send`, without a client: a stream with `read` and `aclose` to be awaited."""
        stream = transport.send(request, timeouts)
        return await stream if self.is_async else _AsyncLookingBytes(stream)

    async def sleep(self, seconds: float) -> None:
        """Let the event loop run, where there is one."""
        if self.backend == "sync":
            time.sleep(seconds)  # noqa: ASYNC251 - there is no loop that it could block
        elif self.backend == "asyncio":
            await asyncio.sleep(seconds)
        else:
            await _trio().sleep(seconds)

    async def forever(self) -> None:
        """Until cancelled."""
        await self.sleep(10 * PATIENCE)

    async def until(self, is_so: Callable[[], object], expected: str) -> None:
        """Wait until it is so. Raises Unexpected if it is not, at once."""
        end = monotonic() + self.at_once
        while not is_so():
            if monotonic() > end:
                raise Unexpected(expected, f"nothing of the kind within {self.at_once:g} seconds")
            await self.sleep(0.001)

    def tasks(self) -> set[Any]:
        """The other tasks of the event loop; of asyncio, as trio has none that are nobody's."""
        return (
            asyncio.all_tasks() - {asyncio.current_task()} if self.backend == "asyncio" else set()
        )

    async def cancelled_after(self, seconds: float, main: Callable[[], Awaitable[object]]) -> None:
        """Run it in a task that is cancelled after a while; what comes out then must be the
        cancellation.
        """

        async def main_and_cancel(cancel: Callable[[], object]) -> None:
            if self.backend == "asyncio":
                asyncio.get_running_loop().call_later(seconds, cancel)
                await main()
            else:
                with _trio().move_on_after(seconds):
                    await main()
                cancel()
                await self.sleep(0)

        await self.cancelled(main_and_cancel)

    async def cancelled(self, main: Callable[[Callable[[], object]], Awaitable[object]]) -> None:
        """Run it in a task that cancels itself by what it is given; what comes out must be the
        cancellation.
        """
        error: BaseException | None = None
        if self.backend == "trio":
            with _trio().CancelScope() as scope:
                try:
                    await main(scope.cancel)
                # whatever a transport makes of it, it is told
                except Exception as caught:  # noqa: BLE001
                    error = caught
            if scope.cancelled_caught:
                return
        else:

            async def cancelling() -> None:
                task = asyncio.current_task()
                assert task is not None
                await main(task.cancel)

            task = asyncio.create_task(cancelling())
            try:
                await asyncio.wait([task])
            finally:
                task.cancel()  # where we are cancelled ourselves
            if task.cancelled():
                return
            error = task.exception()
        if isinstance(error, Unexpected):
            raise error
        raise Unexpected(
            "the cancellation to come out", "none" if error is None else in_words(error)
        )

    async def all_of(self, mains: Iterable[Callable[[], Awaitable[object]]]) -> None:
        """Run all at once."""
        if self.backend == "trio":
            async with _trio().open_nursery() as nursery:
                for main in mains:
                    nursery.start_soon(main)
        else:
            await asyncio.gather(*(main() for main in mains))

    async def together(
        self, first: Callable[[], Awaitable[object]], then: Callable[[], Awaitable[object]]
    ) -> None:
        """Run both, the second one when the first waits."""

        async def later() -> None:
            await self.sleep(0.05)
            await then()

        await self.all_of([first, later])


def _trio() -> Any:
    return sys.modules["trio"]


def run_without_a_loop(coroutine: Coroutine[Any, Any, T]) -> T:
    """Run what never waits."""
    try:
        coroutine.send(None)
    except StopIteration as end:
        return cast(T, end.value)
    raise AssertionError("a sync transport awaited something")


class _Opened(AbstractAsyncContextManager[Any]):
    """Whatever a factory makes, opened and closed as it asks to be.

    No generator: where one is left open inside another, loops complain.
    """

    def __init__(self, made: Any) -> None:
        self._made = made
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Any:
        if hasattr(self._made, "__aenter__"):
            return await self._stack.enter_async_context(self._made)
        if hasattr(self._made, "__enter__"):
            return self._stack.enter_context(self._made)
        if hasattr(self._made, "aclose"):
            self._stack.push_async_callback(self._made.aclose)
        elif hasattr(self._made, "close"):
            self._stack.callback(self._made.close)
        return self._made

    async def __aexit__(self, *error: Any) -> bool | None:
        return await self._stack.__aexit__(*error)


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


class _AsyncLookingBytes:
    def __init__(self, stream: Any) -> None:
        self._stream = stream

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    async def read(self, timeout: float | None) -> bytes:
        return cast(bytes, self._stream.read(timeout))

    async def aclose(self) -> None:
        self._stream.close()
