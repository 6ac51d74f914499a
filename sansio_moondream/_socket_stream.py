"""`HTTP11Exchange` and `ResponseStream` in one: events from the bytes of a socket."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Generic

from ._errors import MoondreamError
from ._events import FINISHED, Event, Signal
from ._limits import Limits
from ._requests.base import Request
from ._requests.endpoint import Endpoint
from ._results import R
from ._states import State
from ._stream import ResponseStream
from ._wire.http11 import HTTP11Exchange
from ._wire.http11_plain import ResponseHead


class SocketStream(Generic[R]):
    """Send one request and decode its answer, on a socket that the caller owns.

    Connect (with TLS for https) and send `data_to_send()`. Pass each chunk of bytes to
    `receive_data`, and take the events that are ready from `events()`. Call `receive_eof` when the
    server closes the connection, and `receive_error` when the connection breaks. If `reusable` is
    true at the end, the connection can carry another request; else close it. Errors name the method
    and URL of the request, and the key of the endpoint is masked in them.

    Args:
        request: the request to send.
        endpoint: the server that it is for.
        stream, extra_body: as in `Request.to_http`.
        limits: as in `ResponseStream`.
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
        http = request.to_http(endpoint, stream, extra_body)
        self._exchange = HTTP11Exchange(http)
        self._stream = ResponseStream(request, limits, sent=http)

    @property
    def state(self) -> State:
        """As `ResponseStream.state`."""
        return self._stream.state

    @property
    def snapshot(self) -> R | None:
        """As `ResponseStream.snapshot`."""
        return self._stream.snapshot

    @property
    def request_id(self) -> str | None:
        """As `ResponseStream.request_id`."""
        return self._stream.request_id

    @property
    def reusable(self) -> bool:
        """As `HTTP11Exchange.reusable`.

        The end of the body may arrive a little after the end of the answer.
        """
        return self._exchange.reusable

    def data_to_send(self) -> bytes:
        """As `HTTP11Exchange.data_to_send`."""
        return self._exchange.data_to_send()

    def receive_data(self, data: bytes | bytearray | memoryview) -> None:
        """Receive `data` from the socket.

        Raises:
            LocalProtocolError: The input has ended.
        """
        self._exchange.receive_data(data)
        self._decode()

    def receive_eof(self) -> None:
        """Receive the end of input: the server closed its side of the connection. May repeat."""
        self._exchange.receive_eof()
        self._decode()

    def receive_error(self, error: Exception) -> None:
        """As `ResponseStream.receive_error`. The connection cannot be used after it."""
        self._exchange.receive_eof()
        self._stream.receive_error(error)

    def events(self) -> Iterator[Event]:
        """As `ResponseStream.events`."""
        return self._stream.events()

    def next_event(self) -> Event | Signal:
        """As `ResponseStream.next_event`."""
        return self._stream.next_event()

    def result(self) -> R:
        """As `ResponseStream.result`."""
        return self._stream.result()

    def _decode(self) -> None:
        while True:
            try:
                event = self._exchange.next_event()
            except MoondreamError as error:
                self._stream.receive_error(error)
                return
            if isinstance(event, bytes):
                self._stream.receive_data(event)
            elif isinstance(event, ResponseHead):
                self._stream.receive_response(event.status_code, event.headers)
            else:
                if event is FINISHED:
                    self._stream.receive_eof()
                return
