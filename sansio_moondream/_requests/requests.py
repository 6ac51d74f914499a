"""What is asked: one request a skill, and the HTTP request that it becomes. `_chat_request.py` has
that of the chat.

Field names, limits and paths are the service's own, from its API reference.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, ClassVar, Generic, Literal, TypeVar

import msgspec
from msgspec import Struct

from sansio_moondream._geometry import BBox, Point
from sansio_moondream._results import (
    CaptionResult,
    DetectResult,
    PointResult,
    QueryResult,
    R,
    SegmentResult,
)

from .checks import HUGE, TEXT, check, is_number, is_text
from .endpoint import Endpoint
from .images import EncodedImage

SpatialRef = tuple[float, float] | tuple[float, float, float, float]
SpatialRefs = Iterable[Point | BBox | Iterable[float]]


class Settings(Struct, frozen=True, kw_only=True, repr_omit_defaults=True):
    """How the model samples. What is None is the server's choice.

    Raises ValueError for a negative temperature, a `top_p` outside (0, 1], or a count below 1.
    """

    temperature: float | None = None
    top_p: float | None = None
    max_tokens: int | None = None
    max_objects: int | None = None

    def __post_init__(self) -> None:
        if self.temperature is not None:
            check(
                is_number(self.temperature) and self.temperature >= 0,
                "temperature",
                "a number of at least 0",
                self.temperature,
            )
        if self.top_p is not None:
            check(
                is_number(self.top_p) and 0 < self.top_p <= 1,
                "top_p",
                "a number above 0 and at most 1",
                self.top_p,
            )
        for name in ("max_tokens", "max_objects"):
            value = getattr(self, name)
            check(
                value is None or (type(value) is int and 1 <= value < HUGE),
                name,
                "a whole number of at least 1",
                value,
            )


class HTTPRequest(Struct, frozen=True):
    """A whole HTTP request as values, for any HTTP client. Send the body as it is; do not follow
    redirects.

    The repr leaves out header values (one is the key) and the body (which may be 13 MB of picture).
    """

    method: str
    url: str
    headers: tuple[tuple[str, str], ...]
    body: bytes

    def __repr__(self) -> str:
        names = ", ".join(name for name, _ in self.headers)
        return f"<HTTPRequest {self.method} {self.url}, headers: {names}; body of {len(self.body):,} bytes>"


class Request(Struct, Generic[R], frozen=True, kw_only=True, repr_omit_defaults=True):
    """What all requests share. Its type parameter is the type of its result.

    `model` picks a model or finetune (`"moondream3-preview/FINETUNE@STEP"`); None is the server's
    choice."""

    settings: Settings | None = None
    model: str | None = None

    skill: ClassVar[str]
    streams: ClassVar[bool] = True
    _PATH: ClassVar[str | None] = None  # behind the endpoint's; None: it is the skill
    _BEARER: ClassVar[bool] = False  # whether the key is sent as OpenAI's clients send it

    def __post_init__(self) -> None:
        check(
            self.settings is None or isinstance(self.settings, Settings),
            "settings",
            "a Settings",
            self.settings,
        )
        check(
            self.model is None or is_text(self.model),
            "model",
            f"a model's name, {TEXT}",
            self.model,
        )

    def to_http(
        self, endpoint: Endpoint, stream: bool = True, extra_body: Mapping[str, Any] | None = None
    ) -> HTTPRequest:
        """The HTTP request that asks `endpoint` for this.

        `stream` asks for the answer as it is made; skills that do not stream (detect, point) answer
        whole all the same. `extra_body` is added to the JSON body, for what a server takes and this
        version does not know; a field of the same name as one of this library takes its place.
        Raises TypeError for a value in it that JSON does not have."""
        body: dict[str, Any] = {
            name: value for name, value in self._body().items() if value is not None
        }
        if self.settings is not None:
            body |= self._settings(
                {k: v for k, v in msgspec.structs.asdict(self.settings).items() if v is not None}
            )
        if self.model is not None:
            body["model"] = self.model
        if self.streams:
            body["stream"] = stream
        body |= extra_body or {}
        accept = "text/event-stream, application/json" if body.get("stream") else "application/json"
        headers = endpoint.request_headers(accept, bearer=self._BEARER)
        return HTTPRequest(
            "POST",
            f"{endpoint.url}/{self._PATH or self.skill}",
            headers,
            msgspec.json.encode(body, enc_hook=_plain),
        )

    def _body(self) -> dict[str, Any]:
        raise NotImplementedError

    def _settings(self, given: dict[str, Any]) -> dict[str, Any]:
        return {"settings": given}


class QueryRequest(Request[QueryResult], frozen=True, kw_only=True, repr_omit_defaults=True):
    """Ask a question, about a picture if one is given.

    `reasoning` asks for the way to the answer too; the cloud's engine refuses that while streaming.
    `spatial_refs` are points (x, y) or boxes (x_min, y_min, x_max, y_max) that the question is
    about, in fractions of the picture."""

    question: str
    image: EncodedImage | None = None
    reasoning: bool | None = None
    spatial_refs: SpatialRefs | None = None

    skill = "query"

    def __post_init__(self) -> None:
        super().__post_init__()
        check(is_text(self.question), "question", TEXT, self.question)
        check(
            self.image is None or isinstance(self.image, EncodedImage), "image", _IMAGE, self.image
        )
        check(
            self.reasoning is None or isinstance(self.reasoning, bool),
            "reasoning",
            "True, False or None",
            self.reasoning,
        )
        _settle_refs(self)

    def _body(self) -> dict[str, Any]:
        return {
            "image_url": self.image and self.image.data_url,
            "question": self.question,
            "reasoning": self.reasoning,
            "spatial_refs": self.spatial_refs,
        }


class CaptionRequest(Request[CaptionResult], frozen=True, kw_only=True, repr_omit_defaults=True):
    """Describe a picture, at a length of `"short"`, `"normal"` (the server's choice) or `"long"`."""

    image: EncodedImage
    length: Literal["short", "normal", "long"] | None = None

    skill = "caption"

    def __post_init__(self) -> None:
        super().__post_init__()
        check(isinstance(self.image, EncodedImage), "image", _IMAGE, self.image)
        check(
            self.length in (None, "short", "normal", "long"),
            "length",
            '"short", "normal" or "long"',
            self.length,
        )

    def _body(self) -> dict[str, Any]:
        return {"image_url": self.image.data_url, "length": self.length}


class _ObjectRequest(Request[R], frozen=True, kw_only=True, repr_omit_defaults=True):
    image: EncodedImage
    object: str

    def __post_init__(self) -> None:
        super().__post_init__()
        check(isinstance(self.image, EncodedImage), "image", _IMAGE, self.image)
        check(is_text(self.object), "object", TEXT, self.object)

    def _body(self) -> dict[str, Any]:
        return {"image_url": self.image.data_url, "object": self.object}


class _ReferringRequest(_ObjectRequest[R], frozen=True, kw_only=True, repr_omit_defaults=True):
    spatial_refs: SpatialRefs | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        _settle_refs(self)

    def _body(self) -> dict[str, Any]:
        return {**super()._body(), "spatial_refs": self.spatial_refs}


class SegmentRequest(
    _ReferringRequest[SegmentResult], frozen=True, kw_only=True, repr_omit_defaults=True
):
    """Outline an object, named in words; `spatial_refs` as in `QueryRequest` say which one is
    meant.
    """

    skill = "segment"


class DetectRequest(
    _ObjectRequest[DetectResult], frozen=True, kw_only=True, repr_omit_defaults=True
):
    """Find the boxes of all objects of a kind. Answers whole."""

    skill = "detect"
    streams = False


class PointRequest(
    _ReferringRequest[PointResult], frozen=True, kw_only=True, repr_omit_defaults=True
):
    """Find the centres of all objects of a kind. Answers whole."""

    skill = "point"
    streams = False


_IMAGE = "an EncodedImage, as encode_image(...) makes it"
Q = TypeVar("Q", QueryRequest, _ReferringRequest[Any])


def _plain(value: Any) -> Any:
    """What JSON has for subclasses, such as the numbers of NumPy."""
    for kind in (str, int, float):
        if isinstance(value, kind):
            return kind(value)
    raise TypeError(f"a request's body holds what JSON has, not {type(value).__name__}")


def _settle_refs(request: Q) -> None:
    """Check the references and keep them as plain tuples, so that an iterator is read once and
    requests compare.
    """
    if request.spatial_refs is None:
        return
    check(
        isinstance(request.spatial_refs, Iterable),
        "spatial_refs",
        "a list of points and boxes",
        request.spatial_refs,
    )
    settled: list[tuple[float, ...]] = []
    for ref in request.spatial_refs:
        name, expected = (
            f"spatial_refs[{len(settled)}]",
            "a point (x, y) or a box (x_min, y_min, x_max, y_max) in [0, 1]",
        )
        check(isinstance(ref, Point | BBox | Iterable), name, expected, ref)
        numbers = msgspec.structs.astuple(ref) if isinstance(ref, Point | BBox) else tuple(ref)
        right = len(numbers) in (2, 4) and all(
            is_number(number) and 0 <= number <= 1 for number in numbers
        )
        check(right, name, expected, numbers)
        settled.append(numbers)
    msgspec.structs.force_setattr(request, "spatial_refs", tuple(settled))
