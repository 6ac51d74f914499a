"""All kinds of values that have a form in JSON: read any of them, and their JSON Schema."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, TypeVar, get_args

from ._errors import MoondreamError
from ._events import Event
from ._forms import Definitions, Schema, mismatch
from ._geometry import Point
from ._metadata import Metadata, Metrics, Stats, Timing, Tokens, Usage
from ._requests.base import Settings
from ._requests.chat import ChatMessage, ChatRequest
from ._requests.images import EncodedImage
from ._requests.skills import (
    CaptionRequest,
    DetectRequest,
    PointRequest,
    QueryRequest,
    SegmentRequest,
)
from ._results import Grounding, Reasoning, Result
from ._value import VERSION, Value, check_version, kind_of, whole_form

_PARTS = (Point, Metadata, Metrics, Stats, Usage, Tokens, Timing, Reasoning, Grounding)
_REQUESTS = (
    *(QueryRequest, CaptionRequest, SegmentRequest, DetectRequest, PointRequest, ChatRequest),
    *(Settings, ChatMessage, EncodedImage),
)
V = TypeVar("V", bound=Value)


def _with_subclasses(class_: type[V]) -> Iterator[type[V]]:
    yield class_
    for subclass in class_.__subclasses__():
        yield from _with_subclasses(subclass)


KINDS: dict[str, type[Value]] = {
    kind_of(class_): class_
    for class_ in (
        *(*get_args(Event), *get_args(Result), *_PARTS, *_REQUESTS),
        *_with_subclasses(MoondreamError),
    )
}


def from_dict(data: Mapping[str, Any]) -> Value:
    """Make a value of any kind from `data`, its `to_dict()`. The class of that kind is its type.

    Raises:
        ValueError: `data` is of an unknown kind or another version; a field is missing, unknown or
            of another type; or the class refuses its value.
    """
    if not isinstance(data, Mapping):
        mismatch("the value", "an object with a kind and a version", data)
    check_version(data)
    kind = data.get("kind")
    if not isinstance(kind, str) or kind not in KINDS:
        mismatch("kind", "one that sansio_moondream.json_schema() has", kind)
    return KINDS[kind].from_dict(data)


def json_schema(kind: str | None = None) -> Schema:
    """Return the JSON Schema (draft 2020-12) of what `to_dict()` returns.

    Args:
        kind: of the values, for example "completed". None describes all kinds in one schema.

    Raises:
        ValueError: there is no such kind.
    """
    if kind is not None and kind not in KINDS:
        mismatch("kind", f"one of {', '.join(KINDS)}", kind)
    definitions: Definitions = {}
    classes = KINDS.values() if kind is None else [KINDS[kind]]
    references = [whole_form(class_).schema(definitions) for class_ in classes]
    title = "Values of sansio-moondream" if kind is None else kind
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": f"{title}, version {VERSION}",
        **({"oneOf": references} if kind is None else references.pop()),
        "$defs": definitions,
    }
