"""One answer as it comes, pulled from a transport by whoever iterates over it. `_async_client_stream.py` has the same with `await`.

1. The request leaves when the stream is opened, which is where its `with` block begins. No connection, or no head in time, is
   raised there; anything else after the events that came before it.
2. The connection is closed, or given back, as soon as an error is raised or the block is left. What was decoded stays there.
3. What is left of the HTTP framing behind a complete answer is waited for, briefly, when the last event has been given out.
4. Nothing is left open between two events: no generator, no lock, no timer.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from types import TracebackType

from sansio_moondream import FINISHED, NEED_DATA, Event, MoondreamError, State, TextDelta

from ._any_client_stream import AnyClientStream
from ._exchange import R
from ._transport import ByteStream, Transport


class ClientStream(AnyClientStream[R, Transport, ByteStream]):
    """The answer to one request: open it with `with`, and iterate over its events. `Client.stream` makes it.

    Iterating raises the errors of `sansio_moondream`, each after the events before it, with all that arrived in its `.partial`.
    One stream is for one thread; `close` may be called by another. One that is forgotten open closes itself with a ResourceWarning.
    """

    def result(self) -> R:
        """The whole answer. What of it has not come yet is waited for, and its events are not given out any more.

        Raises as iterating does.
        """
        while self._exchange.decoder.state is not State.COMPLETED:
            next(self)
        return self._exchange.decoder.result()

    def text(self) -> Iterator[str]:
        """Only the text, piece by piece, of a query, a caption or a chat. Raises as iterating does."""
        return (event.text for event in self if isinstance(event, TextDelta))

    def close(self) -> None:
        """Close the connection at once, or give it back if the body was read to its end. May repeat."""
        self._close(None)

    def __enter__(self) -> ClientStream[R]:
        request, timeouts = self._exchange.open()
        try:
            try:
                connection = self._transport.send(request, timeouts)
            except (MoondreamError, TimeoutError) as error:
                self._exchange.receive_error(error)
                self._exchange.next_event()  # raises it
                raise
        except BaseException as error:
            self._exchange.close(error)
            raise
        self._connection = connection
        self._exchange.receive_head(connection.status_code, connection.headers, connection.connected_at)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        try:
            if error is None and self._exchange.decoder.state is State.COMPLETED:
                self._drain()
        finally:
            self._close(error)

    def __iter__(self) -> Iterator[Event]:
        return self

    def __next__(self) -> Event:
        try:
            for ready in self._exchange.ready:
                return ready
            while (event := self._exchange.next_event()) is NEED_DATA:
                connection = self._opened()  # another thread may close it meanwhile
                try:
                    self._exchange.receive(connection.read(self._exchange.patience()))
                except (MoondreamError, TimeoutError) as error:
                    self._exchange.receive_error(error)
            if event is FINISHED:
                self._drain()
        except BaseException as error:
            self._close(error)
            raise
        if event is FINISHED:
            self._close(None)
            raise StopIteration
        return event

    def _drain(self) -> None:
        with suppress(MoondreamError, TimeoutError):
            left = self._exchange.drain_patience()
            while left is not None and self._connection is not None and (data := self._connection.read(left)):
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
