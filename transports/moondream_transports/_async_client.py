"""The asynchronous client: what is asked of a server, by way of an asynchronous transport."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine, Mapping
from typing import Any, Concatenate, ParamSpec

from sansio_moondream import Request

from . import _any_client as any_client
from ._async_client_stream import AsyncClientStream
from ._exchange import R
from ._transport import AsyncTransport

P = ParamSpec("P")


def _asks(
    make_request: Callable[P, Request[R]],
) -> Callable[Concatenate[AsyncClient, P], Coroutine[Any, Any, R]]:
    def ask(self: AsyncClient, /, *args: P.args, **kwargs: P.kwargs) -> Coroutine[Any, Any, R]:
        return self.send(make_request(*args, **kwargs))

    return any_client.named_like(ask, make_request, "AsyncClient")


class AsyncClient(any_client.AnyClient[AsyncTransport, Awaitable[object]]):
    """Asks a Moondream server, in any number of tasks of one event loop. As `Client`, with `await`.

    The shorthands encode their picture where they are called, which takes the event loop's time:
    make a large one an `EncodedImage` in a thread beforehand, and send a request with that."""

    def stream(
        self, request: Request[R], *, extra_body: Mapping[str, Any] | None = None
    ) -> AsyncClientStream[R]:
        """The answer as it is made; use it in an `async with` statement, where the request leaves.
        `extra_body` as in `Request.to_http`.
        """
        return AsyncClientStream(
            self._transport, self._exchange(request, True, extra_body), self._sleep
        )

    async def send(self, request: Request[R], *, extra_body: Mapping[str, Any] | None = None) -> R:
        """The whole answer, without streaming."""
        async with AsyncClientStream(
            self._transport, self._exchange(request, False, extra_body), self._sleep
        ) as stream:
            return await stream.result()

    query = _asks(any_client.query)
    caption = _asks(any_client.caption)
    segment = _asks(any_client.segment)
    detect = _asks(any_client.detect)
    point = _asks(any_client.point)
    chat = _asks(any_client.chat)
