"""A request and its answer on a socket of one's own: `HTTP11Exchange` and `ResponseStream` in one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Generic

from ._errors import MoondreamError
from ._events import FINISHED, Event, Signal
from ._limits import Limits
from ._requests.base import Request
from ._requests.endpoint import Endpoint
from ._results import R
from ._stream import ResponseStream, State
from ._wire.http11 import HTTP11Exchange, ResponseHead


class SocketStream(Generic[R]):
    """The answer to one request, from the bytes of a socket to events.

    Connect (with TLS for https), send `data_to_send()`, then for each chunk that comes:
    `receive_data(chunk)`, and take what is ready from `events()`. `receive_eof` where the socket's
    other side closed, `receive_error` where it broke. When `reusable` is true, the connection may
    carry the next request; else close it. Parameters as in `Request.to_http` and `ResponseStream`.
    """

    def __init__(
        self,
        request: Request[R],
        endpoint: Endpoint,
        *,
        stream: bool = True,
        extra_body: Mapping[str, Any] | None = None,
        limits: Limits | None = None,
    ) -> None:
        self._exchange = HTTP11Exchange(request.to_http(endpoint, stream, extra_body))
        self._decoder = ResponseStream(request, limits)

    @property
    def state(self) -> State:
        """As `ResponseStream.state`."""
        return self._decoder.state

    @property
    def snapshot(self) -> R | None:
        """As `ResponseStream.snapshot`."""
        return self._decoder.snapshot

    @property
    def request_id(self) -> str | None:
        """As `ResponseStream.request_id`."""
        return self._decoder.request_id

    @property
    def reusable(self) -> bool:
        """As `HTTP11Exchange.reusable`.

        The end of the body may come a little after the end of the answer.
        """
        return self._exchange.reusable

    def data_to_send(self) -> bytes:
        """As `HTTP11Exchange.data_to_send`."""
        return self._exchange.data_to_send()

    def receive_data(self, data: bytes | bytearray | memoryview) -> None:
        """Bytes came from the socket. Raises LocalProtocolError after the end of input."""
        self._exchange.receive_data(data)
        self._pass_on()

    def receive_eof(self) -> None:
        """The server closed its side of the connection. May repeat."""
        self._exchange.receive_eof()
        self._pass_on()

    def receive_error(self, error: Exception) -> None:
        """As `ResponseStream.receive_error`. The connection is of no use after it."""
        self._exchange.receive_eof()
        self._decoder.receive_error(error)

    def events(self) -> Iterator[Event]:
        """As `ResponseStream.events`."""
        return self._decoder.events()

    def next_event(self) -> Event | Signal:
        """As `ResponseStream.next_event`."""
        return self._decoder.next_event()

    def result(self) -> R:
        """As `ResponseStream.result`."""
        return self._decoder.result()

    def _pass_on(self) -> None:
        while True:
            try:
                event = self._exchange.next_event()
            except MoondreamError as error:
                self._decoder.receive_error(error)
                return
            if isinstance(event, bytes):
                self._decoder.receive_data(event)
            elif isinstance(event, ResponseHead):
                self._decoder.receive_response(event.status_code, event.headers)
            else:
                if event is FINISHED:
                    self._decoder.receive_eof()
                return
