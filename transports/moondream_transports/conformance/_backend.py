"""A sync or async transport, driven in one way: each check is written once, as a coroutine.

1. A `Backend` opens transports, puts a client on top of them, and knows how to wait, to cancel and
   to run two things at once on that backend.
2. With a sync transport nothing in such a coroutine waits, so it runs to its end without an event
   loop.
3. With an async transport it runs in the event loop of the caller, asyncio's or trio's, and never
   blocks it: the loop often closes a connection one step after it was asked to.
"""

from __future__ import annotations

import asyncio
import inspect
import ssl
import sys
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine, Iterable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from time import monotonic
from typing import Any, TypeVar, cast

from moondream_transports import AsyncClient, Client, Timeouts
from sansio_moondream import Endpoint, HTTPRequest

from . import _certificates as certificates
from ._expect import Need, Unexpected, describe
from ._fault_server import TIMEOUT, FaultServer, Script
from ._frames import frames_of, package_of
from ._observed import AsyncObservedTransport, ObservedTransport
from ._secrets import KEY, leaks
from ._sync_as_async import BytesAsAsync, ClientAsAsync

T = TypeVar("T")


class Backend:
    """What the checks of one kind of transport need.

    Attributes:
        backend: sync, asyncio or trio.
        factory: Makes the transports.
        timeout: Seconds after which a waiting check has failed.
        at_once: Seconds after which what has to happen at once has failed: machines may be busy.
        frames: The last frames of the transport's code in the last error that it raised.
        leaks: Texts of its errors that have the API key in them. The client would mask it.
    """

    def __init__(self, backend: str, factory: Callable[..., Any], timeout: float = TIMEOUT) -> None:
        self.backend = backend
        self.factory = factory
        self.timeout = timeout
        self.at_once = min(5.0, timeout / 2)
        self.frames: tuple[str, ...] = ()
        self.leaks: list[str] = []
        self._packages = {package_of(factory)}

    @property
    def is_async(self) -> bool:
        return self.backend != "sync"

    def takes(self, *names: str) -> str | None:
        """Return the first of these keyword arguments that the factory takes."""
        parameters = inspect.signature(self.factory).parameters
        return next((name for name in names if name in parameters), None)

    def lacks(self, need: Need) -> str | None:
        """Return the reason if a case with this need cannot be checked."""
        if need == "certificates" and not certificates.can_be_made():
            return (
                "trustme, which makes the certificates, is not installed:"
                " pip install 'sansio-moondream[testing]'"
            )
        if need == "trust" and self.takes("ssl_context", "ca_file") is None:
            return "the factory takes neither ssl_context= nor ca_file="
        if need == "proxy" and self.takes("proxy") is None:
            return "the factory takes no proxy="
        return None

    def transport(self, **options: Any) -> AbstractAsyncContextManager[Any]:
        """Return a context manager that gives a new transport, and closes it at its end."""
        return _Opened(self.factory(**options), self._packages)

    def keep_frames(self, error: BaseException) -> None:
        """Keep for the report where the transport raised this error, if that can be seen."""
        self.frames = frames_of(error, self._packages) or self.frames

    def observe(self, error: BaseException) -> None:
        """Keep what the client removes from an error: its frames, and the API key in its words."""
        self.keep_frames(error)
        self.leaks += leaks(error, knowing="")

    def caught(self, error: Exception) -> Exception:
        """Return an error of the transport without its frames. They are kept for the report.

        The frames refer to the error, and to all that it passed through. That cycle would hide
        who closes a socket.
        """
        self.keep_frames(error)
        return error.with_traceback(None)

    def trusting(self) -> dict[str, str | ssl.SSLContext]:
        """Return the options of a transport that trusts our certificates, and no others."""
        if self.takes("ssl_context"):
            return {"ssl_context": certificates.client_tls()}
        return {"ca_file": certificates.ca_file()}

    @asynccontextmanager
    async def server(
        self, script: Script, *, ssl_context: ssl.SSLContext | None = None
    ) -> AsyncGenerator[FaultServer, None]:
        """Run a server with this script. What the block raises gets the server's transcript."""
        with FaultServer(script, ssl_context=ssl_context, timeout=self.timeout) as server:
            try:
                try:
                    yield server
                finally:
                    server.stop_listening()
                    await self._until_idle(server, self.timeout)
                server.raise_failure()
            except Unexpected as failure:
                raise Unexpected(
                    failure.expected, failure.seen, failure.server or str(server.transcript)
                ) from failure.__cause__
            except Exception as failure:
                raise Unexpected(
                    "no error here", describe(failure), str(server.transcript)
                ) from failure

    async def expect_closed(self, server: FaultServer) -> None:
        """Raise Unexpected unless all connections are closed soon, while the transport is open."""
        await self._until_idle(server, self.at_once)
        server.raise_failure()

    async def _until_idle(self, server: FaultServer, seconds: float) -> None:
        end = monotonic() + seconds
        while server.is_busy() and monotonic() < end:
            await self.sleep(0.001)

    def client(self, transport: Any, endpoint: Endpoint, **options: Any) -> AsyncClient:
        """Return an AsyncClient, or a Client that looks like one."""
        if self.is_async:
            return AsyncClient(transport, endpoint, **options)
        return cast(AsyncClient, ClientAsAsync(Client(transport, endpoint, **options)))

    def asks(self, transport: Any, url: str, **options: Any) -> AsyncClient:
        """Return a client whose endpoint has the API key, though the server is without TLS.

        The frames of the transport's errors are kept for the report.
        """
        observed = AsyncObservedTransport if self.is_async else ObservedTransport
        endpoint = Endpoint(url=url, api_key=KEY, allow_insecure_key=True)
        return self.client(observed(transport, self.observe), endpoint, **options)

    async def send(self, transport: Any, request: HTTPRequest, timeouts: Timeouts) -> Any:
        """Call `send` of the transport. The stream that it returns looks like an async one."""
        stream = transport.send(request, timeouts)
        return await stream if self.is_async else BytesAsAsync(stream)

    async def sleep(self, seconds: float) -> None:
        """Sleep, and let the event loop run if there is one."""
        if self.backend == "sync":
            time.sleep(seconds)  # noqa: ASYNC251 - there is no event loop
        elif self.backend == "asyncio":
            await asyncio.sleep(seconds)
        else:
            await _trio().sleep(seconds)

    async def forever(self) -> None:
        """Wait until cancelled."""
        await self.sleep(10 * TIMEOUT)

    async def until(self, is_so: Callable[[], object], expected: str) -> None:
        """Wait for a condition. Raise Unexpected if it is not met soon."""
        end = monotonic() + self.at_once
        while not is_so():
            if monotonic() > end:
                raise Unexpected(expected, f"not within {self.at_once:g} seconds")
            await self.sleep(0.001)

    def tasks(self) -> set[Any]:
        """Return the other tasks of asyncio's event loop. In trio every task has an owner."""
        return (
            asyncio.all_tasks() - {asyncio.current_task()} if self.backend == "asyncio" else set()
        )

    async def cancelled_after(self, seconds: float, main: Callable[[], Awaitable[object]]) -> None:
        """Run `main` in a task, and cancel it after a while. The cancellation must come out."""

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
        """Run `main` in a task. It calls its argument to cancel itself; that must come out."""
        error: BaseException | None = None
        if self.backend == "trio":
            with _trio().CancelScope() as scope:
                try:
                    await main(scope.cancel)
                except Exception as caught:  # noqa: BLE001 - any error of a transport is reported
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
        seen = "none" if error is None else describe(error)
        raise Unexpected("the cancellation to come out", seen) from error

    async def all_of(self, mains: Iterable[Callable[[], Awaitable[object]]]) -> None:
        """Run all of them at the same time."""
        if self.backend == "trio":
            async with _trio().open_nursery() as nursery:
                for main in mains:
                    nursery.start_soon(main)
        else:
            await asyncio.gather(*(main() for main in mains))

    async def together(
        self, first: Callable[[], Awaitable[object]], then: Callable[[], Awaitable[object]]
    ) -> None:
        """Run both. The second one starts when the first one waits."""

        async def later() -> None:
            await self.sleep(0.05)
            await then()

        await self.all_of([first, later])


def _trio() -> Any:
    return sys.modules["trio"]


def run_without_a_loop(coroutine: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine that never waits to its end."""
    try:
        coroutine.send(None)
    except StopIteration as end:
        return cast(T, end.value)
    raise AssertionError("a sync transport awaited something")


class _Opened(AbstractAsyncContextManager[Any]):
    """Open and close what a factory has made, in the way that it has.

    A class, as event loops complain of a generator that is left open inside another one.
    """

    def __init__(self, made: Any, packages: set[str]) -> None:
        self._made = made
        self._packages = packages
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Any:
        transport = self._made
        if hasattr(transport, "__aenter__"):
            transport = await self._stack.enter_async_context(transport)
        elif hasattr(transport, "__enter__"):
            transport = self._stack.enter_context(transport)
        elif hasattr(transport, "aclose"):
            self._stack.push_async_callback(transport.aclose)
        elif hasattr(transport, "close"):
            self._stack.callback(transport.close)
        self._packages.add(package_of(transport))
        return transport

    async def __aexit__(self, *error: Any) -> bool | None:
        return await self._stack.__aexit__(*error)
