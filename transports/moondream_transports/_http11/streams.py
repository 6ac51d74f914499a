"""The backend of `AnyioTransport`: streams of anyio, on asyncio and trio.

1. anyio tries each address of a host, one a little after the other, and takes the first that
   answers. It sets TCP_NODELAY.
2. On asyncio, an error in sending throws away what was not read by then. So large requests are sent
   in a task beside the one that reads.
3. On asyncio, a read is ended by an alarm of its connection, which costs less than a cancel scope.
   trio has no timers but its cancel scopes.
4. TLS is closed without its own farewell, as HTTP clients do: HTTP says where a body ends.
"""

from __future__ import annotations

import ssl
import sys
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, cast

import anyio
from anyio.abc import ByteStream, SocketAttribute
from anyio.streams.tls import TLSAttribute, TLSStream

from moondream_transports._concurrency import async_close_soon, in_trio

from .waiting import LISTEN_BYTES, READ_BYTES, is_readable

if TYPE_CHECKING:
    import asyncio

_SMALL = 16 * 1024  # the buffer of a socket takes that much, so no answer can come in between


class AnyioBackend:
    """Makes connections with anyio."""

    errors: tuple[type[Exception], ...] = (
        anyio.BrokenResourceError,
        anyio.ClosedResourceError,
        OSError,
        ValueError,  # of IDNA
    )

    async def connect(self, host: str, port: int, timeout: float | None) -> AnyioConnection:
        """As `AsyncBackend.connect` says."""
        with anyio.fail_after(timeout):
            return AnyioConnection(await anyio.connect_tcp(host, port))


class AnyioConnection:
    """A connection, as `AsyncConnection` says."""

    def __init__(self, stream: ByteStream) -> None:
        self._stream = stream
        self._alarm = None if in_trio() else _Alarm(lambda: async_close_soon(stream.aclose))

    async def start_tls(
        self, context: ssl.SSLContext, hostname: str, timeout: float | None
    ) -> str | None:
        """As `AsyncConnection.start_tls` says."""
        try:
            with anyio.fail_after(timeout):
                self._stream = await TLSStream.wrap(
                    self._stream,
                    server_side=False,
                    hostname=hostname,
                    ssl_context=context,
                    standard_compatible=False,
                )
        except anyio.EndOfStream:
            raise ssl.SSLEOFError("the server closed the connection in the handshake") from None
        return self._stream.extra(TLSAttribute.alpn_protocol)

    async def read(self, timeout: float | None) -> bytes:
        """As `AsyncConnection.read` says."""
        try:
            if self._alarm is None:
                with anyio.fail_after(timeout):
                    return await self._stream.receive(READ_BYTES)
            self._alarm.set(timeout)
            try:
                return await self._stream.receive(READ_BYTES)
            finally:
                self._alarm.set(None)
        except anyio.EndOfStream:
            return b""
        except AnyioBackend.errors as error:
            if self._alarm is not None and self._alarm.rang:
                raise TimeoutError("nothing came in time") from error
            raise

    async def write(
        self, data: memoryview, received: Callable[[bytes], bool], timeout: float | None
    ) -> bool:
        """As `AsyncConnection.write` says."""
        is_sent = False

        async def send(listening: anyio.CancelScope) -> None:
            nonlocal is_sent
            with suppress(*AnyioBackend.errors):
                await self._stream.send(cast(bytes, data))  # any bytes-like will do
                is_sent = True
            listening.cancel()

        with anyio.fail_after(timeout):
            if len(data) <= _SMALL:
                await send(anyio.CancelScope())
                return is_sent
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(send, tasks.cancel_scope)
                with suppress(anyio.EndOfStream, *AnyioBackend.errors):
                    listened = 0  # listening begins before sending does
                    while listened < LISTEN_BYTES:
                        came = await self._stream.receive(READ_BYTES)
                        listened += len(came)
                        if received(came):
                            tasks.cancel_scope.cancel()
        return is_sent

    def is_readable(self) -> bool:
        """As `AsyncConnection.is_readable` says."""
        if self._alarm is not None and self._alarm.rang:
            return True  # it is being closed, though bytes came at the last moment
        if (tls := self._stream.extra(TLSAttribute.ssl_object, None)) is not None:
            try:
                tls.read(1)  # it may hold bytes, or its end, that came with the last response
            except ssl.SSLWantReadError:
                pass
            except ssl.SSLError:
                return True
            else:
                return True
        return is_readable(self._stream.extra(SocketAttribute.raw_socket).fileno())

    async def aclose(self) -> None:
        """As `AsyncConnection.aclose` says."""
        if self._alarm is not None:
            self._alarm.stop()
        with anyio.CancelScope(shield=True), suppress(*AnyioBackend.errors):
            await self._stream.aclose()


class _Alarm:
    """Calls `ring`, in the loop of asyncio that is running, when a wait takes too long.

    It is made for many short waits: to set it is to note a moment. The timer of the loop is moved
    only when it goes off, or where it would go off too late.
    """

    def __init__(self, ring: Callable[[], object]) -> None:
        self._loop: asyncio.AbstractEventLoop = sys.modules["asyncio"].get_running_loop()
        self._ring = ring
        self._at: float | None = None
        self._timer: asyncio.TimerHandle | None = None
        self.rang = False

    def set(self, seconds: float | None) -> None:
        """Ring after that time from now. None is never: the wait is over."""
        if seconds is None:
            self._at = None
            return
        self._at = at = self._loop.time() + seconds
        if self._timer is None or at < self._timer.when():
            self._start(at)

    def stop(self) -> None:
        """End the last wait."""
        self._at = None
        if self._timer is not None:
            self._timer.cancel()

    def _start(self, at: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._loop.call_at(at, self._go_off, at)

    def _go_off(self, at: float) -> None:
        self._timer = None
        if self._at is not None and self._at > at:
            self._start(self._at)
        elif self._at is not None:
            self.rang = True
            self._ring()
