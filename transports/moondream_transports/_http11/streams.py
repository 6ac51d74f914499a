"""The backend of `AnyioTransport`: streams of anyio on trio, `asyncio_streams.py` on asyncio.

1. anyio tries each address of a host, one a little after the other, and takes the first that
   answers. It sets TCP_NODELAY.
2. While a large request is sent, another task reads: an early answer may refuse it.
3. TLS is closed without its own farewell, as HTTP clients do: HTTP says where a body ends.
"""

from __future__ import annotations

import ssl
from collections.abc import Callable
from contextlib import suppress
from typing import cast

import anyio
from anyio.abc import ByteStream, SocketAttribute
from anyio.streams.tls import TLSAttribute, TLSStream

from moondream_transports._concurrency import in_trio

from ._async.backend import AsyncConnection
from .waiting import LISTEN_BYTES, READ_BYTES, is_readable

_SMALL = 16 * 1024  # the buffer of a socket takes that much, so no answer can come in between


class AnyioBackend:
    """Makes connections with anyio."""

    errors: tuple[type[Exception], ...] = (
        anyio.BrokenResourceError,
        anyio.ClosedResourceError,
        OSError,
        ValueError,  # of IDNA
    )

    async def connect(self, host: str, port: int, timeout: float | None) -> AsyncConnection:
        """As `AsyncBackend.connect` says."""
        if not in_trio():
            from .asyncio_streams import AsyncioConnection  # trio has no need of asyncio

            return await AsyncioConnection.connect(host, port, timeout)
        with anyio.fail_after(timeout):
            return AnyioConnection(await anyio.connect_tcp(host, port))


class AnyioConnection:
    """A connection, as `AsyncConnection` says."""

    def __init__(self, stream: ByteStream) -> None:
        self._stream = stream

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
            with anyio.fail_after(timeout):
                return await self._stream.receive(READ_BYTES)
        except anyio.EndOfStream:
            return b""

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
        with anyio.CancelScope(shield=True), suppress(*AnyioBackend.errors):
            await self._stream.aclose()
