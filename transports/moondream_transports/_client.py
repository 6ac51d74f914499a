"""The client: what is asked of a server, by way of a transport."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, TypeVar

from sansio_moondream import (
    BBox,
    CaptionRequest,
    CaptionResult,
    DetectRequest,
    DetectResult,
    EncodedImage,
    Endpoint,
    Limits,
    Point,
    PointRequest,
    PointResult,
    QueryRequest,
    QueryResult,
    Request,
    ResponseStream,
    Result,
    SegmentRequest,
    SegmentResult,
    Settings,
    encode_image,
)

from ._client_stream import ClientStream
from ._transport import Timeouts, Transport

if TYPE_CHECKING:
    from PIL import Image

R = TypeVar("R", bound=Result)
Picture: TypeAlias = "Image.Image | bytes | bytearray | memoryview | str | EncodedImage"
SpatialRefs: TypeAlias = Iterable[Point | BBox | Iterable[float]]


class Client:
    """Asks a Moondream server, one request at a time or several from several threads.

    `stream` gives events as they come, `send` the whole answer; `query`, `caption`, `segment`, `detect` and `point` are `send` with
    the request made on the way. Each raises the errors of `sansio_moondream`, whatever the transport. Nothing is sent again by
    itself: a request that was sent twice may be billed twice.
    """

    def __init__(self, transport: Transport, endpoint: Endpoint, *, timeouts: Timeouts | None = None, limits: Limits | None = None) -> None:
        self._transport = transport
        self._endpoint = endpoint
        self._timeouts = timeouts or Timeouts()
        self._limits = limits

    def stream(self, request: Request[R], *, extra_body: Mapping[str, Any] | None = None) -> ClientStream[R]:
        """The answer as it is made; use it in a `with` statement, where the request leaves. `extra_body` as in `Request.to_http`."""
        return self._exchange(request, True, extra_body)

    def send(self, request: Request[R], *, extra_body: Mapping[str, Any] | None = None) -> R:
        """The whole answer, without streaming."""
        with self._exchange(request, False, extra_body) as stream:
            return stream.result()

    def _exchange(self, request: Request[R], stream: bool, extra_body: Mapping[str, Any] | None) -> ClientStream[R]:
        decoder = ResponseStream(request, self._limits)
        return ClientStream(self._transport, partial(request.to_http, self._endpoint, stream, extra_body), decoder, self._timeouts)

    def query(
        self,
        *,
        question: str,
        image: Picture | None = None,
        reasoning: bool | None = None,
        spatial_refs: SpatialRefs | None = None,
        settings: Settings | None = None,
        model: str | None = None,
    ) -> QueryResult:
        """Send a `QueryRequest`; `image` may be anything that `encode_image` takes."""
        encoded = None if image is None else encode_image(image)
        return self.send(
            QueryRequest(question=question, image=encoded, reasoning=reasoning, spatial_refs=spatial_refs, settings=settings, model=model)
        )

    def caption(
        self,
        *,
        image: Picture,
        length: Literal["short", "normal", "long"] | None = None,
        settings: Settings | None = None,
        model: str | None = None,
    ) -> CaptionResult:
        """Send a `CaptionRequest`; `image` may be anything that `encode_image` takes."""
        return self.send(CaptionRequest(image=encode_image(image), length=length, settings=settings, model=model))

    def segment(
        self,
        *,
        image: Picture,
        object: str,
        spatial_refs: SpatialRefs | None = None,
        settings: Settings | None = None,
        model: str | None = None,
    ) -> SegmentResult:
        """Send a `SegmentRequest`; `image` may be anything that `encode_image` takes."""
        return self.send(
            SegmentRequest(image=encode_image(image), object=object, spatial_refs=spatial_refs, settings=settings, model=model)
        )

    def detect(self, *, image: Picture, object: str, settings: Settings | None = None, model: str | None = None) -> DetectResult:
        """Send a `DetectRequest`; `image` may be anything that `encode_image` takes."""
        return self.send(DetectRequest(image=encode_image(image), object=object, settings=settings, model=model))

    def point(
        self,
        *,
        image: Picture,
        object: str,
        spatial_refs: SpatialRefs | None = None,
        settings: Settings | None = None,
        model: str | None = None,
    ) -> PointResult:
        """Send a `PointRequest`; `image` may be anything that `encode_image` takes."""
        return self.send(PointRequest(image=encode_image(image), object=object, spatial_refs=spatial_refs, settings=settings, model=model))

    def __repr__(self) -> str:
        return f"<Client {self._endpoint!r} by {type(self._transport).__name__}>"
