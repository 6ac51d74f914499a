"""The client: what is asked of a server, by way of a transport."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Concatenate, ParamSpec

from sansio_moondream import Request

from . import _any_client as any_client
from ._client_stream import ClientStream
from ._exchange import R
from ._transport import Transport

P = ParamSpec("P")


def _asks(make_request: Callable[P, Request[R]]) -> Callable[Concatenate[Client, P], R]:
    def ask(self: Client, /, *args: P.args, **kwargs: P.kwargs) -> R:
        return self.send(make_request(*args, **kwargs))

    return any_client.named_like(ask, make_request, "Client")


class Client(any_client.AnyClient[Transport, object]):
    """Asks a Moondream server, one request at a time or several from several threads.

    `stream` gives events as they come, `send` the whole answer; `query`, `caption`, `segment`,
    `detect`, `point` and `chat` are `send` with the request made on the way. Each raises the errors
    of `sansio_moondream`, whatever the transport. `hooks` are told how each exchange goes; see
    `Hooks`. Nothing is sent again by itself, as a request that was sent twice may be billed twice:
    `retries` says when it may be; see `RetryPolicy`. `sleep` is what waits between two attempts,
    for tests with a clock of their own; `close()` of a stream ends only the usual one."""

    def stream(
        self, request: Request[R], *, extra_body: Mapping[str, Any] | None = None
    ) -> ClientStream[R]:
        """The answer as it is made; use it in a `with` statement, where the request leaves.
        `extra_body` as in `Request.to_http`.
        """
        return ClientStream(self._transport, self._exchange(request, True, extra_body), self._sleep)

    def send(self, request: Request[R], *, extra_body: Mapping[str, Any] | None = None) -> R:
        """The whole answer, without streaming."""
        with ClientStream(
            self._transport, self._exchange(request, False, extra_body), self._sleep
        ) as stream:
            return stream.result()

    query = _asks(any_client.query)
    caption = _asks(any_client.caption)
    segment = _asks(any_client.segment)
    detect = _asks(any_client.detect)
    point = _asks(any_client.point)
    chat = _asks(any_client.chat)
