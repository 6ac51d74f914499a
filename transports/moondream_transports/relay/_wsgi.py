"""The sync relay: a response for any framework, and a WSGI application."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from http import HTTPStatus
from typing import Any

from ._sync.body import RelayBody


class Relay(RelayBody):
    """One response: the events of a stream in a format.

    `relay` makes it. Use it once, in one of these forms:

    - as a WSGI application: `return relay(environ, start_response)`.
    - as an iterator of `bytes`, with `status_code` and `headers` after `open()`. If it is closed or
      dropped, the upstream is closed.

    A WSGI server notices only by writing that its client has left. So the upstream is closed at the
    next event or heartbeat after that.
    """

    def __call__(
        self, environ: dict[str, Any], start_response: Callable[..., Any]
    ) -> Iterable[bytes]:
        """Begin the response, as WSGI says."""
        self._require_unused()
        self.open()
        try:
            phrase = HTTPStatus(self.status_code).phrase
        except ValueError:
            phrase = "Unknown"
        start_response(f"{self.status_code} {phrase}", list(self.headers))
        return self
