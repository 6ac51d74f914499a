"""A transport on aiohttp, for asyncio.

1. Of a user's session it takes the connector (connections, TLS, limits), the proxy, `trust_env` and
   the tracing. Requests leave by a session of our own on that connector, so only what they say is
   sent, and `Host`: no headers, cookies, auth, timeouts or middlewares of the user's session, which
   is not changed. Without a session there is a connector of our own, without limits and proxy.
2. One deadline holds until the connection stands, which is when aiohttp asks for the request's
   body; another one from then on.
3. A stream has one timer, which is moved only when it rings: setting one for each read costs more
   than the read.
4. aiohttp puts a fault in front of bytes that came before it. They are owed: they come out first. A
   fault in the chunked framing is not put there at all, but closes the connection, which is
   watched: it is ConnectionLost.
5. Errors of aiohttp hold the request's headers or the proxy's password, and so do the frames that
   they passed. The cause that we give is what lies under them, if anything does, without its
   traceback.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from inspect import signature
from types import TracebackType
from typing import Any, Self, cast

import aiohttp

from sansio_moondream import HTTPRequest, LocalProtocolError

from ._aiohttp_request import CHUNK, ERRORS, MAX_HEAD, Body, check_head, look_at, named, until
from ._transport import Timeouts

_LIMITS = {
    "read_bufsize": CHUNK,
    "max_line_size": MAX_HEAD,
    "max_field_size": MAX_HEAD,
    "max_headers": 1000,
}
_KNOWN_LIMITS: dict[str, Any] = {
    name: _LIMITS[name] for name in _LIMITS if name in signature(aiohttp.ClientSession).parameters
}


class AiohttpTransport:
    """Sends requests with aiohttp, by the connections of a session if one is given: it is never
    closed.

    Without one, `aclose()` or the end of its `async with` block closes the connections.
    """

    def __init__(self, session: aiohttp.ClientSession | None = None) -> None:
        self._session = session
        # Made when first used, as they need a running event loop:
        self._own: aiohttp.BaseConnector | None = None
        self._borrowed: aiohttp.ClientSession | None = (
            None  # on the user's connections, or on our own
        )

    async def send(self, request: HTTPRequest, timeouts: Timeouts) -> AiohttpStream:
        """As `AsyncTransport.send` says."""
        now = asyncio.get_running_loop().time
        end = until(None, timeouts.total, now())
        deadline = asyncio.timeout_at(until(end, timeouts.connect, now()))
        body = Body(
            request.body, lambda: deadline.reschedule(until(end, timeouts.first_event, now()))
        )
        session = self._borrowing()
        try:
            async with deadline:
                response = await session.request(
                    request.method,
                    request.url,
                    headers=request.headers,
                    data=body,
                    allow_redirects=False,
                    # Nothing public tells a session's proxy. From before it had one (aiohttp 3.11),
                    # the names are missing.
                    proxy=getattr(self._session, "_default_proxy", None),
                    proxy_auth=getattr(self._session, "_default_proxy_auth", None),
                )
                check_head(response)
                return AiohttpStream(response, body)
        except ERRORS as error:
            body.abort()
            failure = named(error, timeouts, body.asked_at)
        except BaseException:
            body.abort()
            raise
        # here it has no context, which would be the error with the request's headers in it
        raise failure

    def _borrowing(self) -> aiohttp.ClientSession:
        if self._borrowed is not None and not self._borrowed.closed:
            return self._borrowed
        user, options = self._session, _KNOWN_LIMITS.copy()
        if user is None:
            if self._own is None or self._own.closed:
                self._own = aiohttp.TCPConnector(limit=0)
            connector: aiohttp.BaseConnector | None = self._own
        else:
            connector = user.connector
            options |= {"trust_env": user.trust_env, "trace_configs": user.trace_configs}
        if connector is None or connector.closed:
            raise LocalProtocolError("the aiohttp session of this transport is closed")
        self._borrowed = aiohttp.ClientSession(
            connector=connector,
            connector_owner=False,
            cookie_jar=aiohttp.DummyCookieJar(),
            skip_auto_headers=("Accept", "Accept-Encoding", "Content-Type", "User-Agent"),
            timeout=aiohttp.ClientTimeout(total=None),
            auto_decompress=False,
            **options,
        )
        return self._borrowed

    async def aclose(self) -> None:
        """Close the connections, if they are the transport's own."""
        own, self._own = self._own, None
        self._give_back()
        if own is not None:
            await own.close()

    def _give_back(self) -> None:
        borrowed, self._borrowed = self._borrowed, None
        if borrowed is not None:
            borrowed.detach()  # from the connector, which stays open

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

    def __init__(self, response: aiohttp.ClientResponse, body: Body) -> None:
        self.status_code = response.status
        self.headers = response.raw_headers
        self.connected_at = body.asked_at
        self._response = response
        self._connection = body.connection()  # without the body, a kilobyte of aiohttp's
        self._content = response.content
        self._fault: Exception | None = None
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        self._until: float | None = None  # when the read that waits has waited long enough
        self._came = 0  # bytes, when it began to wait
        self._closed: asyncio.Future[None] | None = None
        if response.connection is not None:  # else the body is here already
            self._closed = getattr(response.connection.protocol, "closed", None)
            if self._closed is None:
                self._lose()
            else:
                self._closed.remove_done_callback(look_at)
                self._closed.add_done_callback(look_at)
                self._closed.add_done_callback(self._lose)

    async def read(self, timeout: float | None) -> bytes:
        """As `AsyncByteStream.read` says."""
        content = self._content
        if self._fault is None:
            if content.at_eof():
                return b""
            if timeout is not None:
                self._wait_for(timeout)
            try:
                return await content.readany()
            except ERRORS as error:
                self._fault = named(error, None, self.connected_at)
                with suppress(*ERRORS):
                    content.set_exception(cast(Any, None))  # else it would raise it again
                    if owed := content.read_nowait():
                        return owed
            finally:
                self._until = None
        raise self._fault

    async def aclose(self) -> None:
        """As `AsyncByteStream.aclose` says.

        Called by another task, it wakes a `read` that waits.
        """
        if self._timer is not None:
            self._timer.cancel()
        if self._closed is not None:
            self._closed.remove_done_callback(self._lose)
        if self._response.connection is not None:  # else it was given back at the end of the body
            self._connection.abort()
        self._response.close()

    def _wait_for(self, timeout: float) -> None:
        self._until = until = self._loop.time() + timeout
        self._came = self._content.total_bytes
        if self._timer is None or self._timer.when() > until:
            if self._timer is not None:
                self._timer.cancel()
            self._timer = self._loop.call_at(until, self._ring)

    def _ring(self) -> None:
        self._timer = None
        if self._until is None:
            return
        if self._loop.time() < self._until:
            self._timer = self._loop.call_at(self._until, self._ring)
        elif (
            self._content.total_bytes == self._came
            and not self._content.is_eof()
            and self._content.exception() is None
        ):
            # Else something came, and the reader is about to run.
            self._content.set_exception(TimeoutError())

    def _lose(self, closed: asyncio.Future[None] | None = None) -> None:
        """The connection is gone.

        What aiohttp has to say of it, it has said by now, if it does at all.
        """
        if not self._content.is_eof() and self._content.exception() is None:
            self._content.set_exception(
                aiohttp.ServerDisconnectedError("in the middle of the body")
            )
