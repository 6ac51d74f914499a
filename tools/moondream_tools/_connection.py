"""One connection of a server: its requests, one after the other, within the limits of `_limits`.

1. A head has to be complete within the request timeout. A body has the same time, and more for each
   byte that has arrived. So a client on a slow line is not refused, but one that sends a byte now
   and then is.
2. A kept connection waits for its next request for the idle timeout. Then it is closed without an
   answer, as HTTP/1.1 requires.
3. A request that is refused gets an answer with the reason. Then the connection is closed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress

import h11
from msgspec.structs import replace

from sansio_moondream import Headers, HTTPRequest

from ._exchange import Exchange
from ._guard import Guard
from ._limits import (
    MAX_AHEAD_BYTES,
    MAX_BODIES_BYTES,
    MAX_BODY_BYTES,
    MAX_HEAD_BYTES,
    MAX_SMALL_CHUNKS,
    MIN_BYTES_PER_SECOND,
    ServerLimits,
)
from ._writer import ClientLeft, Writer

_READ_BYTES = 64 * 1024
_LINGER_SECONDS = 2.0
_SMALL_CHUNK = 64
_TLS = b"\x16\x03"  # the first bytes of a TLS handshake
_UNREADABLE = HTTPRequest("?", "http://localhost/?", (), b"")

Log = Callable[[Exchange], None]


class _Refused(Exception):
    """The request is answered with this status and these words."""

    def __init__(self, status_code: int, message: str) -> None:
        super().__init__(message)
        self.status_code = status_code


class Connection:
    """Read requests, and refuse those that are invalid, too slow or too large.

    Args:
        reader, stream: the two sides of the connection.
        guard: decides who may send requests.
        limits: for this connection.
        bodies: returns the bytes of all bodies that the server holds.
        log: is called with each request that is refused here.
    """

    def __init__(
        self,
        reader: asyncio.StreamReader,
        stream: asyncio.StreamWriter,
        guard: Guard,
        limits: ServerLimits,
        bodies: Callable[[], int],
        log: Log,
    ) -> None:
        self.exchange: Exchange | None = None
        self.body_size = 0  # of the current request
        self._reader = reader
        self._writer = Writer(stream, limits.idle_timeout)
        self._guard = guard
        self._limits = limits
        self._bodies = bodies
        self._log = log
        self._http = h11.Connection(h11.SERVER, max_incomplete_event_size=MAX_HEAD_BYTES)
        self._request = _UNREADABLE
        self._first_wait = limits.request_timeout  # for the first byte of the next request
        self._has_begun = False  # the next request
        self._deadline = asyncio.timeout(None)

    async def next_exchange(self) -> Exchange | None:
        """Read the next request. Returns None at the end, and after a request that is refused."""
        self._request = _UNREADABLE
        self._has_begun = self._http.trailing_data[0] != b""
        wait = self._limits.request_timeout if self._has_begun else self._first_wait
        try:
            async with asyncio.timeout(wait) as self._deadline:
                if not await self._read_head() or not await self._read_body():
                    return None
        except TimeoutError:
            if self._has_begun:
                timeout = f"{self._limits.request_timeout:g} s"
                await self.refuse(408, f"the request did not come whole within {timeout}")
            return None
        except _Refused as refused:
            await self.refuse(refused.status_code, str(refused))
            return None
        except h11.RemoteProtocolError as error:
            is_tls = self._http.trailing_data[0].startswith(_TLS)
            message = (
                "the client speaks TLS: use http:// in the address, not https://"
                if is_tls
                else "this is not an HTTP/1.1 request"
            )
            await self.refuse(error.error_status_hint, message)
            return None
        self._first_wait = self._limits.idle_timeout
        self.exchange = Exchange(self._request, self._http, self._writer)
        return self.exchange

    async def wait_until_left(self) -> None:
        """Return when the client has closed its side.

        Bytes that arrive before are kept for the next exchange.
        """
        ahead = 0
        while ahead < MAX_AHEAD_BYTES:
            with suppress(OSError):
                if data := await self._reader.read(_READ_BYTES):
                    self._http.receive_data(data)
                    ahead += len(data)
                    continue
            return
        # We read no more than the limit, so we cannot see the end. This waits until cancelled.
        await asyncio.Event().wait()

    def is_reusable(self) -> bool:
        """Begin the next exchange. Returns False if the connection cannot carry one."""
        if self._http.our_state is not h11.DONE or self._http.their_state is not h11.DONE:
            return False
        self._http.start_next_cycle()
        return True

    async def close(self) -> None:
        """Close the connection when all is sent, or after the idle timeout."""
        await self._writer.close()

    @property
    def is_idle(self) -> bool:
        """True if no exchange is current, and no rest of an answer is being sent."""
        return self.exchange is None and not self._writer.is_closing

    def abort(self) -> None:
        """Close the connection now, and drop what was not sent."""
        self._writer.abort()

    async def refuse(self, status_code: int, message: str) -> None:
        """Answer with an error, and end the sending side.

        We read what the client still sends for a while. Otherwise a TCP reset could remove the
        answer before the client has read it.
        """
        exchange = Exchange(self._request, self._http, self._writer)
        exchange.note = message
        with suppress(h11.LocalProtocolError, ClientLeft, OSError):
            await exchange.answer(
                status_code,
                message.encode(),
                [("content-type", "text/plain"), ("connection", "close")],
            )
            self._log(exchange)
            self._writer.end()
            with suppress(TimeoutError):
                async with asyncio.timeout(_LINGER_SECONDS):
                    while await self._reader.read(_READ_BYTES):
                        pass

    async def _read_head(self) -> bool:
        """Read the head of a request. Returns False at the end of the connection."""
        head = await self._next_event()
        if not isinstance(head, h11.Request):
            return False
        headers = [(name.decode("ascii"), value.decode("latin-1")) for name, value in head.headers]
        target = head.target.decode("ascii")
        if not target.startswith("/"):  # a whole URL, as for a proxy, or *
            target = "/" + target.partition("://")[2].partition("/")[2]
        self._request = HTTPRequest(
            head.method.decode("ascii"), f"http://localhost{target}", tuple(headers), b""
        )
        if head.http_version > b"1.1":  # the preface of HTTP/2 looks like a request
            version = head.http_version.decode().removesuffix(".0")
            raise _Refused(505, f"the client speaks HTTP/{version}, and this server HTTP/1.1")
        if refusal := self._guard.refusal(Headers(headers)):
            raise _Refused(403, refusal)
        return True

    async def _read_body(self) -> bool:
        """Read the body of a request. Returns False if the connection ends before it."""
        body = bytearray()
        count = 0
        began = asyncio.get_running_loop().time()
        while isinstance(event := await self._next_event(), h11.Data):
            body += event.data
            count += 1
            self.body_size = size = len(body)
            if size > MAX_BODY_BYTES:
                raise _Refused(413, f"the request's body is longer than {MAX_BODY_BYTES:,} bytes")
            if count > MAX_SMALL_CHUNKS + size // _SMALL_CHUNK:
                raise _Refused(400, "the request's body comes in too many small chunks")
            if self._bodies() > MAX_BODIES_BYTES:
                raise _Refused(503, "the server holds many large requests: try again later")
            self._deadline.reschedule(
                began + self._limits.request_timeout + size / MIN_BYTES_PER_SECOND
            )
        self._request = replace(self._request, body=bytes(body))
        return isinstance(event, h11.EndOfMessage)

    async def _next_event(self) -> h11.Event | None:
        while (event := self._http.next_event()) is h11.NEED_DATA:
            if self._http.they_are_waiting_for_100_continue:
                proceed = h11.InformationalResponse(status_code=100, headers=[])
                await self._writer.send(self._http.send(proceed) or b"")
            data = await self._reader.read(_READ_BYTES)
            self._http.receive_data(data)
            if data and not self._has_begun:
                self._has_begun = True
                now = asyncio.get_running_loop().time()
                self._deadline.reschedule(now + self._limits.request_timeout)
        return event if isinstance(event, h11.Event) else None
