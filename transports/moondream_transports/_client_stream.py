"""One answer as it comes, pulled from a transport by whoever iterates over it.

1. The request leaves when the stream is opened, which is where its `with` block begins. No connection, or no head in time, is
   raised there; anything else after the events that came before it.
2. The connection is closed, or given back, as soon as an error is raised or the block is left. What was decoded stays there.
3. When the answer is complete, the last bytes of the HTTP framing may still be on their way, and a connection can only be used again
   once they are read. They are waited for, briefly, when the last event has been given out.
4. Nothing is left open between two events: no generator, no lock, no timer.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import suppress
from time import monotonic
from types import TracebackType
from typing import Generic, TypeVar

from sansio_moondream import (
    Event,
    HTTPRequest,
    LocalProtocolError,
    MoondreamError,
    ResponseStream,
    Result,
    State,
    TextDelta,
)

from ._exchange import Exchange
from ._transport import ByteStream, Timeouts, Transport

R = TypeVar("R", bound=Result)

_DRAIN_SECONDS = 0.02
_DRAIN_BYTES = 4096


class ClientStream(Generic[R]):
    """The answer to one request: open it with `with`, and iterate over its events. `Client.stream` makes it.

    Iterating raises the errors of `sansio_moondream`, each after the events before it, with all that arrived in its `.partial`.
    One stream is for one thread; `close` may be called by another. One that is forgotten open closes itself with a ResourceWarning.
    """

    _connection: ByteStream | None = None

    def __init__(
        self, transport: Transport, make_request: Callable[[], HTTPRequest], decoder: ResponseStream[R], timeouts: Timeouts
    ) -> None:
        self._transport = transport
        self._make_request: Callable[[], HTTPRequest] | None = make_request
        self._decoder = decoder
        self._timeouts = timeouts
        self._ready: Iterator[Event] = iter(())

    @property
    def snapshot(self) -> R | None:
        """All that has arrived so far, as a result; None before the head of an answer."""
        return self._decoder.snapshot

    @property
    def request_id(self) -> str | None:
        """The server's id of the exchange, as soon as it is known."""
        return self._decoder.request_id

    def result(self) -> R:
        """The whole answer. What of it has not come yet is waited for, and its events are not given out any more.

        Raises as iterating does.
        """
        while self._decoder.state is not State.COMPLETED:
            next(self)
        return self._decoder.result()

    def text(self) -> Iterator[str]:
        """Only the text, piece by piece, of a query or a caption. Raises as iterating does."""
        return (event.text for event in self if isinstance(event, TextDelta))

    def close(self) -> None:
        """Close the connection at once, or give it back if the body was read to its end. May repeat."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def __enter__(self) -> ClientStream[R]:
        make_request, self._make_request = self._make_request, None  # the body is not kept: it may be 13 MB
        if make_request is None:
            raise LocalProtocolError("a stream can be opened once; ask the client for another")
        self._exchange = exchange = Exchange(self._decoder, self._timeouts)
        try:
            connection = self._transport.send(make_request(), exchange.timeouts_to_send())
        except (MoondreamError, TimeoutError) as error:
            exchange.receive_error(error)
            self._decoder.result()  # raises it
        else:
            self._connection = connection
            exchange.receive_head(connection.status_code, connection.headers, connection.connected_at)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        if error is None and self._decoder.state is State.COMPLETED:
            self._drain()
        self.close()

    def __iter__(self) -> Iterator[Event]:
        return self

    def __next__(self) -> Event:
        try:
            for event in self._ready:
                return event
            return self._wait_for_event()
        except BaseException:
            self.close()
            raise

    def _wait_for_event(self) -> Event:
        while True:
            self._ready = self._decoder.events()
            for event in self._ready:
                self._exchange.had_event = True
                return event
            if self._decoder.state is State.COMPLETED:
                self._drain()
                raise StopIteration
            self._read()

    def _read(self) -> None:
        connection = self._connection  # another thread may close it meanwhile
        if connection is None:
            raise LocalProtocolError("the stream is not open: it is open inside its `with` block, until it is closed or an error came")
        try:
            data = connection.read(self._exchange.patience())
            self._exchange.receive(data)
            if not data:
                self.close()
        except (MoondreamError, TimeoutError) as error:
            self._exchange.receive_error(error)

    def _drain(self) -> None:
        """Read what is left of the body after the answer, so that the connection can be used again."""
        end, allowed = monotonic() + _DRAIN_SECONDS, _DRAIN_BYTES
        with suppress(MoondreamError, TimeoutError):
            while self._connection is not None and allowed > 0 and (left := end - monotonic()) > 0:
                data = self._connection.read(left)
                allowed -= len(data)
                if not data:
                    break

    def __del__(self) -> None:
        if self._connection is not None:
            warnings.warn(f"{self!r} was never closed: use it in a `with` statement", ResourceWarning, source=self, stacklevel=2)
            self.close()

    def __repr__(self) -> str:
        return f"<ClientStream, {self._decoder.state.value}{'' if self._connection is None else ', open'}>"
