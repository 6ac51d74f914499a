"""A transport on aiohttp, for asyncio.

1. We use the connector (connections, TLS, limits) and the tracing of the user's session. Requests
   are sent by a session of our own on that connector. So they have nothing but their own fields and
   `Host`: no headers, cookies, auth, proxies, timeouts or middlewares of the user's session, and
   nothing of a .netrc. Without a session we make a connector of our own, without limits.
2. aiohttp asks for the body of a request when the connection is made. Until then the deadline of
   the connection counts, and from then on the one of the first event.
3. When aiohttp notices a fault, it drops the bytes that were not read. docs/how-to/transports.md
   describes the consequences.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from inspect import signature
from time import monotonic
from types import TracebackType
from typing import Any, Self

import aiohttp
from aiohttp.abc import AbstractStreamWriter
from aiohttp.connector import Connection

from moondream_transports._deadlines import after, earlier
from moondream_transports._http11.errors import check_protocol
from moondream_transports._http11.route import parse_proxy
from moondream_transports._http11.waiting import remaining
from moondream_transports._reusable_timeout import ReusableTimeout
from moondream_transports._transport import Timeouts
from sansio_moondream import HTTPRequest, LocalProtocolError, RemoteProtocolError, TLSError

from .exceptions import map_exception

_CHUNK = _MAX_HEAD = 64 * 1024
_LIMITS: dict[str, Any] = {
    "read_bufsize": _CHUNK,
    "max_line_size": _MAX_HEAD,
    "max_field_size": _MAX_HEAD,
    "max_headers": 1000,  # from aiohttp 3.14 on
}
_KNOWN_LIMITS = {
    name: limit
    for name, limit in _LIMITS.items()
    if name in signature(aiohttp.ClientSession).parameters
}
# If the chunked framing is broken, aiohttp closes the connection without waking the reader. So we
# look whether it is closed.
_LOOK_EVERY = 1.0  # seconds
_ERRORS = (
    aiohttp.ClientError,
    aiohttp.http.HttpProcessingError,  # of the parser in Python
    OSError,
    RuntimeError,  # the session is closed meanwhile
    ValueError,  # IDNA refuses the host
    RemoteProtocolError,
)


class AiohttpTransport:
    """Send requests with aiohttp.

    Args:
        session: the transport uses its connections, and does not close them. Without a session,
            `aclose()` or the end of the transport's `async with` block closes the connections.
        proxy: for all requests, such as `http://user:password@proxy:3128`. A proxy of the session
            or of the environment is not used.

    Raises:
        TypeError: `session` is of another type.
    """

    def __init__(
        self, session: aiohttp.ClientSession | None = None, *, proxy: str | None = None
    ) -> None:
        self._user_session = session
        self._proxy = proxy
        # Both need a running event loop, so they are made by the first request.
        self._own_connector: aiohttp.BaseConnector | None = None  # without a user's session
        self._own_session: aiohttp.ClientSession | None = None  # sends the requests
        if not isinstance(session, aiohttp.ClientSession | None):
            raise TypeError(f"session should be an aiohttp.ClientSession, not {session!r}")

    async def send(self, request: HTTPRequest, timeouts: Timeouts) -> AiohttpStream:
        """Do as `AsyncTransport.send`."""
        now = asyncio.get_running_loop().time
        end = _deadline(None, timeouts.total, now())
        deadline = asyncio.timeout_at(_deadline(end, timeouts.connect, now()))
        body = _RequestBody(
            request.body, lambda: deadline.reschedule(_deadline(end, timeouts.first_event, now()))
        )
        session = self._open_session()
        try:
            async with deadline:
                response = await session.request(
                    request.method,
                    request.url,
                    headers=request.headers,
                    data=body,
                    allow_redirects=False,
                    proxy=self._proxy,
                )
                _check_head(response)
                return AiohttpStream(response, body)
        except _ERRORS as error:
            body.abort()
            connected = body.connected_at is not None
            proxy = None if self._proxy is None else parse_proxy(self._proxy)
            failure: BaseException = map_exception(
                error,
                connected=connected,
                timeouts=timeouts,
                proxy=None if proxy is None else proxy.address,
            )
        except BaseException as error:  # noqa: BLE001 - it is raised below
            body.abort()
            failure = error.with_traceback(None)
        # Raised here, it has no context, and no frames of aiohttp with the key in their locals.
        raise failure

    def _open_session(self) -> aiohttp.ClientSession:
        if self._own_session is not None and not self._own_session.closed:
            return self._own_session
        user, options = self._user_session, _KNOWN_LIMITS.copy()
        if user is None:
            if self._own_connector is None or self._own_connector.closed:
                self._own_connector = aiohttp.TCPConnector(limit=0)
            connector: aiohttp.BaseConnector | None = self._own_connector
        else:
            connector = user.connector
            options["trace_configs"] = user.trace_configs
        if connector is None or connector.closed:
            raise LocalProtocolError("the aiohttp session of this transport is closed")
        self._own_session = aiohttp.ClientSession(
            connector=_CheckedConnector(connector),
            connector_owner=False,
            cookie_jar=aiohttp.DummyCookieJar(),
            skip_auto_headers=("Accept", "Accept-Encoding", "Content-Type", "User-Agent"),
            timeout=aiohttp.ClientTimeout(total=None),
            auto_decompress=False,
            **options,
        )
        return self._own_session

    async def aclose(self) -> None:
        """Close the connections, if they are the transport's own."""
        connector, self._own_connector = self._own_connector, None
        self._detach_session()
        if connector is not None:
            await connector.close()

    def _detach_session(self) -> None:
        session, self._own_session = self._own_session, None
        if session is not None:
            session.detach()  # from the connector, which stays open

    def __del__(self) -> None:
        self._detach_session()  # aiohttp would complain that it was not closed

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.aclose()


