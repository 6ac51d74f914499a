"""One response on a connection of anyio's: what `AnyioTransport` gives.

1. A request is sent whole before its response is waited for, unless the connection breaks: then
   there may be an answer all the same.
2. On asyncio a read is ended by an alarm of the stream, which is cheap to set anew. trio has no
   timers but its cancel scopes.
3. One read gives all that came, however many chunks of HTTP framing that is.
"""

from __future__ import annotations

from time import monotonic

import anyio
from anyio.abc import ByteStream

from sansio_moondream import NEED_DATA, ConnectionLost, Headers, HTTP11Exchange, ResponseHead

from ._anyio_connection import close, receive, send
from ._anyio_pool import Pool
from ._concurrency import Alarm, async_close_soon, in_trio


class AnyioStream:
    """A response of `AnyioTransport`."""

    status_code: int
    headers: Headers

    def __init__(
        self, connection: ByteStream, exchange: HTTP11Exchange, pool: Pool, origin: str
    ) -> None:
        self.connected_at = monotonic()
        self._connection = connection
        self._exchange = exchange
        self._pool = pool
        self._origin = origin
        self._alarm = None if in_trio() else Alarm(lambda: async_close_soon(connection.aclose))
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
                return await self._next_chunk()
        self._alarm.set(timeout)
        try:
            return await self._next_chunk()
        except ConnectionLost as error:
            if self._alarm.rang:
                raise TimeoutError("nothing came in time") from error
            raise
        finally:
            self._alarm.clear()

    async def aclose(self) -> None:
        """As `AsyncByteStream.aclose` says.

        Called by another task, it wakes a `read` that waits.
        """
        if not self._is_open:
            return
        self._is_open = False
        if self._alarm is not None:
            self._alarm.stop()
        if self._is_sent and self._exchange.reusable:
            await self._pool.keep(self._origin, self._connection)
        else:
            await close(self._connection)

    async def _next_chunk(self) -> bytes:
        while (body := self._exchange.next_body()) is NEED_DATA:
            await receive(self._connection, self._exchange)
        return body
