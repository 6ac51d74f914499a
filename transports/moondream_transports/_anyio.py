"""A transport on anyio, for asyncio and trio. HTTP/1.1 is the core's `HTTP11Exchange`; what is here
waits for the socket.

1. Connections are made in `_anyio_connection.py`, and kept for the next exchange in
   `_anyio_pool.py`. There is no limit to how many are open at once, so nobody waits for a place.
2. What a stream is, is in `_anyio_stream.py`. A request is sent once: one that finds the connection
   from the pool dead before any answer is ConnectionLost.
3. Looking up a name is given up in time, but the thread that does it goes on; asyncio waits for it
where the program ends."""

from __future__ import annotations

from time import monotonic
from types import TracebackType
from typing import TYPE_CHECKING, Self

import anyio

from sansio_moondream import ConnectTimeout, HTTPRequest

from ._deadlines import earlier
from ._transport import Timeouts

if TYPE_CHECKING:
    import ssl

    from ._anyio_stream import AnyioStream


class AnyioTransport:
    """Sends requests with anyio, in the event loop that is running. Use it in `async with`, or call
    `aclose()`.

    `ssl_context` takes the place of `ssl.create_default_context()`. `proxy`, such as
    `http://user:password@proxy:3128`, is used for all requests; those of the environment are not
    looked at. Of idle connections, `max_idle` are kept for each server, for `idle_seconds`. Raises
    ValueError for a proxy that is none."""

    def __init__(
        self,
        *,
        ssl_context: ssl.SSLContext | None = None,
        proxy: str | None = None,
        max_idle: int = 10,
        idle_seconds: float = 15.0,
    ) -> None:
        from ._anyio_connection import (
            Connector,  # and with it h11, ssl and the like: only where they are used
        )
        from ._anyio_pool import Pool

        self._connector = Connector(ssl_context, proxy)
        self._pool = Pool(max_idle, idle_seconds)

    async def send(self, request: HTTPRequest, timeouts: Timeouts) -> AnyioStream:
        """As `AsyncTransport.send` says."""
        from ._anyio_stream import AnyioStream

        began = monotonic()
        exchange = self._connector.exchange(request)
        origin = "/".join(request.url.split("/", 3)[:3])
        try:
            with anyio.fail_after(earlier(timeouts.connect, timeouts.total)):
                connection = await self._pool.take(origin) or await self._connector.connect(
                    request.url
                )
        except TimeoutError as error:
            raise ConnectTimeout(
                "no connection stood within the time that it was given (Timeouts.connect)"
            ) from error
        left = None if timeouts.total is None else timeouts.total - (monotonic() - began)
        stream = AnyioStream(connection, exchange, self._pool, origin)
        try:
            with anyio.fail_after(earlier(timeouts.first_event, left)):
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

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.aclose()
