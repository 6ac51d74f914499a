"""A strategy for each kind of value that has a form in JSON."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from hypothesis import strategies as st

from sansio_moondream._errors import APIError, MoondreamError
from sansio_moondream._events import Completed, PathChunk, ReasoningDelta, TextDelta, Unknown
from sansio_moondream._headers import Headers
from sansio_moondream._kinds import KINDS
from sansio_moondream._metadata import Metadata, Metrics, Stats, Timing, Tokens, Usage
from sansio_moondream._results import (
    CaptionResult,
    ChatResult,
    DetectResult,
    Grounding,
    PointResult,
    QueryResult,
    Reasoning,
    SegmentResult,
)
from sansio_moondream._value import Value

from ._events import json_values
from ._requests import boxes, messages, pictures, points, requests, settings

Strategy = st.SearchStrategy[Any]

_texts = st.text(max_size=12)
_maybe_text = st.none() | _texts
_deltas = st.text(min_size=1, max_size=12)
_counts = st.none() | st.integers(0, 2**53)
_times = st.none() | st.floats(0, 1e6) | st.integers(0, 1000)
_booleans = st.booleans()
_objects = st.dictionaries(_texts, json_values, max_size=2)
_headers = st.builds(
    Headers, st.lists(st.tuples(st.sampled_from(["x-note", "set-cookie"]), _texts), max_size=3)
)
_metrics = st.builds(Metrics, _counts, _counts, _times, _times, _times)
_stats = st.builds(Stats, _counts, _times, _times)
_usage = st.builds(Usage, _counts, _counts, _counts)
_metadata = st.builds(
    Metadata,
    request_id=_maybe_text,
    finish_reason=_maybe_text,
    metrics=st.none() | _metrics,
    stats=st.none() | _stats,
    usage=st.none() | _usage,
    deltas_match=st.none() | _booleans,
    headers=_headers,
    extra=_objects,
)
_groundings = st.builds(
    Grounding, st.integers(), st.integers(), st.lists(points, max_size=2).map(tuple)
)
_reasonings = st.builds(Reasoning, _texts, st.lists(_groundings, max_size=2).map(tuple))
_maybe_reasoning = st.none() | _reasonings
_results: dict[type[Value], Strategy] = {
    QueryResult: st.builds(QueryResult, _texts, _maybe_reasoning, _metadata, _booleans),
    CaptionResult: st.builds(CaptionResult, _texts, _metadata, _booleans),
    SegmentResult: st.builds(
        SegmentResult, _texts, st.none() | boxes, _maybe_text, _metadata, _booleans
    ),
    DetectResult: st.builds(
        DetectResult, st.lists(boxes, max_size=2).map(tuple), _metadata, _booleans
    ),
    PointResult: st.builds(
        PointResult, st.lists(points, max_size=2).map(tuple), _metadata, _booleans
    ),
    ChatResult: st.builds(ChatResult, _texts, _maybe_reasoning, _metadata, _booleans),
}
_any_result = st.one_of(*_results.values())
_ERROR: dict[str, Strategy] = {
    "partial": st.none() | _any_result,
    "request_id": _maybe_text,
    "method": st.sampled_from([None, "POST"]),
    "url": _maybe_text,
}
_API_ERROR: dict[str, Strategy] = {
    "status_code": st.integers(200, 599),
    "type": _maybe_text,
    "code": _maybe_text,
    "param": _maybe_text,
    "retry_after": _times,
    "headers": st.none() | _headers,
    "body": _texts,
}


def _strategies() -> Iterator[tuple[str, Strategy]]:
    yield "text_delta", st.builds(TextDelta, _deltas, _counts)
    yield "path_chunk", st.builds(PathChunk, _deltas, _counts)
    yield "reasoning_delta", st.builds(ReasoningDelta, _deltas)
    yield "bbox", boxes
    yield "point", points
    yield "completed", st.builds(Completed, _any_result)
    yield "unknown", st.builds(Unknown, _objects)
    yield "metadata", _metadata
    yield "metrics", _metrics
    yield "stats", _stats
    yield "usage", _usage
    yield "tokens", st.builds(Tokens, _counts, _counts)
    yield "timing", st.builds(Timing, _times, _times, _times, _times, _times)
    yield "reasoning", _reasonings
    yield "grounding", _groundings
    yield "settings", settings()
    yield "chat_message", messages
    yield "encoded_image", pictures
    for skill in ("query", "caption", "segment", "detect", "point", "chat"):
        yield f"{skill}_request", requests(skill)
    for kind, class_ in KINDS.items():
        if class_ in _results:
            yield kind, _results[class_]
        elif issubclass(class_, MoondreamError):
            fields = _ERROR | (_API_ERROR if issubclass(class_, APIError) else {})
            yield kind, st.builds(class_, _texts, **fields)


_VALUES = dict(_strategies())
_any_value: st.SearchStrategy[Value] = st.one_of(*_VALUES.values())


def values(kind: str | None = None) -> st.SearchStrategy[Value]:
    """Generate values of a kind or of any, as `to_dict()` names them, with any of their fields.

    Their fields need not be consistent: a text need not be the sum of deltas.

    Args:
        kind: such as `"completed"`. None generates any.

    Raises:
        ValueError: there is no such kind.
    """
    if kind is None:
        return _any_value
    if kind not in _VALUES:
        raise ValueError(f"kind should be one of {', '.join(_VALUES)}, not {kind!r}")
    return _VALUES[kind]
