"""The async client: it sends requests through an `AsyncTransport`."""

from __future__ import annotations

from collections.abc import Mapping
from time import monotonic
from types import TracebackType
from typing import Any, Self

from moondream_transports._client._async.shorthands import AsyncShorthands
from moondream_transports._client._async.stream import AsyncClientStream
from moondream_transports._client._draft import Draft
from moondream_transports._client._shared import AsyncSleep, require, require_request, resolve
from moondream_transports._clock import AsyncRealClock
from moondream_transports._concurrency import require_async_sleep
from moondream_transports._defaults import async_default_transport
from moondream_transports._exchange import Exchange, R
from moondream_transports._hooks import Hooks
from moondream_transports._limits import EndpointPool, Limiter
from moondream_transports._map._async.concurrent_map import AsyncConcurrentMap
from moondream_transports._map.items import AsyncItems
from moondream_transports._map.running import Running
from moondream_transports._outcome import Outcome
from moondream_transports._retries import RetryPolicy
from moondream_transports._transport import AsyncTransport, Timeouts, require_async_transport
from sansio_moondream import Endpoint, Limits, MoondreamError, Request

_CONCURRENT = 16


class AsyncClient(AsyncShorthands):
    """Ask a Moondream server.

    `stream` gives events as they arrive, `send` the complete result, `map` the outcomes of many
    requests. `query`, `caption`, `segment`, `detect`, `point` and `chat` build a request and `send`
    it; `stream_query`, `stream_caption`, `stream_segment` and `stream_chat` build one and `stream`
    it. All methods raise the errors of `sansio_moondream`, whatever the transport.
    Several tasks of one event loop may share a client.

    An image is a path, a Pillow image, bytes, a data URL or an `EncodedImage`. A path is read and
    encoded when the request is sent; other tasks run meanwhile. Other images are encoded where
    the method is called: encode a large one beforehand, with `encode_image`.

    Args:
        transport: sends the requests. Whoever made it closes it. The default is a transport of the
            client's own, which `aclose()` or the end of an `async with` block closes.
        endpoint: address and key of the server. The default is the cloud, without a key. An
            `EndpointPool` has several, with a limit each.
        timeouts: how long each part of an exchange may take.
        limits: of the decoder's buffers.
        hooks: are called as each exchange proceeds.
        retries: when to send a request again. By default the client never does, because a request
            that is sent twice may be billed twice.
        limiter: decides when each attempt begins. Clients of a process may share one.
        sleep: waits between two attempts. A test with its own clock gives one. Closing the stream
            interrupts only the default one.

    Raises:
        TypeError: an argument is of another kind, such as a sync transport.
        ModuleNotFoundError: the default transport needs a library that is not installed.
    """

    def __init__(
        self,
        transport: AsyncTransport | None = None,
        endpoint: Endpoint | EndpointPool | None = None,
        *,
        timeouts: Timeouts | None = None,
        limits: Limits | None = None,
        hooks: Hooks | None = None,
        retries: RetryPolicy | None = None,
        limiter: Limiter | None = None,
        sleep: AsyncSleep | None = None,
    ) -> None:
        self._endpoint, self._limiter = resolve(endpoint, limiter)
        require("timeouts", timeouts, Timeouts)
        require("limits", limits, Limits)
        require("retries", retries, RetryPolicy)
        if sleep is not None:
            require_async_sleep("sleep", sleep)
        own = async_default_transport() if transport is None else None
        self._transport = require_async_transport(own if transport is None else transport)
        self._own_transport = own
        self._timeouts = timeouts or Timeouts()
        self._limits = limits
        self._hooks = hooks
        self._retries = retries
        clock: Any = getattr(transport, "clock", None)
        self._now = monotonic if clock is None else clock.monotonic
        if sleep is None and not isinstance(clock, AsyncRealClock):
            sleep = getattr(clock, "sleep", None)
        self._sleep = sleep

    @property
    def model(self) -> str | None:
        """The model of requests that name none. None is the server's choice, or several models."""
        pool = self._limiter if isinstance(self._limiter, EndpointPool) else None
        models = {endpoint.model for endpoint in (pool.endpoints if pool else (self._endpoint,))}
        return models.pop() if len(models) == 1 else None

    @property
    def concurrent(self) -> int:
        """How many requests `map` has open at once by default: those of the limiter, or 16."""
        limit = None if self._limiter is None else self._limiter.concurrent
        return limit or _CONCURRENT

    async def aclose(self) -> None:
        """Close the connections of the client's own transport.

        A transport that was passed in stays as it is.
        """
        if self._own_transport is not None:
            await self._own_transport.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.aclose()

    def stream(
        self, request: Request[R], *, extra_body: Mapping[str, Any] | None = None
    ) -> AsyncClientStream[R]:
        """Stream the answer to `request`. It is sent when the stream is entered with `async with`.

        `extra_body` is described in `Request.to_http`.
        """
        return self._stream(request, True, extra_body)

    async def send(self, request: Request[R], *, extra_body: Mapping[str, Any] | None = None) -> R:
        """Return the complete result of `request`. The answer is not streamed.

        `extra_body` is described in `Request.to_http`.
        """
        async with self._stream(request, False, extra_body) as stream:
            return await stream.result()

    async def outcome(
        self, request: Request[R], *, stream: bool = False, running: Running | None = None
    ) -> Outcome[R]:
        """Send a request, and return what became of it: the result, or the error as a value.

        Args:
            request: any request.
            stream: whether the answer is streamed. Then `error.partial` may have a part of it.
            running: of the function of a map. Where the map ends early, the wait is ended too.
        """
        exchange = self._exchange(request, stream)
        answer = AsyncClientStream(self._transport, exchange, self._sleep)
        if running is not None:
            running.interruptible(answer.aclose, answer.withdraw)
        began = self._now()
        result: R | None = None
        failure: MoondreamError | None = None
        try:
            async with answer:
                result = await answer.result()
        except MoondreamError as error:
            if running is not None:
                running.check()  # otherwise the map has closed the stream
            failure = error
        return Outcome(request, result, failure, exchange.attempts, self._now() - began)

    def map(
        self,
        requests: AsyncItems[Request[R]],
        *,
        ordered: bool = True,
        concurrent: int | None = None,
        stream: bool = False,
    ) -> AsyncConcurrentMap[Outcome[R]]:
        """Send many requests, a few at once, and iterate over their outcomes.

        Each `Outcome` has its request, and the result or the error. So an error of a request does
        not end the loop. The next requests are read from their iterable when there is a place for
        them, and they are not kept: a generator may make any number of them.

        Args:
            requests: an async iterable, or an iterable that does not wait.
            ordered: whether outcomes come in the order of their requests. Otherwise each comes as
                soon as it is there.
            concurrent: how many requests are open, or wait for their turn, at once. The default is
                that of the client's limiter, or 16.
            stream: whether the answers are streamed. It makes a difference to `error.partial`.

        Raises:
            TypeError: the requests cannot be iterated over.
            ValueError: `concurrent` is no whole number of at least 1.

        Iterating raises what the iterable raises, and TypeError for what is no request, after the
        outcomes before it.
        """

        if concurrent is None:
            concurrent = self.concurrent

        async def ask(request: Request[R], running: Running) -> Outcome[R]:
            return await self.outcome(request, stream=stream, running=running)

        return AsyncConcurrentMap(ask, requests, concurrent=concurrent, ordered=ordered)

    def _stream(
        self,
        request: Request[R],
        stream: bool,
        extra_body: Mapping[str, Any] | None = None,
        draft: Draft[R] | None = None,
    ) -> AsyncClientStream[R]:
        exchange = self._exchange(request, stream, extra_body)
        return AsyncClientStream(self._transport, exchange, self._sleep, draft)

    def _exchange(
        self, request: Request[R], stream: bool, extra_body: Mapping[str, Any] | None = None
    ) -> Exchange[R]:
        require_request(request)
        return Exchange(
            request,
            self._endpoint,
            stream,
            extra_body,
            timeouts=self._timeouts,
            limits=self._limits,
            hooks=self._hooks,
            retries=self._retries,
            limiter=self._limiter,
            now=self._now,
        )

    def __repr__(self) -> str:
        pool = self._limiter if isinstance(self._limiter, EndpointPool) else None
        by = type(self._transport).__name__
        return f"<{type(self).__name__} {pool or self._endpoint!r} by {by}>"
