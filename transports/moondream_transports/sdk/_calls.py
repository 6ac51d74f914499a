"""The documented methods' arguments, made into requests: what the sync and the async surface have
in common.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypeAlias

from sansio_moondream import (
    CaptionRequest,
    ChatRequest,
    DetectRequest,
    EncodedImage,
    Endpoint,
    PointRequest,
    QueryRequest,
    Request,
    SegmentRequest,
    Settings,
    encode_image,
)

if TYPE_CHECKING:
    from PIL import Image

SpatialRef: TypeAlias = Iterable[float]
SamplingSettings: TypeAlias = Mapping[str, Any]


@dataclass(frozen=True, repr=False)
class Base64EncodedImage:
    """A picture as requests carry it: a data URL. What `encode_image` of a model gives, to be used
    for several requests.
    """

    image_url: str

    def __repr__(self) -> str:
        return f"Base64EncodedImage(<{len(self.image_url):,} characters>)"


Picture: TypeAlias = "Image.Image | Base64EncodedImage | EncodedImage | bytes | str"
Length: TypeAlias = Literal["normal", "short", "long"]


_OF_A_CHAT = frozenset(
    {"temperature", "top_p", "max_tokens"}
)  # the settings that the official package passes on


class Call(NamedTuple):
    """A request, and what of its body is the caller's own."""

    request: Request[Any]
    extra_body: dict[str, Any]


def encoded(image: Picture) -> EncodedImage:
    """A picture of any kind that is taken. Raises as `sansio_moondream.encode_image` does."""
    return (
        EncodedImage(image.image_url)
        if isinstance(image, Base64EncodedImage)
        else encode_image(image)
    )


class Calls:
    """Makes the calls of one model."""

    def __init__(self, model: str | None) -> None:
        self._model = model

    def query(
        self,
        image: Picture | None,
        question: str | None,
        settings: SamplingSettings | None,
        reasoning: bool,
        spatial_refs: Iterable[SpatialRef] | None,
    ) -> Call:
        if question is None:
            raise ValueError("question parameter is required")
        picture = None if image is None else encoded(image)
        asked = QueryRequest(
            question=question,
            image=picture,
            reasoning=reasoning or None,
            spatial_refs=spatial_refs,
            model=self._model,
        )
        return Call(asked, _settings(settings))

    def caption(self, image: Picture, length: Length, settings: SamplingSettings | None) -> Call:
        return Call(
            CaptionRequest(image=encoded(image), length=length, model=self._model),
            _settings(settings),
        )

    def chat(
        self,
        messages: Iterable[Mapping[str, Any]],
        settings: SamplingSettings | None,
        reasoning: bool | None,
    ) -> Call:
        sampling = {name: value for name, value in (settings or {}).items() if name in _OF_A_CHAT}
        asked = ChatRequest(
            messages=messages,
            reasoning=reasoning,
            settings=Settings(**sampling) if sampling else None,
            model=self._model,
        )
        return Call(asked, {})

    def segment(
        self,
        image: Picture,
        object: str,
        spatial_refs: Iterable[SpatialRef] | None,
        settings: SamplingSettings | None,
    ) -> Call:
        asked = SegmentRequest(
            image=encoded(image), object=object, spatial_refs=spatial_refs, model=self._model
        )
        return Call(asked, _settings(settings))

    def detect(self, image: Picture, object: str, settings: SamplingSettings | None) -> Call:
        return Call(
            DetectRequest(image=encoded(image), object=object, model=self._model),
            _settings(settings),
        )

    def point(
        self,
        image: Picture,
        object: str,
        settings: SamplingSettings | None,
        spatial_refs: Iterable[SpatialRef] | None,
    ) -> Call:
        asked = PointRequest(
            image=encoded(image), object=object, spatial_refs=spatial_refs, model=self._model
        )
        return Call(asked, _settings(settings))


def make_endpoint(
    api_key: str | None, endpoint: str | None, local: bool, allow_insecure_key: bool
) -> Endpoint:
    """Where a model is asked. Raises ValueError for what is not to be had here."""
    if local:
        raise ValueError(
            "local=True loads a model into this process, which the official package does and this library does not. "
            'For a model of your own, run its server and name it: endpoint="http://localhost:2020/v1"'
        )
    where: dict[str, Any] = {} if endpoint is None else {"url": endpoint}
    return Endpoint(**where, api_key=api_key, allow_insecure_key=allow_insecure_key)


def _settings(settings: SamplingSettings | None) -> dict[str, Any]:
    """As they are: the server says which it takes."""
    return {} if settings is None else {"settings": dict(settings)}
