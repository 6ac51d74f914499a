"""The async client: it sends requests through an `AsyncTransport`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from time import monotonic
from types import TracebackType
from typing import Any, Literal, Self

from moondream_transports._client._async.stream import AsyncClientStream
from moondream_transports._client._shared import AsyncSleep, Picture, SpatialRefs, require
from moondream_transports._clock import AsyncRealClock
from moondream_transports._concurrency import require_async_sleep
from moondream_transports._defaults import async_default_transport
from moondream_transports._exchange import Exchange, R
from moondream_transports._hooks import Hooks
from moondream_transports._retries import RetryPolicy
from moondream_transports._transport import AsyncTransport, Timeouts, require_async_transport
from sansio_moondream import (
    CaptionRequest,
    CaptionResult,
    ChatMessage,
    ChatRequest,
    ChatResult,
    DetectRequest,
    DetectResult,
    Endpoint,
    Limits,
    PointRequest,
    PointResult,
    QueryRequest,
    QueryResult,
    Request,
    SegmentRequest,
    SegmentResult,
    Settings,
    encode_image,
)


class AsyncClient:
    """Ask a Moondream server.

    `stream` gives events as they arrive, `send` the complete result. `query`, `caption`, `segment`,
    `detect`, `point` and `chat` build a request and `send` it. They encode their image where they
    are called; encode a large image beforehand with `encode_image`. All methods raise the errors of
    `sansio_moondream`, whatever the transport. Several tasks of one event loop may share a client.

    Args:
        transport: sends the requests. Whoever made it closes it. The default is a transport of the
            client's own, which `aclose()` or the end of an `async with` block closes.
        endpoint: address and key of the server. The default is the cloud, without a key.
        timeouts: how long each part of an exchange may take.
        limits: of the decoder's buffers.
        hooks: are called as each exchange proceeds.
        retries: when to send a request again. By default the client never does, because a request
            that is sent twice may be billed twice.
        sleep: waits between two attempts. A test with its own clock gives one. Closing the stream
            interrupts only the default one.

    Raises:
        TypeError: an argument is of another kind, such as a sync transport.
        ModuleNotFoundError: the default transport needs a library that is not installed.
    """

    def __init__(
        self,
        transport: AsyncTransport | None = None,
        endpoint: Endpoint | None = None,
        *,
        timeouts: Timeouts | None = None,
        limits: Limits | None = None,
        hooks: Hooks | None = None,
        retries: RetryPolicy | None = None,
        sleep: AsyncSleep | None = None,
    ) -> None:
        require("endpoint", endpoint, Endpoint)
        require("timeouts", timeouts, Timeouts)
        require("limits", limits, Limits)
        require("retries", retries, RetryPolicy)
        if sleep is not None:
            require_async_sleep("sleep", sleep)
        own = async_default_transport() if transport is None else None
        self._transport = require_async_transport(own if transport is None else transport)
        self._own_transport = own
        self._endpoint = endpoint or Endpoint()
        self._timeouts = timeouts or Timeouts()
        self._limits = limits
        self._hooks = hooks
        self._retries = retries
        clock: Any = getattr(transport, "clock", None)
        self._now = monotonic if clock is None else clock.monotonic
        if sleep is None and not isinstance(clock, AsyncRealClock):
            sleep = getattr(clock, "sleep", None)
        self._sleep = sleep

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
        """Stream the answer. The request is sent when the stream is entered with `async with`.

        `extra_body` is described in `Request.to_http`.
        """
        return self._stream(request, True, extra_body)

    async def send(self, request: Request[R], *, extra_body: Mapping[str, Any] | None = None) -> R:
        """Return the complete result. The answer is not streamed."""
        async with self._stream(request, False, extra_body) as stream:
            return await stream.result()

    async def query(
        self,
        *,
        question: str,
        image: Picture | None = None,
        reasoning: bool | None = None,
        spatial_refs: SpatialRefs | None = None,
        settings: Settings | None = None,
        model: str | None = None,
    ) -> QueryResult:
        """Send a `QueryRequest`. `image` is anything that `encode_image` takes."""
        request = QueryRequest(
            question=question,
            image=None if image is None else encode_image(image),
            reasoning=reasoning,
            spatial_refs=spatial_refs,
            settings=settings,
            model=model,
        )
        return await self.send(request)

    async def caption(
        self,
        *,
        image: Picture,
        length: Literal["short", "normal", "long"] | None = None,
        settings: Settings | None = None,
        model: str | None = None,
    ) -> CaptionResult:
        """Send a `CaptionRequest`. `image` is anything that `encode_image` takes."""
        encoded = encode_image(image)
        return await self.send(
            CaptionRequest(image=encoded, length=length, settings=settings, model=model)
        )

    async def segment(
        self,
        *,
        image: Picture,
        object: str,
        spatial_refs: SpatialRefs | None = None,
        settings: Settings | None = None,
        model: str | None = None,
    ) -> SegmentResult:
        """Send a `SegmentRequest`. `image` is anything that `encode_image` takes."""
        request = SegmentRequest(
            image=encode_image(image),
            object=object,
            spatial_refs=spatial_refs,
            settings=settings,
            model=model,
        )
        return await self.send(request)

    async def detect(
        self,
        *,
        image: Picture,
        object: str,
        settings: Settings | None = None,
        model: str | None = None,
    ) -> DetectResult:
        """Send a `DetectRequest`. `image` is anything that `encode_image` takes."""
        encoded = encode_image(image)
        return await self.send(
            DetectRequest(image=encoded, object=object, settings=settings, model=model)
        )

    async def point(
        self,
        *,
        image: Picture,
        object: str,
        spatial_refs: SpatialRefs | None = None,
        settings: Settings | None = None,
        model: str | None = None,
    ) -> PointResult:
        """Send a `PointRequest`. `image` is anything that `encode_image` takes."""
        request = PointRequest(
            image=encode_image(image),
            object=object,
            spatial_refs=spatial_refs,
            settings=settings,
            model=model,
        )
        return await self.send(request)

    async def chat(
        self,
        *,
        messages: Iterable[ChatMessage | Mapping[str, object]],
        reasoning: bool | None = None,
        settings: Settings | None = None,
        model: str | None = None,
    ) -> ChatResult:
        """Send a `ChatRequest`."""
        return await self.send(
            ChatRequest(messages=messages, reasoning=reasoning, settings=settings, model=model)
        )

    def _stream(
        self, request: Request[R], stream: bool, extra_body: Mapping[str, Any] | None
    ) -> AsyncClientStream[R]:
        exchange = Exchange(
            request,
            self._endpoint,
            stream,
            extra_body,
            timeouts=self._timeouts,
            limits=self._limits,
            hooks=self._hooks,
            retries=self._retries,
            now=self._now,
        )
        return AsyncClientStream(self._transport, exchange, self._sleep)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self._endpoint!r} by {type(self._transport).__name__}>"
