"""An HTTP/1.1 client: it finds or makes a connection, and begins an exchange on it.

1. There is no limit to how many connections are open at once, so nobody waits for a place.
2. An idle connection should be silent. If anything can be read from it, even its end, it is closed.
3. A request is sent once. If its idle connection breaks before any answer, that is ConnectionLost.
"""

from __future__ import annotations

import ssl
from collections.abc import Callable

from moondream_transports._deadlines import after, earlier
from moondream_transports._http11.errors import check_protocol, map_error
from moondream_transports._http11.pool import Pool
from moondream_transports._http11.route import Proxy, Route
from moondream_transports._http11.waiting import remaining
from moondream_transports._transport import Timeouts
from sansio_moondream import (
    ConnectError,
    ConnectionLost,
    HTTP11Exchange,
    HTTPRequest,
    RemoteProtocolError,
)

from .backend import AsyncBackend, AsyncConnection
from .stream import AsyncHTTP11Stream


class AsyncEngine:
    """Sends requests over the connections of a backend, and keeps those that are idle."""

    def __init__(
        self, backend: AsyncBackend, tls: ssl.SSLContext | None, max_idle: int, idle_seconds: float
    ) -> None:
        self._backend = backend
        self._tls = tls
        self._pool = Pool[AsyncConnection](max_idle, idle_seconds)

    async def send(
        self,
        request: HTTPRequest,
        timeouts: Timeouts,
        proxy: Proxy | None,
        begin: Callable[[AsyncHTTP11Stream], object] | None = None,
    ) -> AsyncHTTP11Stream:
        """Send a request by way of a proxy, if any, and wait for the head of the response.

        `begin` is called with the stream when it has a connection.
        """
        url = request.url
        route = Route.to(url, proxy)
        exchange = route.exchange(request)
        del request  # nobody needs its body while the head is awaited
        end = after(timeouts.total)
        try:
            connection = await self._idle_connection(route) or await self._connect(
                url, route, earlier(after(timeouts.connect), end)
            )
        except self._backend.errors as error:
            raise map_error(error, timeouts, proxy) from error
        stream = self._stream(route, connection, exchange)
        try:
            if begin is not None:
                begin(stream)
            await stream.open(earlier(after(timeouts.first_event), end))
        except BaseException:
            await stream.aclose()
            raise
        return stream

    async def aclose(self) -> None:
        """Close the idle connections, and keep none from now on."""
        for connection in self._pool.clear():
            await connection.aclose()

    async def _idle_connection(self, route: Route) -> AsyncConnection | None:
        for connection in self._pool.expired():
            await connection.aclose()
        while (kept := self._pool.take(route)) is not None:
            if not kept.is_readable():
                return kept
            await kept.aclose()
        return None

    async def _connect(self, url: str, route: Route, deadline: float | None) -> AsyncConnection:
        connection = await self._backend.connect(*route.address, remaining(deadline))
        try:
            if route.is_tls and route.proxy is not None:
                tunnel = HTTP11Exchange(HTTPRequest("CONNECT", url, route.proxy.headers, b""))
                stream = self._stream(route, connection, tunnel)
                await self._open_tunnel(stream, route.proxy.address, deadline)
            if route.is_tls:
                await self._start_tls(connection, route.host, deadline)
        except BaseException:
            await connection.aclose()
            raise
        return connection

    async def _open_tunnel(
        self, stream: AsyncHTTP11Stream, proxy: str, deadline: float | None
    ) -> None:
        try:
            await stream.open(deadline)
        except (ConnectionLost, RemoteProtocolError) as error:
            raise ConnectError(f"the proxy {proxy} made no tunnel: {error.message}") from error
        if not 200 <= stream.status_code < 300:
            raise ConnectError(f"the proxy {proxy} refused to make a tunnel: {stream.status_code}")

    async def _start_tls(
        self, connection: AsyncConnection, host: str, deadline: float | None
    ) -> None:
        if self._tls is None:
            self._tls = ssl.create_default_context()  # once: it takes longer than a connection
        check_protocol(await connection.start_tls(self._tls, host, remaining(deadline)))

    def _stream(
        self, route: Route, connection: AsyncConnection, exchange: HTTP11Exchange
    ) -> AsyncHTTP11Stream:
        return AsyncHTTP11Stream(self._backend.errors, self._pool, route, connection, exchange)
