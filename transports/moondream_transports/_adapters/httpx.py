"""Transports on httpx2, or on httpx 0.28: whichever made the client that is passed in.

1. We send what the request has, and `Host`. We send no headers, cookies, parameters or auth of the
   client, use none of its timeouts, and follow no redirects. The client's event hooks run, and see
   a request without its body. The client keeps the cookies of responses. We do not send them.
2. We read the undecoded bytes from the response's `stream`.
3. Each wait has its own deadline: see `httpx_progress.py`.
4. With HTTP/2 many exchanges share one connection. Leaving one early does not close it, and the
   library does not notify the server. A sync wait that passes its deadline breaks the other
   exchanges. close() by another thread waits for the read. By a signal handler it closes when the
   read has ended.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from threading import RLock, get_ident
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from moondream_transports._transport import Timeouts
from sansio_moondream import ConnectionLost, HTTPRequest

from .httpx_library import Clients, build_request, errors_of
from .httpx_progress import AsyncProgress, Progress, Sockets, SyncProgress, no_waiting

if TYPE_CHECKING:
    import httpx
    import httpx2


class HttpxTransport:
    """Sends requests with a `Client` of httpx2 or httpx.

    Args:
        client: It is used as it is and not closed, proxies included. Without one, the transport
            makes its own: requests to this machine go directly, and a key over plain http is not
            sent to a proxy of the environment on another machine (LocalProtocolError). `close()`,
            or the end of the transport's `with` block, closes those.

    Raises:
        ModuleNotFoundError: Neither library is installed.
        TypeError: The client is of another kind.
    """

    def __init__(self, client: httpx2.Client | httpx.Client | None = None) -> None:
        self._clients = Clients(client, "Client")
        self._sockets = Sockets()
        self._sending: dict[int, SyncProgress] = {}  # by the ids of the requests

    def send(self, request: HTTPRequest, timeouts: Timeouts) -> HttpxStream:
        """As `Transport.send` says."""
        client, library = self._clients.client_for(request), self._clients.library
        progress = SyncProgress(library, request, timeouts, self._sockets)
        self._sending[id(request)] = progress
        try:
            extensions = {"timeout": progress, "trace": progress.trace}
            built = build_request(library, request, extensions)
            response = client.send(built, stream=True, auth=library.Auth(), follow_redirects=False)
        except BaseException as error:
            progress.watch.close()
            if not isinstance(error, progress.errors):
                raise
            failure = progress.failure(error)
        else:
            progress.watch.end()
            built.stream.release()
            return HttpxStream(response, progress, library)
        finally:
            self._sending.pop(id(request), None)
        raise failure

    def interrupt(self, request: HTTPRequest) -> None:
        """End a `send` of `request` that waits in another thread. It raises an error.

        Over HTTP/2 it waits on, because others use its connection, too.
        """
        progress = self._sending.get(id(request))
        if progress is not None and not progress.is_http2:
            progress.watch.shut_down()

    def close(self) -> None:
        """Close the transport's own clients."""
        for client in self._clients.take_own():
            client.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()


class AsyncHttpxTransport:
    """As `HttpxTransport`, with an `AsyncClient`, on asyncio or trio.

    `aclose()` or its `async with` block closes clients of its own.
    """

    def __init__(self, client: httpx2.AsyncClient | httpx.AsyncClient | None = None) -> None:
        self._clients = Clients(client, "AsyncClient")

    async def send(self, request: HTTPRequest, timeouts: Timeouts) -> AsyncHttpxStream:
        """As `AsyncTransport.send` says."""
        client, library = self._clients.client_for(request), self._clients.library
        progress = AsyncProgress(library, request, timeouts)
        failure: Exception = TimeoutError()
        with progress.limited():
            # Without limits of its own: the scope ends what waits.
            extensions: dict[str, Any] = {"timeout": {}, "trace": progress.trace}
            try:
                built = build_request(library, request, extensions)
                response = await client.send(
                    built, stream=True, auth=library.Auth(), follow_redirects=False
                )
            except BaseException as error:
                await progress.close_dialled()
                if not isinstance(error, progress.errors):
                    raise
                failure = error
            else:
                built.stream.release()
                return AsyncHttpxStream(response, progress, library)
        raise progress.failure(failure)

    async def aclose(self) -> None:
        """Close the transport's own clients."""
        for client in self._clients.take_own():
            await client.aclose()

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
    def __init__(self, response: Any, progress: Progress, library: Any) -> None:
        self.status_code: int = response.status_code
        self.headers: list[tuple[bytes, bytes]] = response.headers.raw
        self.connected_at = progress.connected_at
        self._response = response
        self._ended = False
        self._is_http2 = response.extensions.get("http_version") == b"HTTP/2"
        self._errors = errors_of(library, is_http2=self._is_http2)


