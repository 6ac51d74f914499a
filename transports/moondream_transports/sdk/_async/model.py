"""The async surface: `avl`, its model, and the generators of a streamed answer."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Iterable, Mapping
from types import TracebackType
from typing import Any, Self, TypeVar, cast
from weakref import ref as weakref

from moondream_transports import (
    AsyncClient,
    AsyncClientStream,
    AsyncTransport,
    Hooks,
    RetryPolicy,
    Timeouts,
)
from moondream_transports._concurrency import async_close_soon
from moondream_transports._defaults import async_default_transport
from moondream_transports.sdk._calls import (
    Base64EncodedImage,
    Call,
    Calls,
    Length,
    Picture,
    SamplingSettings,
    SpatialRef,
    encoded,
    make_endpoint,
)
from moondream_transports.sdk._outputs import (
    FORMS,
    AsyncTexts,
    CaptionOutput,
    ChatOutput,
    DetectOutput,
    Output,
    PointOutput,
    QueryOutput,
    SegmentOutput,
    SegmentUpdate,
    complete,
    output_for,
)
from sansio_moondream import Event, Limits

T = TypeVar("T")


def avl(
    api_key: str | None = None,
    endpoint: str | None = None,
    local: bool = False,
    model: str | None = None,
    *,
    transport: AsyncTransport | None = None,
    timeouts: Timeouts | None = None,
    limits: Limits | None = None,
    hooks: Hooks | None = None,
    retries: RetryPolicy | None = None,
    allow_insecure_key: bool = False,
) -> AsyncVL:
    """Make a model behind an endpoint. The default endpoint is the cloud's.

    Args:
        api_key, endpoint, local, model: as in the documented SDK.
        transport: sends the requests. The default one opens a connection for each request.
        timeouts, limits, hooks, retries: see `AsyncClient`.
        allow_insecure_key: see `Endpoint`.

    Raises ValueError for `local=True`, and for a key that would be sent over plain http.
    """
    client = AsyncClient(
        transport or async_default_transport(),
        make_endpoint(api_key, endpoint, local, allow_insecure_key),
        timeouts=timeouts,
        limits=limits,
        hooks=hooks,
        retries=retries,
    )
    return AsyncVL(client, model)


class AsyncVL:
    """The documented methods, and the dictionaries that they return.

    Each method raises the errors of `sansio_moondream`. With `stream=True` the call sends the
    request, and the answer is an async generator. Close it with `aclose()`, or drop it, to stop the
    answer.
    """

    def __init__(self, client: AsyncClient, model: str | None = None) -> None:
        self._client = client
        self._calls = Calls(model)

    def encode_image(self, image: Picture) -> Base64EncodedImage:
        """Encode an image once for several requests."""
        return Base64EncodedImage(encoded(image).data_url)

    async def caption(
        self,
        image: Picture,
        length: Length = "normal",
        stream: bool = False,
        settings: SamplingSettings | None = None,
    ) -> CaptionOutput[AsyncTexts]:
        """Describe an image. `["caption"]` is text, or an async generator of its chunks."""
        return cast(
            "CaptionOutput[AsyncTexts]",
            await self._answer(self._calls.caption(image, length, settings), "caption", stream),
        )

    async def query(
        self,
        image: Picture | None = None,
        question: str | None = None,
        stream: bool = False,
        settings: SamplingSettings | None = None,
        reasoning: bool = False,
        spatial_refs: Iterable[SpatialRef] | None = None,
    ) -> QueryOutput[AsyncTexts]:
        """Ask a question. `["answer"]` is text, or an async generator of its chunks."""
        call = self._calls.query(image, question, settings, reasoning, spatial_refs)
        return cast("QueryOutput[AsyncTexts]", await self._answer(call, "answer", stream))

    async def chat(
        self,
        messages: Iterable[Mapping[str, Any]],
        stream: bool = False,
        settings: SamplingSettings | None = None,
        reasoning: bool | None = None,
    ) -> ChatOutput[AsyncTexts]:
        """Continue a conversation.

        `["message"]` is the next message, or an async generator of the chunks of its text.
        """
        return cast(
            "ChatOutput[AsyncTexts]",
            await self._answer(self._calls.chat(messages, settings, reasoning), "message", stream),
        )

    async def segment(
        self,
        image: Picture,
        object: str,
        spatial_refs: Iterable[SpatialRef] | None = None,
        stream: bool = False,
        settings: SamplingSettings | None = None,
    ) -> SegmentOutput | AsyncGenerator[SegmentUpdate, None]:
        """Outline an object.

        Returns a dictionary, or an async generator of updates. The last one has `["completed"]`.
        """
        call = self._calls.segment(image, object, spatial_refs, settings)
        return (
            AsyncParts(await self._opened(call), FORMS["segment"].part)
            if stream
            else cast(SegmentOutput, await self._whole(call))
        )

    async def detect(
        self, image: Picture, object: str, settings: SamplingSettings | None = None
    ) -> DetectOutput:
        """Find the boxes of all such objects."""
        return cast(DetectOutput, await self._whole(self._calls.detect(image, object, settings)))

    async def point(
        self,
        image: Picture,
        object: str,
        settings: SamplingSettings | None = None,
        spatial_refs: Iterable[SpatialRef] | None = None,
    ) -> PointOutput:
        """Find the centres of all such objects."""
        return cast(
            PointOutput, await self._whole(self._calls.point(image, object, settings, spatial_refs))
        )

    async def aclose(self) -> None:
        """Do nothing: no connection is open between two calls. Close your own transport."""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.aclose()

    async def _answer(self, call: Call, name: str, stream: bool) -> dict[str, Any]:
        if not stream:
            return await self._whole(call)
        opened = await self._opened(call)
        output = output_for(name, call.request)
        output[name] = AsyncParts(opened, FORMS[call.request.skill].part, output)
        output["request_id"] = opened.request_id
        return output

    async def _whole(self, call: Call) -> dict[str, Any]:
        return FORMS[call.request.skill].whole(
            await self._client.send(call.request, extra_body=call.extra_body)
        )

    async def _opened(self, call: Call) -> AsyncClientStream[Any]:
        return await self._client.stream(call.request, extra_body=call.extra_body).__aenter__()


class AsyncParts(AsyncGenerator[T, None]):
    """Yield the parts of an answer as they arrive.

    `aclose`, an exception or dropping it ends it, like an async generator. It is a class because a
    generator that was never started cannot close the stream that it reads. Fields that are known
    only at the end of the answer are added to `output`.
    """

    def __init__(
        self,
        stream: AsyncClientStream[Any],
        part: Callable[[Event], Any],
        output: Output | None = None,
    ) -> None:
        self._stream = stream
        self._part = part
        self._output = None if output is None else weakref(output)
        self._is_over = False

    async def asend(self, value: None) -> T:
        if self._is_over:
            raise StopAsyncIteration
        try:
            async for event in self._stream:
                complete(self._output, event)
                if (part := self._part(event)) is not None:
                    return cast(T, part)
        except BaseException:
            await self.aclose()
            raise
        await self.aclose()
        raise StopAsyncIteration

    async def athrow(self, typ: Any, val: Any = None, tb: TracebackType | None = None) -> T:
        await self.aclose()
        raise typ if val is None else val

    async def aclose(self) -> None:
        self._is_over = True
        await self._stream.aclose()

    def __del__(self) -> None:
        if not self._is_over:
            async_close_soon(self.aclose)
