"""One answer as it comes, pulled from a transport by whoever iterates over it. As `_client_stream.py`, with `await`.

1. The request leaves when the stream is opened, which is where its `async with` block begins. No connection, or no head in time, is
   raised there; anything else after the events that came before it.
2. The connection is closed, or given back, as soon as an error is raised or the block is left. What was decoded stays there.
3. What is left of the HTTP framing behind a complete answer is waited for, briefly, when the last event has been given out.
4. Nothing is left open between two events: no generator, task group or cancel scope. A transport may keep a timer until it is closed.
5. It knows no event loop. Only closing a stream that was forgotten needs one, as nothing can be awaited there: `_event_loop.py`.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import suppress
from types import TracebackType

from sansio_moondream import FINISHED, NEED_DATA, Event, MoondreamError, State, TextDelta

from ._any_client_stream import AnyClientStream
from ._event_loop import close_soon
from ._exchange import R
from ._transport import AsyncByteStream, AsyncTransport


class AsyncClientStream(AnyClientStream[R, AsyncTransport, AsyncByteStream]):
    """The answer to one request: open it with `async with`, and iterate over its events. `AsyncClient.stream` makes it.

    Iterating raises the errors of `sansio_moondream`, each after the events before it, with all that arrived in its `.partial`.
    One stream is for one task; `aclose` may be called by another. One that is forgotten open closes itself with a ResourceWarning.
    """

    async def result(self) -> R:
        """The whole answer. What of it has not come yet is waited for, and its events are not given out any more.

        Raises as iterating does.
        """
        while self._exchange.decoder.state is not State.COMPLETED:
            await anext(self)
        return self._exchange.decoder.result()

    def text(self) -> AsyncIterator[str]:
        """Only the text, piece by piece, of a query, a caption or a chat. Raises as iterating does."""
        return _Texts(self)

    async def aclose(self) -> None:
        """Close the connection at once, or give it back if the body was read to its end. May repeat."""
        await self._close(None)

    async def __aenter__(self) -> AsyncClientStream[R]:
        request, timeouts = self._exchange.open()
        try:
            try:
                connection = await self._transport.send(request, timeouts)
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

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        try:
            if error is None and self._exchange.decoder.state is State.COMPLETED:
                await self._drain()
        finally:
            await self._close(error)

    def __aiter__(self) -> AsyncIterator[Event]:
        return self

    async def __anext__(self) -> Event:
        try:
            for ready in self._exchange.ready:
                return ready
            while (event := self._exchange.next_event()) is NEED_DATA:
                connection = self._opened()  # another task may close it meanwhile
                try:
                    self._exchange.receive(await connection.read(self._exchange.patience()))
                except (MoondreamError, TimeoutError) as error:
                    self._exchange.receive_error(error)
            if event is FINISHED:
                await self._drain()
        except BaseException as error:
            await self._close(error)
            raise
        if event is FINISHED:
            await self._close(None)
            raise StopAsyncIteration
        return event

    async def _drain(self) -> None:
        with suppress(MoondreamError, TimeoutError):
            left = self._exchange.drain_patience()
            while left is not None and self._connection is not None and (data := await self._connection.read(left)):
                left = self._exchange.drain_patience(len(data))

    async def _close(self, error: BaseException | None) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            try:
                await connection.aclose()
            finally:
                self._exchange.close(error)

    def __del__(self) -> None:
        if self._connection is not None:
            self._warn()
            close_soon(self._connection.aclose)


class _Texts:
    """No generator: one that is left early would stay open until the event loop finds it."""

    def __init__(self, events: AsyncIterator[Event]) -> None:
        self._events = events

    def __aiter__(self) -> AsyncIterator[str]:
        return self

    async def __anext__(self) -> str:
        while not isinstance(event := await anext(self._events), TextDelta):
            pass
        return event.text
