"""Idle connections, kept for the next exchange with the same server.

1. The one that was used last is used first: the server is the least likely to be about to close it.
2. On an idle connection nothing may come. If anything has, an end or bytes, it is closed instead of
   used.
3. Those that were idle for too long are closed when any is taken or kept; there is no timer that
   does it.
4. After `aclose` none is kept any more.
"""

from __future__ import annotations

import select
from time import monotonic

import anyio
from anyio.abc import ByteStream, SocketAttribute
from anyio.streams.tls import TLSStream

from ._anyio_connection import BROKEN, close


class Pool:
    """Up to `max_idle` connections for each origin, for `idle_seconds`."""

    def __init__(self, max_idle: int, idle_seconds: float) -> None:
        self._max_idle = max_idle
        self._idle_seconds = idle_seconds
        self._idle: dict[
            str, list[tuple[float, ByteStream]]
        ] = {}  # with when each was put here, the oldest first

    async def take(self, origin: str) -> ByteStream | None:
        """A connection that is fit for use, as far as can be told, or None."""
        await self._close_expired()
        while kept := self._idle.get(origin):
            _, connection = kept.pop()
            is_fit = False
            try:
                is_fit = not _has_input(connection) and not await _holds_input(connection)
            finally:  # cancelled or not
                if not is_fit:
                    await close(connection)
            if is_fit:
                return connection
        return None

    async def keep(self, origin: str, connection: ByteStream) -> None:
        """Keep a connection whose exchange is over. The oldest has to go if there are too many."""
        kept = self._idle.setdefault(origin, [])
        kept.append((monotonic(), connection))
        if len(kept) > self._max_idle:
            await close(kept.pop(0)[1])
        await self._close_expired()

    async def aclose(self) -> None:
        self._max_idle = 0
        await self._close_expired(now=float("inf"))

    async def _close_expired(self, now: float | None = None) -> None:
        limit = (monotonic() if now is None else now) - self._idle_seconds
        expired: list[ByteStream] = []
        for origin, kept in list(self._idle.items()):
            while kept and kept[0][0] <= limit:
                expired.append(kept.pop(0)[1])
            if not kept:
                del self._idle[origin]
        for connection in expired:
            await close(connection)


def _has_input(connection: ByteStream) -> bool:
    """Whether the system has bytes, or the end, of a connection that nobody reads."""
    descriptor = connection.extra(SocketAttribute.raw_socket).fileno()
    if descriptor < 0:
        return True  # closed
    if not hasattr(select, "poll"):  # Windows, where select takes any descriptor
        return bool(select.select([descriptor], [], [], 0)[0])
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    return bool(poll.poll(0))


async def _holds_input(connection: ByteStream) -> bool:
    """Whether TLS has bytes, or its end, that it took from the system with those of the last
    response.
    """
    if isinstance(connection, TLSStream):
        with anyio.move_on_after(0):
            try:
                await connection.receive()
            except (anyio.EndOfStream, *BROKEN):
                pass
            return True
    return False
