"""The sending side of a connection to a client.

A client that reads nothing would keep its connection, and the bytes for it, for ever.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from contextlib import suppress


class ClientLeft(Exception):
    """The client closed the connection before the end of the answer, or does not read it."""


class Writer:
    """Send bytes to a client.

    Args:
        stream: the connection.
        timeout: seconds without progress after which a client has left.
    """

    def __init__(self, stream: asyncio.StreamWriter, timeout: float) -> None:
        self._stream = stream
        self._timeout = timeout

    @property
    def is_closing(self) -> bool:
        """True if nothing more can be sent."""
        return self._stream.is_closing()

    async def send(self, data: bytes) -> None:
        """Send bytes. Waits until most of them are with the client's system.

        Raises ClientLeft.
        """
        if self.is_closing:
            raise ClientLeft
        self._stream.write(data)
        unsent = self._unsent
        while unsent:  # most writes leave nothing, and need no deadline
            try:
                async with asyncio.timeout(self._timeout):
                    await self._stream.drain()
                return
            except TimeoutError:
                if self._unsent >= unsent:
                    self.abort(reset=True)
                    raise ClientLeft(f"it read nothing for {self._timeout:g} s") from None
                unsent = self._unsent
            except OSError as error:
                raise ClientLeft from error

    def end(self) -> None:
        """Close the sending side only. Raises OSError."""
        self._stream.write_eof()

    def begin_close(self) -> None:
        """Close the connection when all is sent."""
        self._stream.close()

    async def close(self) -> None:
        """Close the connection when all is sent, or after the timeout."""
        self._stream.close()
        with suppress(OSError, asyncio.CancelledError):  # cancelled only by `HTTPServer.abort`
            async with asyncio.timeout(self._timeout):
                await self._stream.wait_closed()
        self.abort()

    def abort(self, *, reset: bool = False) -> None:
        """Close the connection now, and drop what was not sent.

        Args:
            reset: send a TCP reset (RST), as a machine that crashed does.
        """
        if reset:
            with suppress(OSError):
                self._stream.get_extra_info("socket").setsockopt(
                    socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0)
                )
        self._stream.transport.abort()

    @property
    def _unsent(self) -> int:
        return self._stream.transport.get_write_buffer_size()
