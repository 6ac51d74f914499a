"""Transports on httpx2, or on httpx 0.28: whichever made the client that is passed in.

1. Only what the request says is sent, and `Host`: no headers, cookies, parameters, timeouts or auth
   of the client, and no redirects. Its event hooks run, and see a request without its body; it
   keeps cookies that it is sent, which are not sent by this.
2. Bytes are taken as they come, before any decoding of the library.
3. Each read has its own deadline: see `_httpx_progress.py`. Until the head is whole, the sync
   transport can only give each wait on the socket what is left at its beginning, and each address
   of a host what is left for connecting.
4. HTTP/2, if the client was told to, is one connection for many exchanges. Leaving one early does
   not close it, and the library does not tell the server. A sync read that passes its deadline
   breaks the others; close() by another thread waits for it.
"""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from importlib import import_module
from threading import Lock
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from sansio_moondream import ConnectionLost, HTTPRequest

from ._httpx_progress import Progress, build_request, installed_library, library_of
from ._transport import Timeouts

if TYPE_CHECKING:
    import httpx
    import httpx2


class _AnyHttpxTransport:
    def __init__(self, client: Any, kind: str) -> None:
        self._library = installed_library() if client is None else library_of(client)
        if client is not None and not isinstance(client, getattr(self._library, kind)):
            raise TypeError(f"client should be a {self._library.__name__}.{kind}, not {client!r}")
        self._owned = client is None
        # How many connections there may be is for the caller to say; one that waits for a place
        # would count as not connected.
        self._client: Any = client or getattr(self._library, kind)(
            limits=self._library.Limits(max_connections=None)
        )


class HttpxTransport(_AnyHttpxTransport):
    """Sends requests with a `Client` of httpx2 or httpx: with `client`, which is not closed, or
    with one of its own.

    One of its own is closed by `close()`, or by leaving the transport's `with` block. Raises
    ModuleNotFoundError if neither library is installed, TypeError for a client of another kind."""

    def __init__(self, client: httpx2.Client | httpx.Client | None = None) -> None:
        super().__init__(client, "Client")

    def send(self, request: HTTPRequest, timeouts: Timeouts) -> HttpxStream:
        """As `Transport.send` says."""
        progress = Progress(self._library, timeouts)
        progress.limit("pool.started", {})
        try:
            built = build_request(
                self._library, request, {"timeout": progress.limits, "trace": progress.limit}
            )
            response = self._client.send(
                built, stream=True, auth=self._library.Auth(), follow_redirects=False
            )
        except progress.errors as error:
            raise progress.named(error, connected=progress.connected_at is not None) from error
        built.stream.let_go()
        return HttpxStream(response, progress)

    def close(self) -> None:
        """Close the client, if it is the transport's own."""
        if self._owned:
            self._client.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()


class AsyncHttpxTransport(_AnyHttpxTransport):
    """As `HttpxTransport`, with an `AsyncClient`, on asyncio or trio.

    `aclose()` or its `async with` block closes one of its own.
    """

    def __init__(self, client: httpx2.AsyncClient | httpx.AsyncClient | None = None) -> None:
        super().__init__(client, "AsyncClient")

    async def send(self, request: HTTPRequest, timeouts: Timeouts) -> AsyncHttpxStream:
        """As `AsyncTransport.send` says."""
        progress = Progress(self._library, timeouts)
        with progress.scope() as scope:

            async def trace(event: str, info: dict[str, Any]) -> None:
                if progress.has_connected(event, info):
                    scope.deadline = progress.scope().deadline

            try:
                built = build_request(self._library, request, {"timeout": {}, "trace": trace})
                response = await self._client.send(
                    built, stream=True, auth=self._library.Auth(), follow_redirects=False
                )
            except BaseException as error:
                await progress.close_dialled()
                if isinstance(error, progress.errors):
                    raise progress.named(
                        error, connected=progress.connected_at is not None
                    ) from error
                raise
            built.stream.let_go()
            built.extensions.pop("trace", None)  # and with it the scope, half a kilobyte
            return AsyncHttpxStream(response, progress)
        raise progress.timed_out(connected=progress.connected_at is not None)

    async def aclose(self) -> None:
        """Close the client, if it is the transport's own."""
        if self._owned:
            await self._client.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.aclose()


