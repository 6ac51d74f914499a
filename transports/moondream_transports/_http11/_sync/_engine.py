# Generated from transports/moondream_transports/_http11/_async/_engine.py by `make generate`; do not edit.
"""An HTTP/1.1 client: it finds or makes a connection, and begins an exchange on it.

1. There is no limit to how many connections are open at once, so nobody waits for a place.
2. An idle connection should be silent. If anything can be read from it, even its end, it is closed.
3. A request is sent once. If its idle connection breaks before any answer, that is ConnectionLost.
"""

from __future__ import annotations

import ssl

from moondream_transports._http11._deadline import Deadline
from moondream_transports._http11._errors import map_connect_error
from moondream_transports._http11._pool import Pool
from moondream_transports._http11._route import Proxy, Route, route
from moondream_transports._transport import Timeouts
from sansio_moondream import (
    ConnectError,
    ConnectionLost,
    HTTP11Exchange,
    HTTPRequest,
    RemoteProtocolError,
    TLSError,
)

from ._backend import Backend, Connection
from ._stream import HTTP11Stream


class Engine:
    """Sends requests over the connections of a backend, and keeps those that are idle."""

    def __init__(
        self,
        backend: Backend,
        ssl_context: ssl.SSLContext | None,
        max_idle: int,
        idle_seconds: float,
    ) -> None:
        self._backend = backend
        self._ssl_context = ssl_context
        self._pool = Pool[Connection](max_idle, idle_seconds)

    def send(self, request: HTTPRequest, timeouts: Timeouts, proxy: Proxy | None) -> HTTP11Stream:
        """Send a request by way of a proxy, if any, and wait for the head of the response."""
        way = route(request.url, proxy)
        exchange = way.exchange(request)
        deadline = Deadline(timeouts)
        try:
            connection = self._idle_connection(way) or self._connect(request.url, way, deadline)
        except self._backend.errors as error:
            raise map_connect_error(error, timeouts) from error
        deadline.connected()
        stream = HTTP11Stream(self._backend.errors, self._pool, way, connection, exchange)
        try:
            stream.open(deadline)
        except BaseException:
            stream.close()
            raise
        return stream

    def close(self) -> None:
        """Close the idle connections. Those in use are closed when their exchanges end."""
        for connection in self._pool.clear():
            connection.close()

    def _idle_connection(self, way: Route) -> Connection | None:
        for connection in self._pool.expired():
            connection.close()
        while (kept := self._pool.take(way)) is not None:
            is_fit = False
            try:
                is_fit = not kept.is_readable()
            finally:  # also when the thread is cancelled
                if not is_fit:
                    kept.close()
            if is_fit:
                return kept
        return None

    def _connect(self, url: str, way: Route, deadline: Deadline) -> Connection:
        connection = self._backend.connect(*way.address, deadline.remaining())
        try:
            if way.is_tls:
                if way.proxy is not None:
                    tunnel = HTTPRequest("CONNECT", url, way.proxy.headers, b"")
                    self._open_tunnel(connection, tunnel, way, deadline)
                self._start_tls(connection, way.host, deadline)
        except BaseException:
            connection.close()
            raise
        return connection

    def _open_tunnel(
        self, connection: Connection, request: HTTPRequest, way: Route, deadline: Deadline
    ) -> None:
        exchange = HTTP11Exchange(request)
        stream = HTTP11Stream(self._backend.errors, self._pool, way, connection, exchange)
        try:
            stream.open(deadline)
        except (ConnectionLost, RemoteProtocolError) as error:
            raise ConnectError(f"the proxy made no tunnel: {error}") from error
        if not 200 <= stream.status_code < 300:
            raise ConnectError(f"the proxy refused to make a tunnel: {stream.status_code}")

    def _start_tls(self, connection: Connection, host: str, deadline: Deadline) -> None:
        if self._ssl_context is None:
            # Only now, and only once: it takes longer than a connection.
            self._ssl_context = ssl.create_default_context()
        protocol = connection.start_tls(self._ssl_context, host, deadline.remaining())
        if protocol not in (None, "http/1.1"):
            raise TLSError(
                f"TLS negotiated {protocol} (ALPN), and this transport speaks HTTP/1.1: give it an "
                "SSLContext of its own, not one that is shared with an HTTP/2 client"
            )
