"""Read what a ledger holds of an item: the JSON of a result or of an error.

We read only what the columns need. `from_dict` makes every field, headers included: for the answer
to a question it takes 140 us, and this takes 4. A file of many rows is written more than once.
"""

from __future__ import annotations

import json
from functools import cached_property
from typing import Any, Generic, NamedTuple, TypeVar

import msgspec
from msgspec import Struct

from sansio_moondream import (
    BBox,
    Metadata,
    MoondreamError,
    Point,
    Reasoning,
    SegmentResult,
    Timing,
    Tokens,
)
from sansio_moondream._kinds import KINDS
from sansio_moondream._unicode import well_formed
from sansio_moondream._value import VERSION, check_version
from sansio_moondream.exports import coco_rle

from ._values import Row, Status


class MetadataForm(Struct):
    """What came beside an answer."""

    request_id: str | None
    finish_reason: str | None
    tokens: Tokens
    timing: Timing


class ResultForm(Struct, tag_field="kind", kw_only=True):
    """A result of any skill. Inside an error it has no version."""

    metadata: MetadataForm
    partial: bool
    version: int = VERSION


class QueryForm(ResultForm, tag="query_result"):
    """The answer to a question."""

    text: str
    reasoning: Reasoning | None


class CaptionForm(ResultForm, tag="caption_result"):
    """The description of a picture."""

    text: str


class SegmentForm(ResultForm, tag="segment_result"):
    """The outline of an object."""

    path: str
    bbox: BBox | None
    parse_error: str | None


class DetectForm(ResultForm, tag="detect_result"):
    """The boxes of objects."""

    objects: tuple[BBox, ...]


class PointForm(ResultForm, tag="point_result"):
    """The centres of objects."""

    points: tuple[Point, ...]


F = TypeVar("F", bound=ResultForm)


class ErrorForm(Struct, Generic[F]):
    """An error. One from before any request, as for a file that is no picture, may have less.

    Attributes:
        kind: of the error, as `to_dict()` names it, or the name of a class that has no such form.
        message: what happened.
        partial: what arrived of the answer.
    """

    kind: str
    message: str
    version: int = VERSION
    partial: F | None = None
    request_id: str | None = None
    status_code: int | None = None
    retryable: bool | None = None

    @property
    def class_name(self) -> str:
        """The name of its class, such as `RateLimitError`."""
        class_ = KINDS.get(self.kind)
        return class_.__name__ if class_ and issubclass(class_, MoondreamError) else self.kind


class Mask(NamedTuple):
    """A mask as run lengths, or None and why there is none."""

    rle: dict[str, Any] | None
    error: str | None


class Answer:
    """A row of the ledger, decoded.

    Attributes:
        row: of the ledger.
        result: what arrived of the answer, or None.
        error: why the item failed, or None.
    """

    def __init__(
        self, row: Row, result: ResultForm | None, error: ErrorForm[ResultForm] | None
    ) -> None:
        self.row = row
        self.result = result
        self.error = error
        self.metadata = result.metadata if result else None

    @property
    def partial(self) -> bool:
        """Whether `result` is only the beginning of an answer."""
        return self.result is not None and (self.error is not None or self.result.partial)

    @property
    def request_id(self) -> str | None:
        """The server's id of the exchange."""
        known = (self.error, self.metadata)
        return next((part.request_id for part in known if part and part.request_id), None)

    @cached_property
    def mask(self) -> Mask | None:
        """The mask of a segmentation, or None if nothing arrived of one."""
        return _mask(self.row, self.result) if isinstance(self.result, SegmentForm) else None


class AnswerReader:
    """Decode the rows of one skill.

    Args:
        skill: one of `RESULTS`.
    """

    def __init__(self, skill: str) -> None:
        self._skill = skill
        self._results = msgspec.json.Decoder(RESULTS[skill])
        self._errors = msgspec.json.Decoder(ERRORS[skill])

    def read(self, row: Row) -> Answer:
        """Decode a row.

        Raises:
            ValueError: its answer is of another skill, of a newer version, or damaged.
        """
        try:
            if row.status == Status.DONE:
                result = _decode(self._results, row.answer)
                return Answer(row, result, None)
            error = _decode(self._errors, row.answer)
            return Answer(row, error.partial, error)
        except ValueError as error:
            raise ValueError(
                f"the answer of {row.id!r} in the ledger cannot be read as one of {self._skill}: "
                f"{error}"
            ) from error


RESULTS: dict[str, type[ResultForm]] = {
    "query": QueryForm,
    "caption": CaptionForm,
    "segment": SegmentForm,
    "detect": DetectForm,
    "point": PointForm,
}
"""The form of the results of each skill."""

ERRORS: dict[str, type[ErrorForm[Any]]] = {
    "query": ErrorForm[QueryForm],
    "caption": ErrorForm[CaptionForm],
    "segment": ErrorForm[SegmentForm],
    "detect": ErrorForm[DetectForm],
    "point": ErrorForm[PointForm],
}
"""The form of the errors of each skill."""


def _decode(decoder: msgspec.json.Decoder[Any], data: bytes) -> Any:
    try:
        form = decoder.decode(data)
    except (msgspec.ValidationError, UnicodeDecodeError):
        raise
    except msgspec.DecodeError:  # damaged, or with a lone surrogate, as in the name of a file
        form = msgspec.convert(well_formed(json.loads(data)), decoder.type)
    if form.version != VERSION:
        check_version({"version": form.version})
    return form


def _mask(row: Row, form: SegmentForm) -> Mask:
    if form.partial or row.status == Status.FAILED:
        return Mask(None, "the answer is not complete")
    if form.parse_error is not None:
        return Mask(None, f"the model wrote no path: {form.parse_error}")
    if row.width is None or row.height is None:
        return Mask(None, "the size of the picture is not known")
    metadata = Metadata(finish_reason=form.metadata.finish_reason)  # the path may be cut short
    result = SegmentResult(form.path, form.bbox, metadata=metadata)
    try:
        return Mask(coco_rle(result, (row.width, row.height)), None)
    except ValueError as error:  # no path (a PathError), no box, or too many pixels
        return Mask(None, str(error))
