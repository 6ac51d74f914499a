"""Both ends of a relay in memory: an upstream that plays a script, and a client of a server."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from functools import partial
from typing import Any

import anyio
import pytest

from moondream_transports import AsyncClient, AsyncClientStream, RetryPolicy
from sansio_moondream import Event, MoondreamError, QueryResult, ResponseStream
from sansio_moondream.relay import EventsEncoder
from tests.helpers import QUERY
from tests.transports.fakes import ENDPOINT, AsyncFakeStream, FakeStream, Step

on_each_loop = pytest.mark.parametrize("loop", ["asyncio", "trio"])
HEARTBEAT = b":\n\n"
SECONDS = 30  # after which a test that hangs fails


def records(*values: Any) -> list[bytes]:
    """Return the records of a stream of events, each alone."""
    encoder = EventsEncoder()
    return [
        encoder.encode_error(value) if isinstance(value, MoondreamError) else encoder.encode(value)
        for value in values
    ]


def decoded(parts: list[bytes]) -> list[Event]:
    """Return the events in a body of the engine's format."""
    stream = ResponseStream(QUERY)
    stream.receive_response(200, {"content-type": "text/event-stream"})
    for part in parts:
        stream.receive_data(part)
    stream.receive_eof()
    return list(stream.events())


class Upstream:
    """The server behind a relay. After the last step it is silent for ever."""

    def __init__(self, *steps: Step, **options: Any) -> None:
        self.fake = FakeStream(*steps, **options)
        self.is_silent_at_head = False

    @property
    def is_closed(self) -> bool:
        return self.fake.closed > 0

    def stream(self, retries: RetryPolicy | None = None) -> AsyncClientStream[QueryResult]:
        """Return a stream that is not entered yet."""
        transport = _Transport(self.fake, anyio.sleep_forever)
        transport.is_silent = self.is_silent_at_head
        return AsyncClient(transport, ENDPOINT, retries=retries).stream(QUERY)


class _Transport(AsyncFakeStream):
    is_silent = False

    async def send(self, *arguments: Any) -> AsyncFakeStream:
        if self.is_silent:
            try:
                await anyio.sleep_forever()
            finally:
                self.stream.close()
        return await super().send(*arguments)


class Browser:
    """A client, as an ASGI application sees it: `receive` and `send`, and what was sent.

    Args:
        stops_reading_at: the number of the message whose `send` waits for ever.
        error: that `send` raises, from the message with the number `fails_at` on.
    """

    def __init__(
        self,
        stops_reading_at: int | None = None,
        error: Exception | None = None,
        fails_at: int = 0,
    ) -> None:
        self.messages: list[MutableMapping[str, Any]] = []
        self.stops_for_good = False  # so that later calls of `send` wait, too
        self._left = anyio.Event()
        self._sent = anyio.Event()
        self._stops_reading_at = stops_reading_at
        self._error = error
        self._fails_at = fails_at

    def leave(self) -> None:
        self._left.set()

    async def receive(self) -> MutableMapping[str, Any]:
        await self._left.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: MutableMapping[str, Any]) -> None:
        if self._error is not None and len(self.messages) >= self._fails_at:
            raise self._error
        self.messages.append(message)
        self._sent.set()
        self._sent = anyio.Event()
        count, stop = len(self.messages) - 1, self._stops_reading_at
        if count == stop or (stop is not None and count > stop and self.stops_for_good):
            await anyio.sleep_forever()

    async def wait_for(self, count: int) -> None:
        """Return when so many messages were sent."""
        while len(self.messages) < count:
            await self._sent.wait()

    @property
    def status(self) -> int:
        return int(self.messages[0]["status"])

    @property
    def headers(self) -> dict[str, str]:
        return {name.decode(): value.decode() for name, value in self.messages[0]["headers"]}

    @property
    def parts(self) -> list[bytes]:
        """The messages of the body, without those that are empty."""
        return [message["body"] for message in self.messages[1:] if message["body"]]

    @property
    def is_ended(self) -> bool:
        return len(self.messages) > 1 and not self.messages[-1].get("more_body", False)

    async def ask(self, relay: Callable[..., Awaitable[None]]) -> None:
        await relay({"type": "http"}, self.receive, self.send)


def run(loop: str, main: Callable[..., Awaitable[None]], *arguments: Any) -> None:
    """Run a test in an event loop. No task may be left when it ends."""

    async def checked() -> None:
        with anyio.fail_after(SECONDS):
            await main(*arguments)
            tasks = 3 if loop == "trio" else 1  # two are of trio
            while len(anyio.get_running_tasks()) > tasks:  # noqa: ASYNC110
                await anyio.sleep(0.001)  # a cancellation is on its way

    anyio.run(partial(checked), backend=loop)