class AiohttpStream:
    """A response of `AiohttpTransport`. Its attributes are those of `AsyncByteStream`."""

    def __init__(self, response: aiohttp.ClientResponse, request_body: _RequestBody) -> None:
        self.status_code = response.status
        self.headers = response.raw_headers
        self.connected_at = request_body.connected_at
        self._response = response
        self._request_body = request_body
        self._timeout = ReusableTimeout()

    async def read(self, timeout: float | None) -> bytes:
        """Do as `ByteStream.read`."""
        try:
            return await self._next(timeout)
        except _ERRORS as error:
            failure = map_exception(error, connected=True)
        raise failure

    async def _next(self, timeout: float | None) -> bytes:
        content = self._response.content
        end = after(timeout)
        while True:
            try:
                is_last = timeout is not None and timeout < _LOOK_EVERY
                with self._timeout(timeout if is_last else _LOOK_EVERY):
                    return await content.readany()
            except TimeoutError:
                if data := content.read_nowait():  # it arrived while the event loop was busy
                    return data
                if self._request_body.is_closing:
                    raise ConnectionResetError("broken chunked framing") from None
                timeout = remaining(end)

    async def aclose(self) -> None:
        """Do as `AsyncByteStream.aclose`. Wake a `read` that waits in another task."""
        # Otherwise it is in the pool again. If it is being closed, it waits for the server's end of
        # TLS, which may not come.
        if self._response.connection is not None or self._request_body.is_closing:
            self._request_body.abort()
        self._response.close()
        self._timeout.close()


class _CheckedConnector(aiohttp.BaseConnector):
    """The connections of another connector, after a look at what TLS negotiated.

    A server that speaks HTTP/2 may send first, so a look at the time of the request is too late.
    """

    def __init__(self, connector: aiohttp.BaseConnector) -> None:
        super().__init__()
        self._connector = connector

    async def connect(self, *args: Any, **options: Any) -> Connection:
        """As `BaseConnector.connect`. Raises TLSError for another protocol than HTTP/1.1."""
        connection = await self._connector.connect(*args, **options)
        try:
            transport = connection.transport
            tls = None if transport is None else transport.get_extra_info("ssl_object")
            check_protocol(None if tls is None else tls.selected_alpn_protocol())
        except TLSError:
            if connection.transport is not None:
                connection.transport.abort()  # a close would wait for the server's end of TLS
            connection.close()
            raise
        return connection


class _RequestBody(aiohttp.Payload):
    """The body of a request. aiohttp asks for it when the connection is made."""

    def __init__(self, data: bytes, on_connected: Callable[[], None]) -> None:
        super().__init__(b"")
        self.connected_at: float | None = None
        self._data = data
        self._length = len(data)
        self._on_connected = on_connected
        self._transport: asyncio.WriteTransport | None = None

    @property
    def size(self) -> int:
        return self._length

    async def write(self, writer: AbstractStreamWriter) -> None:
        self.connected_at = monotonic()
        self._transport = getattr(writer, "transport", None)
        self._on_connected()
        for at in range(0, self._length, _CHUNK):
            await writer.write(self._data[at : at + _CHUNK])
        self._data = b""  # it may have 13 MB

    def decode(self, encoding: str = "utf-8", errors: str = "strict") -> str:
        return self._data.decode(encoding, errors)

    @property
    def is_closing(self) -> bool:
        """Whether the connection is closed, or about to be."""
        return self._transport is not None and self._transport.is_closing()

    def abort(self) -> None:
        """Close the connection at once. aiohttp would first send the rest of the body."""
        if self._transport is not None:
            self._transport.abort()


def _check_head(response: aiohttp.ClientResponse) -> None:
    """Refuse heads that aiohttp accepts, and that this library refuses on every transport."""
    size = sum(len(name) + len(value) for name, value in response.raw_headers)
    fault = None
    if size > _MAX_HEAD:
        fault = f"it has {size:,} bytes of fields"
    elif any(name[-1:].isspace() for name, _ in response.raw_headers):
        fault = "the name of a field ends with a space"
    if fault is not None:
        response.close()
        raise RemoteProtocolError(f"the head of the response is refused: {fault}")


def _deadline(end: float | None, seconds: float | None, now: float) -> float | None:
    """Return the earlier of `end` and `seconds` from now, on the clock of the event loop."""
    return earlier(end, None if seconds is None else now + seconds)
