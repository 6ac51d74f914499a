"""A transport on anyio, for asyncio and trio. HTTP/1.1 is the core's `HTTP11Exchange`; what is here waits for the socket.

1. Connections are made in `_anyio_connection.py`, and kept for the next exchange in `_anyio_pool.py`. There is no limit to how many are
   open at once, so nobody waits for a place.
2. A request is sent whole before its response is waited for, unless the connection breaks: then there may be an answer all the same.
3. A request is sent once. One that finds the connection from the pool dead before any answer is ConnectionLost.
4. On asyncio a read is ended by an alarm of the stream, which is cheap to set anew. trio has no timers but its cancel scopes.
5. One read gives all that came, however many pieces of HTTP framing that is.
6. Looking up a name is given up in time, but the thread that does it goes on; asyncio waits for it where the program ends.
"""

from __future__ import annotations

from contextlib import suppress
from time import monotonic
from types import TracebackType
from typing import TYPE_CHECKING, Self

import anyio
from anyio.abc import ByteStream

from sansio_moondream import NEED_DATA, ConnectionLost, ConnectTimeout, Headers, HTTP11Exchange, HTTPRequest, MoondreamError, ResponseHead

from ._anyio_connection import Connector, close, receive, send
from ._anyio_pool import Pool
from ._event_loop import Alarm, close_soon, in_trio
from ._transport import Timeouts

if TYPE_CHECKING:
    import ssl


class AnyioTransport:
    """Sends requests with anyio, in the event loop that is running. Use it in `async with`, or call `aclose()`.

    `ssl_context` takes the place of `ssl.create_default_context()`. `proxy`, such as `http://user:password@proxy:3128`, is used for
    all requests; those of the environment are not looked at. Of idle connections, `max_idle` are kept for each server, for
    `idle_seconds`. Raises ValueError for a proxy that is none.
    """

    def __init__(
        self, *, ssl_context: ssl.SSLContext | None = None, proxy: str | None = None, max_idle: int = 10, idle_seconds: float = 15.0
    ) -> None:
        self._connector = Connector(ssl_context, proxy)
        self._pool = Pool(max_idle, idle_seconds)

    async def send(self, request: HTTPRequest, timeouts: Timeouts) -> AnyioStream:
        """As `AsyncTransport.send` says."""
        began = monotonic()
        exchange = self._connector.exchange(request)
        origin = "/".join(request.url.split("/", 3)[:3])
        try:
            with anyio.fail_after(_shorter(timeouts.connect, timeouts.total)):
                connection = await self._pool.take(origin) or await self._connector.connect(request.url)
        except TimeoutError as error:
            raise ConnectTimeout("no connection stood within the time that it was given (Timeouts.connect)") from error
        left = None if timeouts.total is None else timeouts.total - (monotonic() - began)
        stream = AnyioStream(connection, exchange, self._pool, origin)
        try:
            with anyio.fail_after(_shorter(timeouts.first_event, left)):
                await stream.open()
        except BaseException:
            await stream.aclose()
            raise
        return stream

    async def aclose(self) -> None:
        """Close the idle connections. Those in use are closed when their exchanges end."""
        await self._pool.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        await self.aclose()


class AnyioStream:
    """A response of `AnyioTransport`."""

    status_code: int
    headers: Headers

    def __init__(self, connection: ByteStream, exchange: HTTP11Exchange, pool: Pool, origin: str) -> None:
        self.connected_at = monotonic()
        self._connection = connection
        self._exchange = exchange
        self._pool = pool
        self._origin = origin
        self._alarm = None if in_trio() else Alarm(lambda: close_soon(connection.aclose))
        self._is_sent = False
        self._is_open = True

    async def open(self) -> None:
        """Send the request, and wait for the head of its response."""
        self._is_sent = await send(self._connection, self._exchange)
        while (head := self._exchange.next_event()) is NEED_DATA:
            await receive(self._connection, self._exchange)
        assert isinstance(head, ResponseHead)
        self.status_code, self.headers = head.status_code, head.headers

    async def read(self, timeout: float | None) -> bytes:
        """As `AsyncByteStream.read` says."""
        if self._alarm is None:
            with anyio.fail_after(timeout):
                return await self._next_piece()
        self._alarm.set(timeout)
        try:
            return await self._next_piece()
        except ConnectionLost as error:
            if self._alarm.rang:
                raise TimeoutError("nothing came in time") from error
            raise
        finally:
            self._alarm.clear()

    async def aclose(self) -> None:
        """As `AsyncByteStream.aclose` says. Called by another task, it wakes a `read` that waits."""
        if not self._is_open:
            return
        self._is_open = False
        if self._alarm is not None:
            self._alarm.stop()
        if self._is_sent and self._exchange.reusable:
            await self._pool.keep(self._origin, self._connection)
        else:
            await close(self._connection)

    async def _next_piece(self) -> bytes:
        while (event := self._exchange.next_event()) is NEED_DATA:
            await receive(self._connection, self._exchange)
        if not isinstance(event, bytes):
            return b""
        pieces = [event]  # all that are there: where many come at once, this saves a third of the time of an event
        with suppress(MoondreamError):  # the next read raises it
            while isinstance(event := self._exchange.next_event(), bytes):
                pieces.append(event)
        return b"".join(pieces)


def _shorter(one: float | None, other: float | None) -> float | None:
    return min((seconds for seconds in (one, other) if seconds is not None), default=None)
