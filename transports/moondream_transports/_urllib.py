"""A transport on the standard library alone.

1. It goes through urllib.request for its proxies, over a connection of our own (`_urllib_connection.py`) that keeps deadlines.
2. urllib.request asks the server to close: each exchange has a connection of its own.
3. Looking up a name cannot be interrupted: `Timeouts.connect` counts it, but acts only after it.
4. Where http.client is lenient, it is so here, and safe, as nothing else follows on the connection: of two lengths the first
   counts, and of a length and chunked framing the framing. It takes fewer than 100 header fields.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from threading import Lock
from typing import TYPE_CHECKING

from sansio_moondream import ConnectionLost, HTTPRequest, RemoteProtocolError

from ._transport import Timeouts

if TYPE_CHECKING:
    import ssl

    from ._urllib_connection import Progress, Response

_READ_AT_ONCE = 64 * 1024


class UrllibTransport:
    """Sends requests with urllib: nothing to install, one connection an exchange, nothing to close.

    `ssl_context` takes the place of `ssl.create_default_context()`; `proxies`, such as `{"https": "http://proxy:3128"}`, that of
    the environment's (`{}`: none).
    """

    def __init__(self, *, ssl_context: ssl.SSLContext | None = None, proxies: Mapping[str, str] | None = None) -> None:
        self._ssl_context = ssl_context
        self._proxies = proxies

    def send(self, request: HTTPRequest, timeouts: Timeouts) -> UrllibStream:
        """As `Transport.send` says. Redirects are not followed, and an error status is a response like any other."""
        from . import _urllib_connection as connection  # and with it ssl, email and the like: only where they are used

        if self._ssl_context is None and request.url.startswith("https:"):
            self._ssl_context = connection.default_context()
        progress = connection.Progress(timeouts)
        return UrllibStream(connection.open_response(request, progress, self._proxies, self._ssl_context), progress)


class UrllibStream:
    """A response of `UrllibTransport`."""

    def __init__(self, response: Response, progress: Progress) -> None:
        self._response = response
        self._progress = progress
        self._reading = Lock()
        self.status_code = response.status
        self.headers: list[tuple[str, str]] = response.getheaders()
        self.connected_at = progress.connected_at

    def read(self, timeout: float | None) -> bytes:
        """As `ByteStream.read` says."""
        self._progress.wait_for(timeout)
        with self._reading:
            try:
                data = self._response.read1(_READ_AT_ONCE)
            except self._progress.errors as error:
                raise self._progress.named(error)  # noqa: B904 - it has its cause
        if self._response.chunked and (self._response.chunk_left or 0) < 0:  # http.client reads a chunk of -5 bytes as all there is
            raise RemoteProtocolError("a chunk of the body has a size below 0")
        if not data and self._response.length:  # http.client takes a body that is cut short for whole
            raise ConnectionLost(f"the connection closed {self._response.length:,} bytes before the end of the body")
        return data

    def close(self) -> None:
        """As `ByteStream.close` says. Called by another thread, it wakes a `read` that waits."""
        self._progress.shutdown()
        with self._reading, suppress(OSError):  # http.client cannot be closed under a reader
            self._response.close()
