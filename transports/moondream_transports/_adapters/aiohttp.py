"""A transport on aiohttp, for asyncio.

1. Of a user's session it takes the connector (connections, TLS, limits) and the tracing. Requests
   leave by a session of our own on that connector, so only what they say is sent, and `Host`: no
   headers, cookies, auth, proxies, timeouts or middlewares of the user's session, and nothing of a
   .netrc. Without a session there is a connector of our own, without limits.
2. One deadline holds until the connection stands, which is when aiohttp asks for the request's
   body; another one from then on.
3. aiohttp forgets bytes that were not read when it notices a fault: docs/transports.md has what
   that costs.
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
# Where the chunked framing is broken, aiohttp closes the connection, and a reader waits for ever.
_LOOK_AFTER = 1.0  # seconds: so we look whether it is closed
# RuntimeError: the session is closed meanwhile. ValueError: IDNA refuses the host.
_ERRORS = (aiohttp.ClientError, OSError, RuntimeError, ValueError, RemoteProtocolError)


class AiohttpTransport:
    """Sends requests with aiohttp.

    Args:
        session: Its connections are used, and not closed. Without one, `aclose()` or the end of the
            transport's `async with` block closes the connections.
        proxy: Such as `http://user:password@proxy:3128`, for all requests. A proxy of the session
            or of the environment is not used.
    """

    def __init__(
        self, session: aiohttp.ClientSession | None = None, *, proxy: str | None = None
    ) -> None:
        self._session = session
        self._proxy = proxy
        # Made when first used, as they need a running event loop:
        self._own: aiohttp.BaseConnector | None = None
        self._borrowing: aiohttp.ClientSession | None = None  # on the user's connector, or our own

    async def send(self, request: HTTPRequest, timeouts: Timeouts) -> AiohttpStream:
        """As `AsyncTransport.send` says."""
        now = asyncio.get_running_loop().time
        end = _sooner(None, timeouts.total, now())
        deadline = asyncio.timeout_at(_sooner(end, timeouts.connect, now()))
        body = _Body(
            request.body, lambda: deadline.reschedule(_sooner(end, timeouts.first_event, now()))
        )
        session = self._borrowed()
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
            failure: BaseException = map_exception(error, connected=connected, timeouts=timeouts)
        except BaseException as error:  # noqa: BLE001 - it is raised below
            body.abort()
            failure = error.with_traceback(None)
        # Here it has no context, and no frames of aiohttp with the key in their locals.
        raise failure

    def _borrowed(self) -> aiohttp.ClientSession:
        if self._borrowing is not None and not self._borrowing.closed:
            return self._borrowing
        user, options = self._session, _KNOWN_LIMITS.copy()
        if user is None:
            if self._own is None or self._own.closed:
                self._own = aiohttp.TCPConnector(limit=0)
            connector: aiohttp.BaseConnector | None = self._own
        else:
            connector = user.connector
            options["trace_configs"] = user.trace_configs
        if connector is None or connector.closed:
            raise LocalProtocolError("the aiohttp session of this transport is closed")
        self._borrowing = aiohttp.ClientSession(
            connector=connector,
            connector_owner=False,
            cookie_jar=aiohttp.DummyCookieJar(),
            skip_auto_headers=("Accept", "Accept-Encoding", "Content-Type", "User-Agent"),
            timeout=aiohttp.ClientTimeout(total=None),
            auto_decompress=False,
            **options,
        )
        return self._borrowing

    async def aclose(self) -> None:
        """Close the connections, if they are the transport's own."""
        own, self._own = self._own, None
        self._give_back()
        if own is not None:
            await own.close()

    def _give_back(self) -> None:
        borrowing, self._borrowing = self._borrowing, None
        if borrowing is not None:
            borrowing.detach()  # from the connector, which stays open

    def __del__(self) -> None:
        self._give_back()  # aiohttp would complain that it was not closed

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
    """A response of `AiohttpTransport`."""

    def __init__(self, response: aiohttp.ClientResponse, body: _Body) -> None:
        self.status_code = response.status
        self.headers = response.raw_headers
        self.connected_at = body.connected_at
        self._response = response
        self._request_body = body

    async def read(self, timeout: float | None) -> bytes:
        """As `AsyncByteStream.read` says."""
        try:
            return await self._next(timeout)
        except _ERRORS as error:
            failure = map_exception(error, connected=True)
        raise failure

    async def _next(self, timeout: float | None) -> bytes:
        content, now = self._response.content, asyncio.get_running_loop().time
        end = _sooner(None, timeout, now())
        while True:
            try:
                async with asyncio.timeout_at(_sooner(end, _LOOK_AFTER, now())):
                    return await content.readany()
            except TimeoutError:
                if data := content.read_nowait():  # it came while the event loop was busy
                    return data
                if self._request_body.is_closing:
                    raise ConnectionResetError("broken chunked framing") from None
                if end is not None and now() >= end:
                    raise

    async def aclose(self) -> None:
        """As `AsyncByteStream.aclose` says.

        Called by another task, it wakes a `read` that waits.
        """
        if self._response.connection is not None:  # else it was given back at the end of the body
            self._request_body.abort()
        self._response.close()


class _Body(aiohttp.Payload):
    """The body of a request. When it is asked for, the connection stands."""

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
        _check_protocol(self._transport)
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
        """Close the connection at once: aiohttp would first wait until all of it is sent."""
        if self._transport is not None:
            self._transport.abort()


def _check_protocol(transport: asyncio.WriteTransport | None) -> None:
    tls = None if transport is None else transport.get_extra_info("ssl_object")
    protocol = None if tls is None else tls.selected_alpn_protocol()
    if protocol not in (None, "http/1.1"):
        raise TLSError(
            f"the server was offered {protocol} and chose it, but this transport speaks HTTP/1.1: "
            "give it an SSLContext of its own, that no HTTP/2 client uses"
        )


def _check_head(response: aiohttp.ClientResponse) -> None:
    """Refuse what aiohttp lets pass."""
    size = sum(len(name) + len(value) for name, value in response.raw_headers)
    fault = None
    if size > _MAX_HEAD:
        fault = f"it has {size:,} bytes of fields"
    elif any(name[-1:].isspace() for name, _ in response.raw_headers):
        fault = "the name of a field ends with a space"
    if fault is not None:
        response.close()
        raise RemoteProtocolError(f"the head of the response is refused: {fault}")


def _sooner(end: float | None, seconds: float | None, now: float) -> float | None:
    """The moment of the loop's clock that comes first: the end, or so many seconds from now."""
    moments = (end, None if seconds is None else now + seconds)
    return min((moment for moment in moments if moment is not None), default=None)
