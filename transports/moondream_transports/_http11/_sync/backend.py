# Generated from ../_async/backend.py by `make generate`; do not edit.
"""What the HTTP/1.1 client needs from the network.

Every method that waits takes a timeout in seconds (None is for ever), and raises the builtin
TimeoutError after it. After any exception the connection is only closed.
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
        """Send `data`, and call `received` with what can be read meanwhile.

        `data` is a view because error reporters print its repr, which shows no secret. Sending ends
        early where `received` returns True. Returns whether all was sent: a connection that breaks
        is no error, as an answer may be there to read all the same.
        """
        ...

    def is_readable(self) -> bool:
        """Return whether bytes, or the end, could be read now. They may be lost by this."""
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
