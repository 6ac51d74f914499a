"""The events of a whole answer."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st
from msgspec.structs import replace

from sansio_moondream._events import Completed, Event, PathChunk, ReasoningDelta, TextDelta, Unknown
from sansio_moondream._geometry import BBox
from sansio_moondream._headers import Headers, HeaderTypes
from sansio_moondream._results import (
    CaptionResult,
    ChatResult,
    DetectResult,
    Grounding,
    Metadata,
    Metrics,
    PointResult,
    QueryResult,
    Reasoning,
    Result,
    SegmentResult,
    Stats,
    Usage,
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
_json = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | _texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_texts, inner, max_size=3),
    max_leaves=5,
)
_unknown_fields = st.dictionaries(
    st.sampled_from(["org_id", "note", "x-new", "mood"]), _json, min_size=1, max_size=2
)

_extra = st.builds(dict[str, Any]) | _unknown_fields
_ABOUT: dict[str, st.SearchStrategy[Any]] = {
    "request_id": st.none() | _texts,
    "finish_reason": st.sampled_from([None, "stop", "length"]),
    "metrics": st.none() | st.builds(Metrics, _counts, _counts, _times, _times, _times),
    "stats": st.none() | st.builds(Stats, _counts, _times, _times),
    "usage": st.none() | st.builds(Usage, _counts, _counts, _counts),
}
# What the messages of each dialect carry beside the answer; None is a whole JSON answer, whoever
# gave it.
_CARRIES: dict[Dialect | None, set[str]] = {
    Dialect.ENGINE: {"request_id", "finish_reason", "metrics", "reasoning"},
    Dialect.CLOUD: {"request_id"},
    Dialect.STATION: {"stats"},
    Dialect.DEMO: {"stats"},
    Dialect.CHAT: {"request_id", "usage"},
    None: {*_ABOUT, "reasoning"} - {"usage"},
}
_KINDS: dict[str, type[TextDelta | PathChunk]] = {
    "query": TextDelta,
    "caption": TextDelta,
    "segment": PathChunk,
}
_unknown: st.SearchStrategy[Event] = st.builds(Unknown, _unknown_fields)


def _delta(kind: type[TextDelta | PathChunk], indexed: bool) -> st.SearchStrategy[Event]:
    return st.builds(kind, _chunks, _counts if indexed else st.none())


# The ordinary events of each skill, with token indices or without.
_DELTAS: dict[tuple[str, bool], st.SearchStrategy[list[Event]]] = {
    (skill, indexed): st.lists(_delta(kind, indexed) | _unknown, max_size=6)
    for skill, kind in _KINDS.items()
    for indexed in (False, True)
}
_DELTAS["chat", False] = st.lists(
    _delta(TextDelta, False) | st.builds(ReasoningDelta, _chunks) | _unknown, max_size=6
)
_no_deltas: st.SearchStrategy[list[Event]] = st.builds(list[Event])
_coarse_boxes = st.lists(boxes, max_size=1)
_chances = st.integers(0, 3)
_choices = st.booleans()
_objects = st.lists(boxes, max_size=3).map(tuple)
_spots = st.lists(points, max_size=3).map(tuple)
_spans = st.lists(_groundings, max_size=2).map(tuple)
_ends = st.sampled_from(["stop", "length"])
_parse_errors = st.none() | _texts


@st.composite
def events(
    draw: st.DrawFn,
    skill: str,
    dialect: Dialect = Dialect.ENGINE,
    headers: HeaderTypes = EVENT_STREAM,
) -> list[Event]:
    """The events of a whole streamed answer, such that `decode(encode_events(events, dialect)) ==
    events`.

    Up to six deltas or messages that nobody knows, for a segment perhaps a coarse box before them,
    and `Completed`; detect and point have nothing but that. A chat has the dialect CHAT, and
    nothing else has. `headers` are those of the response, which its metadata holds. Raises
    ValueError for a skill that there is not."""
    before: list[Event] = []
    if checked(skill) == "segment":
        before += draw(_coarse_boxes)
    before += draw(_DELTAS.get((skill, dialect is Dialect.ENGINE), _no_deltas))
    return [*before, Completed(result(draw, skill, dialect, before, Headers(headers)))]


def result(
    draw: st.DrawFn, skill: str, dialect: Dialect | None, before: list[Event], headers: Headers
) -> Result:
    """What a stream that had these events comes to; without a dialect, what a whole JSON answer
    holds.
    """
    carries = _CARRIES[Dialect.CHAT if skill == "chat" else dialect]
    rich = draw(_chances) > 0  # else there is nothing beside the answer: so it shrinks to that
    about = Metadata(headers=headers)
    if rich:
        noted = {name: draw(values) for name, values in _ABOUT.items() if name in carries}
        about = Metadata(headers=headers, extra=draw(_extra), **noted)
    match skill:
        case "query" | "caption":
            deltas = "".join(event.text for event in before if isinstance(event, TextDelta))
            text = draw(_texts) if dialect is None else deltas
            if dialect is Dialect.ENGINE:
                if rich and draw(_choices):
                    text = draw(_texts)
                about = replace(about, deltas_match=text == deltas)
            if skill == "caption":
                return CaptionResult(text, about)
            return QueryResult(
                text, draw(_reasonings) if rich and "reasoning" in carries else None, about
            )
        case "chat":
            about = replace(about, finish_reason=draw(_ends), request_id=about.request_id or None)
            whole = dialect is None
            thoughts = (
                draw(_texts)
                if whole
                else "".join(event.text for event in before if isinstance(event, ReasoningDelta))
            )
            grounding = draw(_spans) if rich else ()
            text = (
                draw(_texts)
                if whole
                else "".join(event.text for event in before if isinstance(event, TextDelta))
            )
            return ChatResult(
                text, Reasoning(thoughts, grounding) if thoughts or grounding else None, about
            )
        case "segment":
            bbox = next((event for event in before if isinstance(event, BBox)), None)
            if rich and draw(_choices):
                bbox = draw(boxes)
            return SegmentResult(draw(_texts), bbox, draw(_parse_errors) if rich else None, about)
        case "detect":
            return DetectResult(draw(_objects), about)
        case _:
            return PointResult(draw(_spots), about)
