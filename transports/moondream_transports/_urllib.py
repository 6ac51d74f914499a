"""A transport on the standard library alone.

1. It goes through urllib.request for its proxies, with a connection of our own (`_urllib_connection.py`) that keeps deadlines.
2. urllib.request asks the server to close: each exchange has a connection of its own, and no connection is ever reused.
3. Looking up a name cannot be interrupted: `Timeouts.connect` is only looked at after it.

What http.client does not tell: see docs on transports. Two different lengths, or a length beside chunked framing, are taken as
http.client takes them (chunked, else the first), which is safe on a connection that is not reused; more than 100 header fields are
refused.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from time import monotonic
from typing import TYPE_CHECKING

from sansio_moondream import ConnectFailed, ConnectionLost, ConnectTimeout, HTTPRequest, RemoteProtocolError, TLSFailed

from ._transport import Timeouts

if TYPE_CHECKING:
    import ssl

    from ._urllib_connection import Progress, Response

_READ_AT_ONCE = 64 * 1024


class UrllibTransport:
    """Sends requests with urllib: nothing to install, one connection an exchange.

    `ssl_context` takes the place of `ssl.create_default_context()`; `proxies` (`{"https": "http://proxy:3128"}`) that of the
    environment's, and `{}` means none. It holds no connection, so there is nothing to close.
    """

    def __init__(self, *, ssl_context: ssl.SSLContext | None = None, proxies: Mapping[str, str] | None = None) -> None:
        self._ssl_context = ssl_context
        self._proxies = None if proxies is None else dict(proxies)

    def send(self, request: HTTPRequest, timeouts: Timeouts) -> UrllibStream:
        """As `Transport.send` says. Redirects are not followed, and an error status is a response like any other."""
        from . import _urllib_connection as connection  # 30 ms: only where it is used

        if self._ssl_context is None and request.url.startswith("https:"):
            self._ssl_context = connection.default_context()
        progress = connection.Progress(timeouts)
        try:
            return UrllibStream(connection.open_response(request, progress, self._proxies, self._ssl_context), progress)
        except connection.FAULTS as error:
            fault = connection.cause_of(error)
            raise self._named(fault, request, progress) from fault

    def _named(self, fault: Exception, request: HTTPRequest, progress: Progress) -> Exception:
        where = request.url.partition("://")[2].partition("/")[0]
        if progress.connected_at is not None:
            return _broken(fault)
        if isinstance(fault, TimeoutError):
            return ConnectTimeout(f"no connection to {where} in time")
        kind = TLSFailed if progress.is_tls_fault(fault) else ConnectFailed
        return kind(f"could not connect to {where}: {fault}")


class UrllibStream:
    """A response of `UrllibTransport`."""

    def __init__(self, response: Response, progress: Progress) -> None:
        self._response = response
        self._progress = progress
        self.status_code = response.status
        self.headers: list[tuple[str, str]] = response.getheaders()
        self.connected_at = progress.connected_at

    def read(self, timeout: float | None) -> bytes:
        """As `ByteStream.read` says."""
        self._progress.deadline = None if timeout is None else monotonic() + timeout
        try:
            data = self._response.read1(_READ_AT_ONCE)
        except Exception as error:
            raise _broken(error) from error
        if not data and self._response.length:  # http.client takes a body that is cut short as whole
            raise ConnectionLost(f"the connection closed {self._response.length:,} bytes before the end of the body")
        return data

    def close(self) -> None:
        """As `ByteStream.close` says; also from another thread, where it wakes a `read` that waits."""
        self._progress.shutdown()
        with suppress(OSError):
            self._response.close()
