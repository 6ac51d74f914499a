"""The arguments of the documented methods, converted to requests."""

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
    """An image as a data URL, for several requests. `encode_image` of a model makes it."""

    image_url: str

    def __repr__(self) -> str:
        return f"Base64EncodedImage(<{len(self.image_url):,} characters>)"


Picture: TypeAlias = "Image.Image | Base64EncodedImage | EncodedImage | bytes | str"
Length: TypeAlias = Literal["normal", "short", "long"]


# The settings that the official package passes on.
_CHAT_SETTINGS = frozenset({"temperature", "top_p", "max_tokens"})


class Call(NamedTuple):
    """A request, and fields to add to its body."""

    request: Request[Any]
    extra_body: dict[str, Any]


def encoded(image: Picture) -> EncodedImage:
    """Encode an image. Raises the errors of `sansio_moondream.encode_image`."""
    return (
        EncodedImage(image.image_url)
        if isinstance(image, Base64EncodedImage)
        else encode_image(image)
    )


class Calls:
    """Make the calls of one model."""

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
        request = QueryRequest(
            question=question,
            image=picture,
            reasoning=reasoning or None,
            spatial_refs=spatial_refs,
            model=self._model,
        )
        return Call(request, _settings(settings))

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
        sampling = {
            name: value for name, value in (settings or {}).items() if name in _CHAT_SETTINGS
        }
        request = ChatRequest(
            messages=messages,
            reasoning=reasoning,
            settings=Settings(**sampling) if sampling else None,
            model=self._model,
        )
        return Call(request, {})

    def segment(
        self,
        image: Picture,
        object: str,
        spatial_refs: Iterable[SpatialRef] | None,
        settings: SamplingSettings | None,
    ) -> Call:
        request = SegmentRequest(
            image=encoded(image), object=object, spatial_refs=spatial_refs, model=self._model
        )
        return Call(request, _settings(settings))

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
        request = PointRequest(
            image=encoded(image), object=object, spatial_refs=spatial_refs, model=self._model
        )
        return Call(request, _settings(settings))


def make_endpoint(
    api_key: str | None, endpoint: str | None, local: bool, allow_insecure_key: bool
) -> Endpoint:
    """Make the endpoint of a model. Raises ValueError for `local=True`."""
    if local:
        raise ValueError(
            "local=True loads a model into this process. The official package does that, this"
            " library does not. Run a server of your own and give its address:"
            ' endpoint="http://localhost:2020/v1"'
        )
    url: dict[str, Any] = {} if endpoint is None else {"url": endpoint}
    return Endpoint(**url, api_key=api_key, allow_insecure_key=allow_insecure_key)


def _settings(settings: SamplingSettings | None) -> dict[str, Any]:
    """Pass all settings on: the server decides which it takes."""
    return {} if settings is None else {"settings": dict(settings)}
