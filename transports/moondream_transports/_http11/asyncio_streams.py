"""The connections of `AnyioTransport` on asyncio.

1. The streams of anyio watch a socket only while somebody reads: two system calls for each event,
   and a sixth of the processor time of a relay. These watch all the time, and stop only while
   `READ_BYTES` wait for a reader.
2. They give asyncio a buffer of 16 KiB for each read. It would allocate 256 KiB, and a read took
   27 µs instead of 5. With 4 KiB a short answer takes several reads.
3. What comes while a request is sent is read before an error in sending throws it away. If a write
   fails before the event loop has read, asyncio drops what has arrived, such as an early 413. Then
   we read it from the socket. With TLS we cannot: asyncio has the keys.
4. What came before a connection broke is read first, then the error is raised.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Self, cast

from moondream_transports._reusable_timeout import ReusableTimeout

from .waiting import LISTEN_BYTES, READ_BYTES, is_readable

_BUFFER_BYTES = 16 * 1024  # as much as a record of TLS
_NO_BUFFER = memoryview(b"")
_NEXT_ADDRESS = 0.25  # seconds until another address of a host is tried, too (RFC 8305)


class AsyncioConnection(asyncio.BufferedProtocol):
    """A connection, as `AsyncConnection` says."""

    _transport: asyncio.Transport

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._timeout = ReusableTimeout()
        self._buffer = _NO_BUFFER
        self._data = bytearray()  # what was not read yet
        self._is_plain = True  # without TLS
        self._has_ended = False  # nothing more will come
        self._error: Exception | None = None
        self._is_sending = False  # some of what was written is still here
        self._change: asyncio.Future[None] | None = None  # of the above, while it is waited for

    @classmethod
    async def connect(cls, host: str, port: int, timeout: float | None) -> Self:
        """As `AsyncBackend.connect` says."""
        loop, options = asyncio.get_running_loop(), dict[str, Any]()
        if isinstance(loop, asyncio.BaseEventLoop):  # uvloop tries one address after the other
            options["happy_eyeballs_delay"] = _NEXT_ADDRESS
        async with asyncio.timeout(timeout):
            _, connection = await loop.create_connection(cls, host, port, **options)
        return connection

    async def start_tls(
        self, context: ssl.SSLContext, hostname: str, timeout: float | None
    ) -> str | None:
        """As `AsyncConnection.start_tls` says."""
        if self._data:  # or it would be read as if it had been encrypted
            raise ssl.SSLError("the server sent something before the handshake")
        self._is_plain = False
        try:
            async with asyncio.timeout(timeout):
                transport = await self._loop.start_tls(
                    self._transport, self, context, server_hostname=hostname
                )
        except ConnectionResetError as error:
            if error.errno is not None:
                raise
            raise ssl.SSLEOFError("the server closed the connection in the handshake") from None
        assert transport is not None
        self.connection_made(transport)
        protocol: str | None = transport.get_extra_info("ssl_object").selected_alpn_protocol()
        return protocol

    async def read(self, timeout: float | None) -> bytes:
        """As `AsyncConnection.read` says."""
        try:
            with self._timeout(timeout):
                while not self._data and not self._has_ended:
                    await self._wait()
        except TimeoutError:
            if not self._data and not self._has_ended:
                raise
        return self._take()

    async def write(
        self, data: memoryview, received: Callable[[bytes], bool], timeout: float | None
    ) -> bool:
        """As `AsyncConnection.write` says."""
        self._transport.write(data)
        if self._is_sending:  # nearly always all is sent at once
            with self._timeout(timeout):
                if await self._is_refused(received):
                    return False
        return not self._transport.is_closing()

    def is_readable(self) -> bool:
        """As `AsyncConnection.is_readable` says."""
        return (
            bool(self._data)
            or self._has_ended
            or self._transport.is_closing()
            or is_readable(self._transport.get_extra_info("socket").fileno())
        )

    async def aclose(self) -> None:
        """As `AsyncConnection.aclose` says."""
        self._timeout.close()
        self._end(ConnectionAbortedError("the connection was closed"))
        self._transport.abort()

    def _take(self) -> bytes:
        data = bytes(self._data)
        self._data.clear()
        if not data and self._error is not None:
            raise self._error
        if not self._has_ended:
            self._transport.resume_reading()
        return data

    async def _is_refused(self, received: Callable[[bytes], bool]) -> bool:
        """Wait until all is sent. Returns True early where `received` does."""
        listened = 0
        while self._is_sending and not self._transport.is_closing():
            if self._data and listened < LISTEN_BYTES:
                came = self._take()
                listened += len(came)
                if received(came):
                    return True
            else:
                await self._wait()
        return False

    async def _wait(self) -> None:
        """Wait until something changes."""
        self._change = self._loop.create_future()
        try:
            await self._change
        finally:
            self._change = None

    def _read_rest(self) -> None:
        """Read what has arrived. asyncio closes the socket when `connection_lost` returns."""
        with suppress(OSError), self._transport.get_extra_info("socket").dup() as rest:
            rest.setblocking(False)
            while len(self._data) < READ_BYTES and (data := rest.recv(_BUFFER_BYTES)):
                self._data += data

    def _end(self, error: Exception | None) -> None:
        if not self._has_ended:
            self._has_ended, self._error = True, error
        self._notify()

    def _notify(self) -> None:
        if self._change is not None and not self._change.done():
            self._change.set_result(None)

    # What the event loop calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._transport.set_write_buffer_limits(0)

    def get_buffer(self, sizehint: int) -> memoryview:
        # A view: of a bytearray asyncio's TLS would fill the beginning, and copies of the rest.
        self._buffer = memoryview(bytearray(_BUFFER_BYTES))
        return self._buffer

    def buffer_updated(self, nbytes: int) -> None:
        self._data += self._buffer[:nbytes]
        self._buffer = _NO_BUFFER
        if len(self._data) >= READ_BYTES:
            self._transport.pause_reading()
        self._notify()

    def eof_received(self) -> bool:
        self._end(None)
        # The rest of a request can still be sent. TLS ends both ways at once.
        return self._is_plain

    def connection_lost(self, exc: Exception | None) -> None:
        if exc is not None and self._is_plain and not self._has_ended:
            self._read_rest()
        self._end(exc)

    def pause_writing(self) -> None:
        self._is_sending = True

    def resume_writing(self) -> None:
        self._is_sending = False
        self._notify()
