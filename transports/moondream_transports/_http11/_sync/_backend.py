# Generated from transports/moondream_transports/_http11/_async/_backend.py by `make generate`; do not edit.
"""What the HTTP/1.1 client needs from the network.

Every method that waits takes a timeout in seconds, and raises the builtin TimeoutError after it.
None waits for ever. After any exception the connection is only closed.
"""

from __future__ import annotations

import ssl
from collections.abc import Callable
from typing import Protocol


class Connection(Protocol):
    """A TCP connection, later with TLS on it. One thread reads or writes at a time."""

    def start_tls(
        self, context: ssl.SSLContext, hostname: str, timeout: float | None
    ) -> str | None:
        """Shake hands. Return the protocol that was negotiated by ALPN, if any."""
        ...

    def read(self, timeout: float | None) -> bytes:
        """Return the next bytes as soon as there are any, or b"" at the end."""
        ...

    def write(
        self, data: memoryview, received: Callable[[bytes], bool], timeout: float | None
    ) -> bool:
        """Send `data`, and read while the network takes no more of it.

        Args:
            data: a view of the request. Its repr, which error reporters print, shows no secret.
            received: is called with the bytes that were read, at most `LISTEN_BYTES` or one read
                more. It returns True where the rest of `data` need not be sent.
            timeout: for sending all of it.

        Returns:
            Whether all was sent. A connection that breaks is False, not an error: an answer may be
            there to read all the same.
        """
        ...

    def is_readable(self) -> bool:
        """Return whether bytes or the end of the stream can be read now."""
        ...

    def close(self) -> None:
        """Close at once, even in a thread that is being cancelled. It raises nothing.

        A `read` that waits in another thread ends with an error.
        """
        ...


class Backend(Protocol):
    """Makes connections."""

    @property
    def errors(self) -> tuple[type[Exception], ...]:
        """What `connect` and the methods of a connection raise."""
        ...

    def connect(self, host: str, port: int, timeout: float | None) -> Connection:
        """Connect to the first address of the host that answers."""
        ...
