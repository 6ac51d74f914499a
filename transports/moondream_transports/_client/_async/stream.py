"""The stream of one answer: it pulls bytes from a transport while its events are taken.

1. Entering the stream reads the files of pictures, if there are any, and sends the request. An
   error of a file, a missing connection or a missing head is raised there. Every other error is
   raised after the events that arrived before it.
2. The connection is closed or returned to its pool as soon as an error is raised or the block is
   left. What was decoded stays available.
3. With a `RetryPolicy`, an error before the first event may be followed by a wait and another
   attempt. The connection of the failed attempt is closed before the wait, and then its turn ends,
   if there is a limiter.
4. After the last event the stream reads the rest of the HTTP framing, for a short time, so that the
   connection can be used again.
5. Nothing stays open between two events: no generator, lock or cancel scope. A transport may
   keep a timer until it is closed.
"""

from __future__ import annotations

import warnings
from collections.abc import AsyncIterator
from types import TracebackType
from typing import Generic

from moondream_transports._client._async.texts import AsyncTexts
from moondream_transports._client._draft import Draft
from moondream_transports._client._shared import AsyncSleep, interrupt_send
from moondream_transports._concurrency import AsyncFlag, async_close_soon
from moondream_transports._exchange import Exchange, R
from moondream_transports._pictures import async_encoded
from moondream_transports._transport import AsyncByteStream, AsyncTransport
from sansio_moondream import (
    FINISHED,
    NEED_DATA,
    Event,
    HTTPRequest,
    LocalProtocolError,
    MoondreamError,
    Request,
    State,
)

_READING = (State.READING_EVENTS, State.READING_JSON)


