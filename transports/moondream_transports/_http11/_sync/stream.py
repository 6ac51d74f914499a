# Generated from ../_async/stream.py by `make generate`; do not edit.
"""One exchange on a connection.

1. A server may answer and close before it has read the request (413). So we read while we send. If
   the request cannot be sent, that is not yet an error: we look for the answer first.
2. One read returns all bytes that have arrived, from any number of chunks of the HTTP framing.
3. At its end the connection goes back to the pool if client and server are done with it.
"""

from __future__ import annotations

from threading import Lock
from time import monotonic

from moondream_transports._deadlines import after
from moondream_transports._http11.errors import map_error
from moondream_transports._http11.pool import Pool
from moondream_transports._http11.route import Route
from moondream_transports._http11.waiting import remaining
from sansio_moondream import NEED_DATA, Headers, HTTP11Exchange, MoondreamError, ResponseHead

from .backend import Connection


class HTTP11Stream:
    """The response to one request, over a connection of this library.

    Its attributes are those of `ByteStream`.
    """

    status_code: int
    headers: Headers

    def __init__(
        self,
        errors: tuple[type[Exception], ...],
        pool: Pool[Connection],
        route: Route,
        connection: Connection,
        exchange: HTTP11Exchange,
    ) -> None:
        self.connected_at = monotonic()
        self._errors = errors
        self._pool = pool
        self._route = route
        self._connection = connection
        self._exchange = exchange
        self._head: object = NEED_DATA
        self._is_sent = False
        self._closing = Lock()  # taken once: `close` may be called by several

    def open(self, deadline: float | None) -> None:
        """Send the request, and wait for the head of the response until `deadline`, a moment of
        `time.monotonic()`.
        """
        try:
            self._is_sent = self._connection.write(
                memoryview(self._exchange.data_to_send()), self._receive_early, remaining(deadline)
            )
        except self._errors as error:
            raise map_error(error) from error
        while self._head is NEED_DATA:
            self._head = self._exchange.next_event()
            if self._head is NEED_DATA:
                self._receive(remaining(deadline))
        assert isinstance(self._head, ResponseHead)
        self.status_code, self.headers = self._head.status_code, self._head.headers

    def read(self, timeout: float | None) -> bytes:
        """As `ByteStream.read` says."""
        if (body := self._exchange.next_body()) is not NEED_DATA:
            return body
        deadline = after(timeout)
        while True:
            self._receive(timeout)
            if (body := self._exchange.next_body()) is not NEED_DATA:
                return body
            timeout = remaining(deadline)

    def close(self) -> None:
        """As `ByteStream.close` says. A `read` that waits elsewhere ends."""
        if not self._closing.acquire(blocking=False):
            return
        unused = [self._connection]
        if self._is_sent and self._exchange.reusable:
            unused = self._pool.keep(self._route, self._connection)
        for connection in unused:
            connection.close()

    def _receive(self, timeout: float | None) -> None:
        try:
            data = self._connection.read(timeout)
        except self._errors as error:
            raise map_error(error) from error
        if data:
            self._exchange.receive_data(data)
        else:
            self._exchange.receive_eof()

    def _receive_early(self, data: bytes) -> bool:
        """Take in what comes while the request is sent. Return True if it is refused."""
        self._exchange.receive_data(data)
        try:
            if self._head is NEED_DATA:
                self._head = self._exchange.next_event()
        except MoondreamError:
            return True  # `open` raises it
        return isinstance(self._head, ResponseHead) and self._head.status_code >= 400
