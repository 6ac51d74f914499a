"""What the HTTP/1.1 client needs from the network.

Every method that waits takes a timeout in seconds (None is for ever), and raises the builtin
TimeoutError after it. After any exception the connection is only closed.
"""

from __future__ import annotations

import ssl
from collections.abc import Callable
from typing import Protocol


class AsyncConnection(Protocol):
    """A TCP connection, later with TLS on it. One task reads or writes at a time."""

    async def start_tls(
        self, context: ssl.SSLContext, hostname: str, timeout: float | None
    ) -> str | None:
        """Shake hands. Return the protocol that was negotiated by ALPN, if any."""
        ...

    async def read(self, timeout: float | None) -> bytes:
        """Return the next bytes as soon as there are any, or b"" at the end."""
        ...

    async def write(
        self, data: memoryview, received: Callable[[bytes], bool], timeout: float | None
    ) -> bool:
        """Send `data`, and call `received` with what can be read meanwhile.

        `data` is a view because error reporters print its repr, which shows no secret. Sending ends
        early where `received` returns True. Returns whether all was sent: a connection that breaks
        is no error, as an answer may be there to read all the same.
        """
        ...

    def is_readable(self) -> bool:
        """Return whether bytes, or the end, could be read now. They may be lost by this."""
        ...

    async def aclose(self) -> None:
        """Close at once, even in a task that is being cancelled. It raises nothing.

        A `read` that waits in another task ends with an error.
        """
        ...


class AsyncBackend(Protocol):
    """Makes connections."""

    @property
    def errors(self) -> tuple[type[Exception], ...]:
        """What `connect` and the methods of a connection raise."""
        ...

    async def connect(self, host: str, port: int, timeout: float | None) -> AsyncConnection:
        """Connect to the first address of the host that answers."""
        ...