class AsyncClientStream(Generic[R]):
    """The answer to one request. Enter it with `async with`, and iterate over its events.

    `AsyncClient.stream` makes it. Iterating raises the errors of `sansio_moondream`, each after the
    events before it. `.partial` of an error has everything that arrived. Use a stream in one
    task; another task may call `aclose`. An open stream that is garbage-collected closes itself
    with a ResourceWarning.
    """

    _connection: AsyncByteStream | None = None
    _retry_wait: AsyncFlag | None = None
    _sending: HTTPRequest | None = None  # while its head is awaited
    _is_waiting = False  # for a turn or a retry
    _is_closed = False  # by `aclose`, perhaps in another task: there is no further attempt

    def __init__(
        self,
        transport: AsyncTransport,
        exchange: Exchange[R],
        sleep: AsyncSleep | None = None,
        draft: Draft[R] | None = None,
    ) -> None:
        self._transport = transport
        self._exchange = exchange
        self._sleep = sleep
        self._draft = draft  # of the request, until the files of its pictures are read

    @property
    def snapshot(self) -> R | None:
        """The result of all that has arrived so far. It is None before the head of the response."""
        return self._exchange.decoder.snapshot

    @property
    def request_id(self) -> str | None:
        """The server's id of the request, or None while it is unknown."""
        return self._exchange.decoder.request_id

    @property
    def request(self) -> Request[R] | None:
        """The request that is answered. It is None once it is sent: its pictures may be large.

        Until the stream is entered, a small picture stands for each that is in a file.
        """
        return self._exchange.request

    async def next_events(self) -> list[Event]:
        """Return the next event, and all that arrived with it. The list is empty at the end.

        Raises the errors that iterating raises, after the events before them.
        """
        try:
            events = [await anext(self)]
        except StopAsyncIteration:
            return []
        try:
            for event in self._exchange.ready:
                events.append(event)  # noqa: PERF402 - a list keeps what came before the error
        except MoondreamError:
            pass  # the next call raises it again
        return events

    async def result(self) -> R:
        """Read the rest of the answer, drop its events, and return the complete result.

        Raises the errors that iterating raises.
        """
        while self._exchange.decoder.state is not State.COMPLETED:
            await anext(self)
        return self._exchange.decoder.result()

    def text(self) -> AsyncIterator[str]:
        """Iterate over only the text of a query, a caption or a chat, chunk by chunk.

        Raises the errors that iterating over the events raises.
        """
        return AsyncTexts(self)

    async def aclose(self) -> None:
        """Close the connection at once, or return it to its pool if the body was read completely.

        Further calls do nothing.
        """
        self._end_waits()
        if self._sending is not None:
            interrupt_send(self._transport, self._sending)
        await self._close(None)

    def withdraw(self) -> bool:
        """End the wait for a turn or for a retry: no attempt is made any more.

        An attempt that is being made goes on. Returns whether there was such a wait, which raises
        LocalProtocolError then.
        """
        if is_waiting := self._is_waiting:
            self._end_waits()
        return is_waiting

    async def __aenter__(self) -> AsyncClientStream[R]:
        if self._draft is not None:
            images = [await async_encoded(path) for path in self._draft.paths]
            self._exchange.set_request(self._draft.request(images))
            self._draft = None
        self._exchange.open()
        try:
            if (seconds := await self._send()) is not None:
                await self._retry(seconds)
        except BaseException as error:
            await self._close(error)
            self._exchange.close(error)
            raise
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        try:
            if error is None and self._exchange.decoder.state is State.COMPLETED:
                await self._drain()
        finally:
            await self._close(error)

    def __aiter__(self) -> AsyncIterator[Event]:
        return self

    async def __anext__(self) -> Event:
        exchange = self._exchange
        while True:  # each pass but the last ends in a retry
            try:
                for ready in exchange.ready:
                    return ready
                # `receive` decodes at once, so without events in `ready` more data is needed. One
                # call of `next_event` for each chunk is enough.
                is_reading = self._connection is not None and exchange.decoder.state in _READING
                event = NEED_DATA if is_reading else exchange.next_event()
                while event is NEED_DATA:
                    connection = self._open_connection()
                    try:
                        exchange.receive(await connection.read(exchange.read_timeout()))
                    except (MoondreamError, TimeoutError) as error:
                        exchange.receive_error(error)
                    event = exchange.next_event()
                if event is not FINISHED:
                    return event
                await self._drain()
            except BaseException as error:
                # Without a connection the stream was never open, or another task is closing it.
                seconds = None if self._connection is None else exchange.retry_delay(error)
                if seconds is None:
                    await self._close(error)
                    raise
            else:
                await self._close(None)
                raise StopAsyncIteration
            await self._retry(seconds)

    async def _send(self) -> float | None:
        """Make one attempt, up to the head of the response.

        Returns the seconds to wait before a retry, or None if the head arrived.
        """
        exchange = self._exchange
        try:
            turn = exchange.next_turn()
            self._is_waiting = True
            if not self._is_closed and (turn is None or await turn[0].async_begin(turn[1])):
                self._is_waiting = False
                request, timeouts = exchange.begin()
                self._sending = request if hasattr(self._transport, "interrupt") else None
                if not self._is_closed:  # by another task since
                    sending = self._transport.send(request, timeouts)
                    del request  # its body may be large, and the transport may release it
                    self._connection = await sending
        except (MoondreamError, TimeoutError) as failure:
            exchange.receive_error(failure)
            try:
                exchange.next_event()  # raises the error
            except MoondreamError as error:
                if (seconds := exchange.retry_delay(error)) is None:
                    raise
                return seconds
            raise
        finally:
            self._sending = None
            self._is_waiting = False
        if self._is_closed:  # by another task, which saw no connection
            await self._close(None)
        connection = self._open_connection()  # raises if there is none
        exchange.receive_head(connection.status_code, connection.headers, connection.connected_at)
        return None

    def _end_waits(self) -> None:
        self._is_closed = True
        if self._retry_wait is not None:
            self._retry_wait.set()
        if self._exchange.turn is not None:
            self._exchange.turn.give_up()

    async def _retry(self, seconds: float | None) -> None:
        """Close the last connection, wait, and send the request again, until a head arrives.

        Raises the error that is not followed by another attempt.
        """
        connection, self._connection = self._connection, None
        self._retry_wait = flag = AsyncFlag()
        try:
            if connection is not None:
                await connection.aclose()
            while seconds is not None and not self._is_closed:
                if self._exchange.turn is not None:
                    self._exchange.turn.end()
                self._is_waiting = True
                await (self._sleep or flag.wait)(seconds)
                self._is_waiting = False
                if not self._is_closed:
                    seconds = await self._send()
            if self._is_closed:
                await self._close(None)
                self._open_connection()  # raises: there is none
        except BaseException as error:
            await self._close(error)
            self._exchange.close(error)
            raise

    async def _drain(self) -> None:
        try:
            timeout = self._exchange.drain_timeout()
            while timeout is not None and self._connection is not None:
                data = await self._connection.read(timeout)
                timeout = self._exchange.drain_timeout(len(data)) if data else None
        except (MoondreamError, TimeoutError):
            pass

    def _open_connection(self) -> AsyncByteStream:
        if self._connection is None:
            raise LocalProtocolError(
                "the stream is not open: it is open inside its `async with` block,"
                " until it is closed or raises an error"
            )
        return self._connection

    async def _close(self, error: BaseException | None) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            try:
                await connection.aclose()
            finally:
                self._exchange.close(error)

    def __del__(self) -> None:
        if self._connection is not None:
            warnings.warn(
                f"{self!r} was never closed: use it in an `async with` statement",
                ResourceWarning,
                source=self,
                stacklevel=2,
            )
            async_close_soon(self.aclose)

    def __repr__(self) -> str:
        is_open = "" if self._connection is None else ", open"
        return f"<{type(self).__name__}, {self._exchange.decoder.state.value}{is_open}>"