class _AnyHttpxStream:
    def __init__(self, response: Any, progress: Progress) -> None:
        self._response = response
        self._progress = progress
        self._ended = False
        self.status_code: int = response.status_code
        self.headers: list[tuple[bytes, bytes]] = response.headers.raw
        self.connected_at = progress.connected_at
        self._network_stream = response.extensions.get(
            "network_stream"
        )  # None also if it is shared with other exchanges
        if response.extensions.get("http_version") == b"HTTP/2":
            self._network_stream = None
            progress.errors += (
                import_module("h2.exceptions").H2Error,
            )  # the library lets them through
        elif self._network_stream is not None:
            progress.watch(self._network_stream)


class HttpxStream(_AnyHttpxStream):
    """A response of `HttpxTransport`."""

    def __init__(self, response: Any, progress: Progress) -> None:
        super().__init__(response, progress)
        self._body: Iterator[bytes] = iter(response.stream)
        self._reading = Lock()

    def read(self, timeout: float | None) -> bytes:
        """As `ByteStream.read` says."""
        with self._reading:
            self._progress.wait_for(timeout)
            self._progress.limits["read"] = timeout  # HTTP/2 looks at it for each read
            try:
                for data in self._body:
                    if data:  # over HTTP/2 the last chunk may be empty
                        return data
            except self._progress.errors as error:
                raise self._progress.named(error, connected=True) from error
            self._ended = True
            return b""

    def close(self) -> None:
        """As `ByteStream.close` says.

        Called by another thread, it wakes a `read` that waits, over HTTP/1.1.
        """
        if self._network_stream is not None and not self._ended:
            with suppress(OSError):
                self._network_stream.get_extra_info("socket").shutdown(socket.SHUT_RDWR)
        with self._reading:  # the library cannot be closed under a reader
            self._progress.unwatch(self._network_stream)
            with suppress(*self._progress.errors):
                self._response.close()


class AsyncHttpxStream(_AnyHttpxStream):
    """A response of `AsyncHttpxTransport`."""

    def __init__(self, response: Any, progress: Progress) -> None:
        super().__init__(response, progress)
        self._body: AsyncIterator[bytes] = aiter(response.stream)
        self._is_reading = self._is_closed = False
        self._scope: Any = None

    async def read(self, timeout: float | None) -> bytes:
        """As `AsyncByteStream.read` says."""
        self._progress.wait_for(timeout)
        if self._network_stream is not None:
            return await self._next()
        with (
            self._progress.scope() as self._scope
        ):  # costs more, but breaks no other exchange of the connection
            return await self._next()
        raise (
            ConnectionLost("closed while it was read")
            if self._is_closed
            else self._progress.timed_out(connected=True)
        )

    async def _next(self) -> bytes:
        self._is_reading = True
        try:
            async for data in self._body:
                if data:
                    return data
        except self._progress.errors as error:
            raise self._progress.named(error, connected=True) from error
        finally:
            self._is_reading = False
        self._ended = True
        return b""

    async def aclose(self) -> None:
        """As `AsyncByteStream.aclose` says.

        Called by another task, it wakes a `read` that waits.
        """
        self._is_closed = True
        try:
            if self._is_reading:
                if self._scope is not None:
                    self._scope.cancel()
            elif (
                not self._ended
            ):  # no generator of the library's stays open: each ends where it would wait
                with suppress(*self._progress.errors), self._progress.no_waiting():
                    async for _ in self._body:
                        pass
        finally:
            self._progress.unwatch(self._network_stream)
            with suppress(*self._progress.errors):
                await self._response.aclose()