class HttpxStream(_AnyHttpxStream):
    """A response of `HttpxTransport`. Its attributes are those of `ByteStream`."""

    def __init__(self, response: Any, progress: SyncProgress, library: Any) -> None:
        super().__init__(response, progress, library)
        self._progress = progress
        self._watch = progress.watch
        self._body: Iterator[bytes] = iter(response.stream)
        self._reading = RLock()
        self._reader: int | None = None  # the thread that reads
        self._is_left = False
        if not self._is_http2:
            progress.read_body(response.extensions.get("network_stream"))

    def read(self, timeout: float | None) -> bytes:
        """As `ByteStream.read` says."""
        with self._reading:
            self._reader = get_ident()
            try:
                if self._is_left:
                    raise self._progress.failure(None)
                return self._read(timeout)
            finally:
                self._reader = None
                if self._is_left:
                    self._close()

    def _read(self, timeout: float | None) -> bytes:
        self._progress.wait_for(timeout)
        self._watch.begin(self._progress.deadline)
        fault: Exception | None = None
        try:
            for data in self._body:
                if data:  # over HTTP/2 the last chunk may be empty
                    return data
        except self._errors as error:
            fault = error
        finally:
            self._watch.end()
        if fault is not None or self._watch.has_expired or self._watch.is_shut:
            raise self._progress.failure(None if self._is_left else fault)
        self._ended = True
        return b""

    def close(self) -> None:
        """As `ByteStream.close` says.

        Called by another thread, or by a signal handler, it wakes a `read` that waits, over
        HTTP/1.1.
        """
        self._is_left = True
        if not self._ended and not self._is_http2:
            self._watch.shut_down()
        if self._reader == get_ident():  # in a signal handler: the `read` below it closes
            return
        with self._reading:  # the library cannot be closed under a reader
            self._close()

    def _close(self) -> None:
        self._watch.close()
        with suppress(*self._errors):
            self._response.close()


class AsyncHttpxStream(_AnyHttpxStream):
    """A response of `AsyncHttpxTransport`. Its attributes are those of `AsyncByteStream`."""

    def __init__(self, response: Any, progress: AsyncProgress, library: Any) -> None:
        super().__init__(response, progress, library)
        self._progress = progress
        self._body: AsyncIterator[bytes] = aiter(response.stream)
        self._scope: Any = None  # of the read that waits
        self._is_closed = False

    async def read(self, timeout: float | None) -> bytes:
        """As `AsyncByteStream.read` says."""
        self._progress.wait_for(timeout)
        failure: Exception = TimeoutError()
        with self._progress.limited() as self._scope:
            try:
                async for data in self._body:
                    if data:
                        return data
            except self._errors as error:
                failure = error
            else:
                self._ended = True
                return b""
            finally:
                self._scope = None
        if self._is_closed:
            raise ConnectionLost("closed while it was read")
        raise self._progress.failure(failure)

    async def aclose(self) -> None:
        """As `AsyncByteStream.aclose` says.

        Called by another task, it wakes a `read` that waits.
        """
        self._is_closed = True
        try:
            if self._scope is not None:
                self._scope.cancel()
            elif not self._ended:
                # No generator of the library's stays open: each ends where it would wait.
                with suppress(*self._errors), no_waiting():
                    async for _ in self._body:
                        pass
        finally:
            with suppress(*self._errors):
                await self._response.aclose()
