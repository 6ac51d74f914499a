"""A transport on the standard library alone.

1. It goes through urllib.request for its proxies, and http.client for its connections. What they
   lack is in `_urllib_connection.py`.
2. urllib.request asks the server to close: each exchange has a connection of its own.
3. Looking up a name cannot be interrupted: `Timeouts.connect` counts it, but acts only after it.
"""

from __future__ import annotations

from collections.abc import Mapping
from threading import Lock
from typing import TYPE_CHECKING

from sansio_moondream import HTTPRequest

from ._transport import Timeouts

if TYPE_CHECKING:
    import ssl
    from urllib.request import OpenerDirector

    from ._urllib_connection import Progress, Response


class UrllibTransport:
    """Sends requests with urllib: nothing to install, one connection an exchange, nothing to close.

    `ssl_context` takes the place of `ssl.create_default_context()`; `proxies`, such as `{"https":
    "http://proxy:3128"}`, that of the environment's (`{}`: none)."""

    def __init__(
        self, *, ssl_context: ssl.SSLContext | None = None, proxies: Mapping[str, str] | None = None
    ) -> None:
        self._ssl_context = ssl_context
        self._proxies = proxies
        self._opener: OpenerDirector | None = None

    def send(self, request: HTTPRequest, timeouts: Timeouts) -> UrllibStream:
        """As `Transport.send` says.

        Redirects are not followed, and an error status is a response like any other.
        """
        from . import (
            # and with it ssl, h11 and the like: only where they are used
            _urllib_connection as connection,
        )

        if self._opener is None:
            self._opener = connection.make_opener(self._proxies, self._ssl_context)
        progress = connection.Progress(request, timeouts)
        return UrllibStream(connection.open_response(self._opener, request, progress), progress)


class UrllibStream:
    """A response of `UrllibTransport`."""

    def __init__(self, response: Response, progress: Progress) -> None:
        self._response = response
        self._progress = progress
        self._reading = Lock()
        self.status_code = response.head.status_code
        self.headers = response.head.headers
        self.connected_at = progress.connected_at

    def read(self, timeout: float | None) -> bytes:
        """As `ByteStream.read` says."""
        self._progress.wait_for(timeout)
        with self._reading:
            try:
                return self._response.read()
            except self._progress.errors as error:
                raise self._progress.named(error)  # noqa: B904 - it has its cause

    def close(self) -> None:
        """As `ByteStream.close` says. Called by another thread, it wakes a `read` that waits."""
        self._progress.shutdown()
        with (
            self._reading
        ):  # the system may give the socket's number to another, which the reader would then read
            self._response.close()
