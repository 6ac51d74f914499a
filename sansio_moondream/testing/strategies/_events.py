"""Strategies for the events of a whole answer."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st
from msgspec.structs import replace

from sansio_moondream._events import Completed, Event, PathChunk, ReasoningDelta, TextDelta, Unknown
from sansio_moondream._geometry import BBox
from sansio_moondream._headers import Headers, HeaderTypes
from sansio_moondream._metadata import Metadata, Metrics, Stats, Usage
from sansio_moondream._results import (
    CaptionResult,
    ChatResult,
    DetectResult,
    Grounding,
    PointResult,
    QueryResult,
    Reasoning,
    Result,
    SegmentResult,
)
from sansio_moondream._wire.encode import Dialect
from sansio_moondream.testing._outcomes import EVENT_STREAM

from ._requests import boxes, checked, points

_texts = st.text(max_size=20)
_chunks = st.text(min_size=1, max_size=12)
_counts = st.none() | st.integers(0, 10**6)
_times = st.none() | st.floats(0, 10**6)
_groundings = st.builds(
    Grounding, st.integers(0, 99), st.integers(0, 99), st.lists(points, max_size=2).map(tuple)
)
_reasonings = st.none() | st.builds(Reasoning, _texts, st.lists(_groundings, max_size=2).map(tuple))
json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | _texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_texts, inner, max_size=3),
    max_leaves=5,
)
_unknown_fields = st.dictionaries(
    st.sampled_from(["org_id", "note", "x-new", "mood"]), json_values, min_size=1, max_size=2
)

_extra_fields = st.builds(dict[str, Any]) | _unknown_fields
_METADATA: dict[str, st.SearchStrategy[Any]] = {
    "request_id": st.none() | _chunks,
    "finish_reason": st.sampled_from([None, "stop", "length"]),
    "metrics": st.none() | st.builds(Metrics, _counts, _counts, _times, _times, _times),
    "stats": st.none() | st.builds(Stats, _counts, _times, _times),
    "usage": st.none() | st.builds(Usage, _counts, _counts, _counts),
}
# What each dialect's messages carry beside the answer. None is a whole JSON answer of any server.
_METADATA_FIELDS: dict[Dialect | None, set[str]] = {
    Dialect.ENGINE: {"request_id", "finish_reason", "metrics", "reasoning"},
    Dialect.CLOUD: {"request_id"},
    Dialect.STATION: {"stats"},
    Dialect.DEMO: {"stats"},
    Dialect.CHAT: {"request_id", "usage"},
    None: {*_METADATA, "reasoning"} - {"usage"},
}
_DELTA_TYPES: dict[str, type[TextDelta | PathChunk]] = {
    "query": TextDelta,
    "caption": TextDelta,
    "segment": PathChunk,
}
_unknown: st.SearchStrategy[Event] = st.builds(Unknown, _unknown_fields)


def _delta(kind: type[TextDelta | PathChunk], indexed: bool) -> st.SearchStrategy[Event]:
    return st.builds(kind, _chunks, _counts if indexed else st.none())


# The events of each skill before the last, with and without token indices.
_DELTAS: dict[tuple[str, bool], st.SearchStrategy[list[Event]]] = {
    (skill, indexed): st.lists(_delta(kind, indexed) | _unknown, max_size=6)
    for skill, kind in _DELTA_TYPES.items()
    for indexed in (False, True)
}
_DELTAS["chat", False] = st.lists(
    _delta(TextDelta, False) | st.builds(ReasoningDelta, _chunks) | _unknown, max_size=6
)
_no_deltas: st.SearchStrategy[list[Event]] = st.builds(list[Event])
_coarse_boxes = st.lists(boxes, max_size=1)
_one_in_four = st.integers(0, 3).map(lambda drawn: drawn == 0)
_booleans = st.booleans()
_box_lists = st.lists(boxes, max_size=3).map(tuple)
_point_lists = st.lists(points, max_size=3).map(tuple)
_grounding_lists = st.lists(_groundings, max_size=2).map(tuple)
_finish_reasons = st.sampled_from(["stop", "length"])
_parse_errors = st.none() | _texts


@st.composite
def events(
    draw: st.DrawFn,
    skill: str,
    dialect: Dialect = Dialect.ENGINE,
    headers: HeaderTypes = EVENT_STREAM,
) -> list[Event]:
    """Generate the events of a whole streamed answer.

    `decode(encode_events(events, dialect)) == events`. There are up to six deltas or unknown
    messages, perhaps a coarse box before them for a segment, and `Completed`. Detect and point have
    only `Completed`.

    Args:
        skill: of the request.
        dialect: of the stream. A chat has the dialect CHAT, and no other skill has it.
        headers: of the response, for its metadata.

    Raises:
        ValueError: there is no such skill.
    """
    before: list[Event] = []
    if checked(skill) == "segment":
        before += draw(_coarse_boxes)
    before += draw(_DELTAS.get((skill, dialect is Dialect.ENGINE), _no_deltas))
    return [*before, Completed(result(draw, skill, dialect, before, Headers(headers)))]


def result(
    draw: st.DrawFn, skill: str, dialect: Dialect | None, before: list[Event], headers: Headers
) -> Result:
    """Generate the result of a stream with these events, or without a dialect of a whole answer."""
    fields = _METADATA_FIELDS[Dialect.CHAT if skill == "chat" else dialect]
    metadata = Metadata(headers=headers)
    is_bare = draw(_one_in_four)  # True is what results shrink to
    if not is_bare:
        drawn = {name: draw(values) for name, values in _METADATA.items() if name in fields}
        metadata = Metadata(headers=headers, extra=draw(_extra_fields), **drawn)

    def text_of(kind: type[TextDelta | ReasoningDelta]) -> str:
        if dialect is None:
            return draw(_texts)
        return "".join(event.text for event in before if isinstance(event, kind))

    match skill:
        case "query" | "caption":
            text = deltas = text_of(TextDelta)
            if dialect is Dialect.ENGINE:
                if not is_bare and draw(_booleans):
                    other = draw(_texts)
                    text = other if deltas else ""  # else it would be the delta
                metadata = replace(metadata, deltas_match=text == deltas)
            if skill == "caption":
                return CaptionResult(text, metadata)
            has_reasoning = not is_bare and "reasoning" in fields
            return QueryResult(text, draw(_reasonings) if has_reasoning else None, metadata)
        case "chat":
            metadata = replace(metadata, finish_reason=draw(_finish_reasons))
            thoughts = text_of(ReasoningDelta)
            grounding = () if is_bare else draw(_grounding_lists)
            reasoning = Reasoning(thoughts, grounding) if thoughts or grounding else None
            return ChatResult(text_of(TextDelta), reasoning, metadata)
        case "segment":
            bbox = next((event for event in before if isinstance(event, BBox)), None)
            if not is_bare and draw(_booleans):
                bbox = draw(boxes)
            parse_error = None if is_bare else draw(_parse_errors)
            return SegmentResult(draw(_texts), bbox, parse_error, metadata)
        case "detect":
            return DetectResult(draw(_box_lists), metadata)
        case _:
            return PointResult(draw(_point_lists), metadata)
