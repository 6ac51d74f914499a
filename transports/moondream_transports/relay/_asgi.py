"""The async relay: a response for any framework, and an ASGI application.

As an application it sends in the task that reads the source, without a hand-over of each part. Two
more tasks wait: one for the client's leaving, one for the moment of the next heartbeat.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from functools import partial
from time import monotonic
from typing import Any, TypeAlias

from moondream_transports._concurrency import AsyncFlag, async_sleep
from sansio_moondream import ErrorResponse, MoondreamError
from sansio_moondream.relay._refusals import stopping

from ._async.body import AsyncRelayBody
from ._async.group import LAST_SECONDS
from ._async.source import AsyncSource, async_close_source
from ._failures import as_moondream_error
from ._first import AsyncFirst

Message: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]


class AsyncRelay(AsyncRelayBody):
    """One response: the events of a stream in a format.

    `relay` makes it. Use it once, in one of these forms:

    - as an ASGI application: `await relay(scope, receive, send)`. If the client leaves, the
      upstream is closed at once.
    - as an async iterator of `bytes`, with `status_code` and `headers` after `await open()`. If it
      is closed, cancelled or dropped, the upstream is closed.
    """

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Send the response, as ASGI says. It returns when all is sent, or the client has left."""
        if scope["type"] != "http":
            raise TypeError(f"a relay answers requests of HTTP, not the scope {scope['type']!r}")
        self._require_unused()
        if self._status_code is not None:
            await self._send_opened(receive, send)
            return
        self._is_ended = True  # for the other form
        response = _Response(self._source, self._heartbeat, receive, send)
        refusal = None if self._group is None else self._group.admit(response)
        try:
            if refusal is None:
                await response.run()
            else:
                await send_whole(send, self._source.encode_refusal(refusal))
                await async_close_source(self._source)
        except OSError:
            pass  # of `send`: the client has left
        finally:
            if self._group is not None:
                self._group.release(response)

    async def _send_opened(self, receive: Receive, send: Send) -> None:
        async def write() -> None:
            await send_head(send, self.status_code, self.headers)
            async for part in self:
                await send({"type": "http.response.body", "body": part, "more_body": True})
            await send({"type": "http.response.body", "body": b"", "more_body": False})

        try:
            await AsyncFirst().run(write, partial(until_disconnect, receive))
        except OSError:
            pass  # of `send`: the client has left
        finally:
            await self.aclose()


class _Response:
    """Send the parts of a source. What a group stops is this object."""

    def __init__(
        self, source: AsyncSource, heartbeat: float | None, receive: Receive, send: Send
    ) -> None:
        self._source = source
        self._heartbeat = heartbeat
        self._receive = receive
        self._send = send
        self._is_started = self._is_sending = self._is_over = False
        self._sent_at = monotonic()
        self._heartbeat_sent: AsyncFlag | None = None  # while one is being sent
        self._sending = AsyncFirst()
        self._error: MoondreamError | None = None

    def stop(self, error: MoondreamError) -> None:
        """End the response with this error, whatever it waits for. Without effect after the end."""
        if self._error is None and not self._is_over:
            self._error = error
            self._sending.cancel()

    async def run(self) -> None:
        """Return when all is sent, or the client has left."""
        heartbeats = [] if self._heartbeat is None else [partial(self._beat, self._heartbeat)]
        await self._sending.run(self._pump, self._watch, *heartbeats)
        if not self._is_over:  # `stop`, or a task was cancelled with its event loop
            self._heartbeat_sent = None
            last_record = partial(self._fail, self._error or stopping())
            await AsyncFirst().run(last_record, self._watch, partial(async_sleep, LAST_SECONDS))

    async def _pump(self) -> None:
        try:
            while True:
                try:
                    part = await self._source.next_part()
                except Exception as error:  # noqa: BLE001 - it ends the response
                    return await self._fail(as_moondream_error(error))
                if part is None:
                    return await self._write(b"", more_body=False)
                await self._write(part)
        finally:
            await async_close_source(self._source)

    async def _beat(self, seconds: float) -> None:
        """Send a heartbeat whenever nothing was sent for so long."""
        wait = seconds
        while True:
            await async_sleep(wait)
            wait = seconds
            silent = monotonic() - self._sent_at
            if self._is_sending or self._is_over:
                continue  # the client reads nothing, or the source is being closed
            if silent < seconds:
                wait -= silent
                continue
            self._heartbeat_sent = AsyncFlag()
            await self._send_part(self._source.heartbeat, more_body=True)
            self._heartbeat_sent.set()
            self._heartbeat_sent = None

    async def _watch(self) -> None:
        await until_disconnect(self._receive)
        if self._is_over:  # a server says so after each end, too
            await AsyncFlag().wait()  # nothing cancels the closing of the source
        self._is_over = True

    async def _fail(self, error: MoondreamError) -> None:
        if self._heartbeat_sent is not None:
            await self._heartbeat_sent.wait()
        if self._is_started:
            await self._write(self._source.encode_error(error), more_body=False)
        else:
            self._is_started = self._is_sending = True
            await send_whole(self._send, self._source.encode_refusal(error))
            self._is_over = True

    async def _write(self, part: bytes, *, more_body: bool = True) -> None:
        if self._heartbeat_sent is not None:
            await self._heartbeat_sent.wait()
        self._is_sending = True
        await self._send_part(part, more_body=more_body)
        self._is_sending = False
        self._sent_at = monotonic()

    async def _send_part(self, part: bytes, *, more_body: bool) -> None:
        if not self._is_started:
            self._is_started = True
            await send_head(self._send, 200, self._source.headers)
        await self._send({"type": "http.response.body", "body": part, "more_body": more_body})
        if not more_body:  # the client may have left meanwhile
            self._is_over = True


async def send_head(send: Send, status_code: int, headers: tuple[tuple[str, str], ...]) -> None:
    """Send the head of a response."""
    encoded = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers]
    await send({"type": "http.response.start", "status": status_code, "headers": encoded})


async def send_whole(send: Send, response: ErrorResponse) -> None:
    """Send a whole response."""
    await send_head(send, response.status_code, response.headers)
    await send({"type": "http.response.body", "body": response.body, "more_body": False})


async def until_disconnect(receive: Receive) -> None:
    """Return when the client has left."""
    while (await receive())["type"] != "http.disconnect":
        pass  # the rest of the body of the request, which nobody read
