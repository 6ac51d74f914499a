"""What a sync and an async client have in common: what they were told once, and how their
shorthands make a request.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from inspect import Parameter, signature
from typing import TYPE_CHECKING, Any, Generic, Literal, TypeAlias, TypeVar

from sansio_moondream import (
    BBox,
    CaptionRequest,
    ChatMessage,
    ChatRequest,
    DetectRequest,
    EncodedImage,
    Endpoint,
    Limits,
    Point,
    PointRequest,
    QueryRequest,
    Request,
    SegmentRequest,
    Settings,
    encode_image,
)

from ._clock import RealAsyncClock
from ._exchange import Exchange, R
from ._hooks import Hooks
from ._retries import RetryPolicy
from ._transport import Timeouts

if TYPE_CHECKING:
    from PIL import Image

T = TypeVar("T")
S = TypeVar("S")
F = TypeVar("F", bound=Callable[..., Any])
Picture: TypeAlias = "Image.Image | bytes | bytearray | memoryview | str | EncodedImage"
SpatialRefs: TypeAlias = Iterable[Point | BBox | Iterable[float]]


class AnyClient(Generic[T, S]):
    """Asks an endpoint by way of a transport `T`. What sleeps gives an `S`."""

    def __init__(
        self,
        transport: T,
        endpoint: Endpoint,
        *,
        timeouts: Timeouts | None = None,
        limits: Limits | None = None,
        hooks: Hooks | None = None,
        retries: RetryPolicy | None = None,
        sleep: Callable[[float], S] | None = None,
    ) -> None:
        self._transport = transport
        self._endpoint = endpoint
        self._timeouts = timeouts or Timeouts()
        self._limits = limits
        self._hooks = hooks
        self._retries = retries
        self._sleep = sleep if sleep is not None else _sleep_of(transport)

    def _exchange(
        self, request: Request[R], stream: bool, extra_body: Mapping[str, Any] | None
    ) -> Exchange[R]:
        return Exchange(
            request,
            self._endpoint,
            stream,
            extra_body,
            timeouts=self._timeouts,
            limits=self._limits,
            hooks=self._hooks,
            retries=self._retries,
            now=getattr(self._transport, "clock", time).monotonic,
        )

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self._endpoint!r} by {type(self._transport).__name__}>"


def _sleep_of(transport: object) -> Any:
    """That of a clock of a test's own.

    The machine's gives none: a client waits better by itself, as `close` can end that.
    """
    clock: Any = getattr(transport, "clock", time)
    return (
        None
        if clock is time or isinstance(clock, RealAsyncClock)
        else getattr(clock, "sleep", None)
    )


def query(
    *,
    question: str,
    image: Picture | None = None,
    reasoning: bool | None = None,
    spatial_refs: SpatialRefs | None = None,
    settings: Settings | None = None,
    model: str | None = None,
) -> QueryRequest:
    """Send a `QueryRequest` and wait for the whole answer; `image` may be anything that
    `encode_image` takes.
    """
    encoded = None if image is None else encode_image(image)
    return QueryRequest(
        question=question,
        image=encoded,
        reasoning=reasoning,
        spatial_refs=spatial_refs,
        settings=settings,
        model=model,
    )


def caption(
    *,
    image: Picture,
    length: Literal["short", "normal", "long"] | None = None,
    settings: Settings | None = None,
    model: str | None = None,
) -> CaptionRequest:
    """Send a `CaptionRequest` and wait for the whole answer; `image` may be anything that
    `encode_image` takes.
    """
    return CaptionRequest(image=encode_image(image), length=length, settings=settings, model=model)


def segment(
    *,
    image: Picture,
    object: str,
    spatial_refs: SpatialRefs | None = None,
    settings: Settings | None = None,
    model: str | None = None,
) -> SegmentRequest:
    """Send a `SegmentRequest` and wait for the whole answer; `image` may be anything that
    `encode_image` takes.
    """
    return SegmentRequest(
        image=encode_image(image),
        object=object,
        spatial_refs=spatial_refs,
        settings=settings,
        model=model,
    )


def detect(
    *, image: Picture, object: str, settings: Settings | None = None, model: str | None = None
) -> DetectRequest:
    """Send a `DetectRequest` and wait for the whole answer; `image` may be anything that
    `encode_image` takes.
    """
    return DetectRequest(image=encode_image(image), object=object, settings=settings, model=model)


def point(
    *,
    image: Picture,
    object: str,
    spatial_refs: SpatialRefs | None = None,
    settings: Settings | None = None,
    model: str | None = None,
) -> PointRequest:
    """Send a `PointRequest` and wait for the whole answer; `image` may be anything that
    `encode_image` takes.
    """
    return PointRequest(
        image=encode_image(image),
        object=object,
        spatial_refs=spatial_refs,
        settings=settings,
        model=model,
    )


def chat(
    *,
    messages: Iterable[ChatMessage | Mapping[str, object]],
    reasoning: bool | None = None,
    settings: Settings | None = None,
    model: str | None = None,
) -> ChatRequest:
    """Send a `ChatRequest` and wait for the whole answer."""
    return ChatRequest(messages=messages, reasoning=reasoning, settings=settings, model=model)


def named_like(method: F, make_request: Callable[..., Request[Any]], owner: str) -> F:
    """Give a client's shorthand the name, the words and the parameters of the function that makes
    its request.
    """
    told: Any = method
    told.__name__, told.__doc__ = make_request.__name__, make_request.__doc__
    told.__qualname__ = f"{owner}.{make_request.__name__}"
    asked = signature(make_request)
    self = Parameter("self", Parameter.POSITIONAL_OR_KEYWORD)
    told.__signature__ = asked.replace(parameters=[self, *asked.parameters.values()])
    return method
