"""The requests of the skills. `chat.py` has the request of a chat.

Field names, limits and paths are the service's own, from its API reference.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Any, Literal, TypeVar

from msgspec.structs import astuple, force_setattr

from sansio_moondream._geometry import BBox, Point
from sansio_moondream._results import (
    CaptionResult,
    DetectResult,
    PointResult,
    QueryResult,
    SegmentResult,
)
from sansio_moondream._value import Stored

from .base import R_co, Request
from .checks import TEXT, check, is_number, is_text
from .images import EncodedImage, data_url_as_json

SpatialRefs = Annotated[
    Iterable[Point | BBox | Iterable[float]], Stored(tuple[tuple[float, ...], ...])
]

_IMAGE = "an EncodedImage, as encode_image(...) makes it"
_REF = "a point (x, y) or a box (x_min, y_min, x_max, y_max) in [0, 1]"


class QueryRequest(Request[QueryResult], frozen=True, kw_only=True):
    """Ask a question, about a picture if there is one.

    Attributes:
        question: the text of the question.
        image: the picture, as `encode_image` makes it, or None.
        reasoning: True asks for the model's reasoning, too. The cloud's engine refuses that in a
            stream.
        spatial_refs: points (x, y) or boxes (x_min, y_min, x_max, y_max) that the question is
            about, in fractions of the picture.

    Raises:
        ValueError, TypeError: a field has a value that the service does not take.
    """

    question: str
    image: EncodedImage | None = None
    reasoning: bool | None = None
    spatial_refs: SpatialRefs | None = None

    skill = "query"

    def __post_init__(self) -> None:
        super().__post_init__()
        check(is_text(self.question), "question", TEXT, self.question)
        check(isinstance(self.image, EncodedImage | None), "image", _IMAGE, self.image)
        valid = isinstance(self.reasoning, bool | None)
        check(valid, "reasoning", "True, False or None", self.reasoning)
        _store_refs(self)

    def _body(self) -> dict[str, Any]:
        return {
            "image_url": self.image and data_url_as_json(self.image),
            "question": self.question,
            "reasoning": self.reasoning,
            "spatial_refs": self.spatial_refs,
        }


class CaptionRequest(Request[CaptionResult], frozen=True, kw_only=True):
    """Describe a picture.

    Attributes:
        image: the picture, as `encode_image` makes it.
        length: of the description. None is the server's choice, `"normal"`.

    Raises:
        ValueError, TypeError: a field has a value that the service does not take.
    """

    image: EncodedImage
    length: Literal["short", "normal", "long"] | None = None

    skill = "caption"

    def __post_init__(self) -> None:
        super().__post_init__()
        check(isinstance(self.image, EncodedImage), "image", _IMAGE, self.image)
        valid = self.length in (None, "short", "normal", "long")
        check(valid, "length", '"short", "normal" or "long"', self.length)

    def _body(self) -> dict[str, Any]:
        return {"image_url": data_url_as_json(self.image), "length": self.length}


class _ObjectRequest(Request[R_co], frozen=True, kw_only=True):
    image: EncodedImage
    object: str

    def __post_init__(self) -> None:
        super().__post_init__()
        check(isinstance(self.image, EncodedImage), "image", _IMAGE, self.image)
        check(is_text(self.object), "object", TEXT, self.object)

    def _body(self) -> dict[str, Any]:
        return {"image_url": data_url_as_json(self.image), "object": self.object}


class _ReferringRequest(_ObjectRequest[R_co], frozen=True, kw_only=True):
    spatial_refs: SpatialRefs | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        _store_refs(self)

    def _body(self) -> dict[str, Any]:
        return {**super()._body(), "spatial_refs": self.spatial_refs}


class SegmentRequest(_ReferringRequest[SegmentResult], frozen=True):
    """Outline an object, given its name.

    Attributes:
        image: the picture, as `encode_image` makes it.
        object: the name of the object.
        spatial_refs: select one of several such objects, as in `QueryRequest`.

    Raises:
        ValueError, TypeError: a field has a value that the service does not take.
    """

    skill = "segment"


class DetectRequest(_ObjectRequest[DetectResult], frozen=True):
    """Find the boxes of all objects of a kind. The answer is never streamed.

    Attributes:
        image: the picture, as `encode_image` makes it.
        object: the kind of the objects.

    Raises:
        ValueError, TypeError: a field has a value that the service does not take.
    """

    skill = "detect"
    streams = False


class PointRequest(_ReferringRequest[PointResult], frozen=True):
    """Find the centres of all objects of a kind. The answer is never streamed.

    Attributes:
        image: the picture, as `encode_image` makes it.
        object: the kind of the objects.
        spatial_refs: as in `QueryRequest`.

    Raises:
        ValueError, TypeError: a field has a value that the service does not take.
    """

    skill = "point"
    streams = False


Q = TypeVar("Q", QueryRequest, _ReferringRequest[Any])


def _store_refs(request: Q) -> None:
    """Check the references and store them as tuples, so that requests are comparable."""
    refs = request.spatial_refs
    if refs is None:
        return
    check(isinstance(refs, Iterable), "spatial_refs", "a list of points and boxes", refs)
    stored: list[tuple[float, ...]] = []
    for ref in refs:
        name = f"spatial_refs[{len(stored)}]"
        check(isinstance(ref, Point | BBox | Iterable), name, _REF, ref)
        numbers = astuple(ref) if isinstance(ref, Point | BBox) else tuple(ref)
        in_range = all(is_number(number) and 0 <= number <= 1 for number in numbers)
        check(len(numbers) in (2, 4) and in_range, name, _REF, numbers)
        stored.append(numbers)
    force_setattr(request, "spatial_refs", tuple(stored))
