# Generated from ../_async/shorthands.py by `make generate`; do not edit.
"""The shorthands of the client: each builds a request, and sends or streams it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Literal

from moondream_transports._client._draft import Draft
from moondream_transports._client._shared import SpatialRefs
from moondream_transports._client._sync.stream import ClientStream
from moondream_transports._exchange import R
from moondream_transports._pictures import Picture
from sansio_moondream import (
    CaptionRequest,
    CaptionResult,
    ChatMessage,
    ChatRequest,
    ChatResult,
    DetectRequest,
    DetectResult,
    PointRequest,
    PointResult,
    QueryRequest,
    QueryResult,
    Request,
    SegmentRequest,
    SegmentResult,
    Settings,
)


class Shorthands:
    """The methods of `Client` that build requests. Their arguments are those of the requests.

    `image` is a path, or anything that `encode_image` takes.
    """

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
        """Send a `QueryRequest`, and return its result.

        The arguments are those of `QueryRequest`. `image` may also be a path, or anything that
        `encode_image` takes.
        """
        return self._whole(
            QueryRequest,
            question=question,
            image=image,
            reasoning=reasoning,
            spatial_refs=spatial_refs,
            settings=settings,
            model=model,
        )

    def stream_query(
        self,
        *,
        question: str,
        image: Picture | None = None,
        reasoning: bool | None = None,
        spatial_refs: SpatialRefs | None = None,
        settings: Settings | None = None,
        model: str | None = None,
    ) -> ClientStream[QueryResult]:
        """Stream the answer to a `QueryRequest`.

        The arguments are those of `QueryRequest`. `image` may also be a path, or anything that
        `encode_image` takes.
        """
        return self._streamed(
            QueryRequest,
            question=question,
            image=image,
            reasoning=reasoning,
            spatial_refs=spatial_refs,
            settings=settings,
            model=model,
        )

    def caption(
        self,
        *,
        image: Picture,
        length: Literal["short", "normal", "long"] | None = None,
        settings: Settings | None = None,
        model: str | None = None,
    ) -> CaptionResult:
        """Send a `CaptionRequest`, and return its result.

        The arguments are those of `CaptionRequest`. `image` may also be a path, or anything that
        `encode_image` takes.
        """
        return self._whole(
            CaptionRequest, image=image, length=length, settings=settings, model=model
        )

    def stream_caption(
        self,
        *,
        image: Picture,
        length: Literal["short", "normal", "long"] | None = None,
        settings: Settings | None = None,
        model: str | None = None,
    ) -> ClientStream[CaptionResult]:
        """Stream the answer to a `CaptionRequest`.

        The arguments are those of `CaptionRequest`. `image` may also be a path, or anything that
        `encode_image` takes.
        """
        return self._streamed(
            CaptionRequest, image=image, length=length, settings=settings, model=model
        )

    def segment(
        self,
        *,
        image: Picture,
        object: str,
        spatial_refs: SpatialRefs | None = None,
        settings: Settings | None = None,
        model: str | None = None,
    ) -> SegmentResult:
        """Send a `SegmentRequest`, and return its result.

        The arguments are those of `SegmentRequest`. `image` may also be a path, or anything that
        `encode_image` takes.
        """
        return self._whole(
            SegmentRequest,
            image=image,
            object=object,
            spatial_refs=spatial_refs,
            settings=settings,
            model=model,
        )

    def stream_segment(
        self,
        *,
        image: Picture,
        object: str,
        spatial_refs: SpatialRefs | None = None,
        settings: Settings | None = None,
        model: str | None = None,
    ) -> ClientStream[SegmentResult]:
        """Stream the answer to a `SegmentRequest`.

        The arguments are those of `SegmentRequest`. `image` may also be a path, or anything that
        `encode_image` takes.
        """
        return self._streamed(
            SegmentRequest,
            image=image,
            object=object,
            spatial_refs=spatial_refs,
            settings=settings,
            model=model,
        )

    def detect(
        self,
        *,
        image: Picture,
        object: str,
        settings: Settings | None = None,
        model: str | None = None,
    ) -> DetectResult:
        """Send a `DetectRequest`, and return its result.

        The arguments are those of `DetectRequest`. `image` may also be a path, or anything that
        `encode_image` takes.
        """
        return self._whole(
            DetectRequest, image=image, object=object, settings=settings, model=model
        )

    def point(
        self,
        *,
        image: Picture,
        object: str,
        spatial_refs: SpatialRefs | None = None,
        settings: Settings | None = None,
        model: str | None = None,
    ) -> PointResult:
        """Send a `PointRequest`, and return its result.

        The arguments are those of `PointRequest`. `image` may also be a path, or anything that
        `encode_image` takes.
        """
        return self._whole(
            PointRequest,
            image=image,
            object=object,
            spatial_refs=spatial_refs,
            settings=settings,
            model=model,
        )

    def chat(
        self,
        *,
        messages: Iterable[ChatMessage | Mapping[str, object]],
        reasoning: bool | None = None,
        settings: Settings | None = None,
        model: str | None = None,
    ) -> ChatResult:
        """Send a `ChatRequest`, and return its result.

        The arguments are those of `ChatRequest`. In the content of a message in OpenAI's form, a
        picture may also be a path, bytes or a Pillow image.
        """
        return self._whole(
            ChatRequest, messages=messages, reasoning=reasoning, settings=settings, model=model
        )

    def stream_chat(
        self,
        *,
        messages: Iterable[ChatMessage | Mapping[str, object]],
        reasoning: bool | None = None,
        settings: Settings | None = None,
        model: str | None = None,
    ) -> ClientStream[ChatResult]:
        """Stream the answer to a `ChatRequest`.

        The arguments are those of `ChatRequest`, and pictures may be as in `Client.chat`.
        """
        return self._streamed(
            ChatRequest, messages=messages, reasoning=reasoning, settings=settings, model=model
        )

    def _whole(self, kind: Callable[..., Request[R]], **fields: Any) -> R:
        with self._ask(kind, False, fields) as stream:
            return stream.result()

    def _streamed(self, kind: Callable[..., Request[R]], **fields: Any) -> ClientStream[R]:
        return self._ask(kind, True, fields)

    def _ask(
        self, kind: Callable[..., Request[R]], stream: bool, fields: dict[str, Any]
    ) -> ClientStream[R]:
        draft = Draft(kind, fields)
        return self._stream(draft.request(), stream, draft=draft if draft.paths else None)

    def _stream(
        self,
        request: Request[R],
        stream: bool,
        extra_body: Mapping[str, Any] | None = None,
        draft: Draft[R] | None = None,
    ) -> ClientStream[R]:
        raise NotImplementedError
