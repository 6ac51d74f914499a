"""One answer as it comes, pulled from a transport by whoever iterates over it.
`_async_client_stream.py` has the same with `await`.

1. The request leaves when the stream is opened, which is where its `with` block begins. No
   connection, or no head in time, is raised there; anything else after the events that came before
   it.
2. The connection is closed, or given back, as soon as an error is raised or the block is left. What
   was decoded stays there.
3. Where the client was given a `RetryPolicy`, a fault before the first event may be followed by a
   wait and another attempt instead. The connection of the one is closed, or given back, before the
   wait for the other.
4. What is left of the HTTP framing behind a complete answer is waited for, briefly, when the last
   event has been given out.
5. Nothing is left open between two events: no generator, no lock, no timer.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from types import TracebackType
from typing import TYPE_CHECKING

from sansio_moondream import (
    FINISHED,
    NEED_DATA,
    Event,
    HTTPRequest,
    MoondreamError,
    State,
    TextDelta,
)

from ._any_client_stream import AnyClientStream
from ._exchange import R
from ._transport import ByteStream, Timeouts, Transport

if TYPE_CHECKING:
    import threading


class ClientStream(AnyClientStream[R, Transport, ByteStream, object]):
    """The answer to one request: open it with `with`, and iterate over its events. `Client.stream`
    makes it.

    Iterating raises the errors of `sansio_moondream`, each after the events before it, with all
    that arrived in its `.partial`. One stream is for one thread; `close` may be called by another.
    One that is forgotten open closes itself with a ResourceWarning."""

    _alarm: threading.Event | None = None  # ends the wait for another attempt

    def result(self) -> R:
        """The whole answer. What of it has not come yet is waited for, and its events are not given
        out any more.

        Raises as iterating does.
        """
        while self._exchange.decoder.state is not State.COMPLETED:
            next(self)
        return self._exchange.decoder.result()

    def text(self) -> Iterator[str]:
        """Only the text, chunk by chunk, of a query, a caption or a chat.

        Raises as iterating does.
        """
        return (event.text for event in self if isinstance(event, TextDelta))

    def close(self) -> None:
        """Close the connection at once, or give it back if the body was read to its end.

        May repeat.
        """
        self._left = True
        if self._alarm is not None:
            self._alarm.set()
        self._close(None)

    def __enter__(self) -> ClientStream[R]:
        request, timeouts = self._exchange.open()
        try:
            if (wait := self._send(request, timeouts)) is not None:
                self._retry(wait)
        except BaseException as error:
            self._exchange.close(error)
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        try:
            if error is None and self._exchange.decoder.state is State.COMPLETED:
                self._drain()
        finally:
            self._close(error)

    def __iter__(self) -> Iterator[Event]:
        return self

    def __next__(self) -> Event:
        exchange = self._exchange
        while True:  # once, but for retries
            try:
                for ready in exchange.ready:
                    return ready
                flows = (
                    exchange.decoder.state is State.READING_EVENTS and self._connection is not None
                )
                event = (
                    NEED_DATA if flows else exchange.next_event()
                )  # all of `ready` was taken, so there is nothing more to decode
                while event is NEED_DATA:
                    connection = self._opened()  # another thread may close it meanwhile
                    try:
                        exchange.receive(connection.read(exchange.patience()))
                    except (MoondreamError, TimeoutError) as error:
                        exchange.receive_error(error)
                    event = exchange.next_event()
                if event is not FINISHED:
                    return event
                self._drain()
            except (
                BaseException
            ) as error:  # without a connection it was never opened, or another thread closes it
                if self._connection is None or (wait := self._exchange.retry_in(error)) is None:
                    self._close(error)
                    raise
            else:
                self._close(None)
                raise StopIteration
            self._retry(wait)

    def _send(self, request: HTTPRequest, timeouts: Timeouts) -> float | None:
        """One attempt, as far as the head.

        If it failed, and another should follow, gives how many seconds to wait for that.
        """
        try:
            connection = self._transport.send(request, timeouts)
        except (MoondreamError, TimeoutError) as failure:
            self._exchange.receive_error(failure)
            try:
                self._exchange.next_event()  # raises it
            except MoondreamError as error:
                if (wait := self._exchange.retry_in(error)) is None:
                    raise
                return wait
            raise
        self._connection = connection
        self._exchange.receive_head(
            connection.status_code, connection.headers, connection.connected_at
        )
        return None

    def _retry(self, wait: float | None) -> None:
        """Close what the last attempt left, wait, and send the request again, until there is a head
        or a fault that stands.
        """
        import threading

        connection, self._connection = self._connection, None
        self._alarm = alarm = threading.Event()
        try:
            if connection is not None:
                connection.close()
            while wait is not None and not self._left:
                (self._sleep or alarm.wait)(wait)
                if not self._left:
                    wait = self._send(*self._exchange.again())
            if self._left:
                self._close(None)
                self._opened()  # raises: it is not
        except BaseException as error:
            self._exchange.close(error)
            raise

    def _drain(self) -> None:
        with suppress(MoondreamError, TimeoutError):
            left = self._exchange.drain_patience()
            while (
                left is not None
                and self._connection is not None
                and (data := self._connection.read(left))
            ):
                left = self._exchange.drain_patience(len(data))

    def _close(self, error: BaseException | None) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()
            self._exchange.close(error)

    def __del__(self) -> None:
        if self._connection is not None:
            self._warn()
            self.close()
