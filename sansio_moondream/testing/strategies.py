"""Hypothesis strategies (extra `testing`): requests, streams of events, their bytes, and ways to cut and break them.

What they draw is consistent, as a server's stream is: the deltas of a text add up to it, and a stream ends once.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from hypothesis import strategies as st

from sansio_moondream._chat_request import ChatMessage, ChatRequest
from sansio_moondream._encode import Dialect
from sansio_moondream._events import Completed, Event, PathChunk, ReasoningDelta, TextDelta, Unknown
from sansio_moondream._headers import Headers
from sansio_moondream._images import EncodedImage, encode_image
from sansio_moondream._limits import Limits
from sansio_moondream._requests import CaptionRequest, DetectRequest, PointRequest, QueryRequest, Request, SegmentRequest
from sansio_moondream._results import (
    BBox,
    CaptionResult,
    ChatResult,
    DetectResult,
    Grounding,
    Metadata,
    Metrics,
    Point,
    PointResult,
    QueryResult,
    Reasoning,
    Result,
    SegmentResult,
    Stats,
    Usage,
)
from sansio_moondream.testing._cuttings import at_offsets
from sansio_moondream.testing._outcomes import EVENT_STREAM, Fault

__all__ = ["cuttings", "faults", "limits", "requests", "streams", "texts"]

_PIXEL: EncodedImage = encode_image(b"GIF89a\x01\x00\x01\x00\x00\x00\x00;")

texts = st.text(max_size=20)
"""Any text that UTF-8 can carry."""

_pieces = st.text(min_size=1, max_size=12)
_fractions = st.floats(0, 1)
_boxes = st.builds(BBox, _fractions, _fractions, _fractions, _fractions)
_points = st.builds(Point, _fractions, _fractions)
_counts = st.none() | st.integers(0, 10**6)
_times = st.none() | st.floats(0, 10**6)
_indices = st.none() | st.integers(0, 10**6)
_metrics = st.none() | st.builds(Metrics, _counts, _counts, _times, _times, _times)
_stats = st.none() | st.builds(Stats, _counts, _times, _times)
_groundings = st.builds(Grounding, st.integers(0, 99), st.integers(0, 99), st.lists(_points, max_size=2).map(tuple))
_usages = st.none() | st.builds(Usage, _counts, _counts, _counts)
_reasonings = st.none() | st.builds(Reasoning, texts, st.lists(_groundings, max_size=2).map(tuple))
_json = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False) | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=5,
)
_no_fields: dict[str, Any] = {}
_unknown = st.dictionaries(st.sampled_from(["org_id", "note", "x-new", "mood"]), _json, min_size=1, max_size=2)


def requests() -> st.SearchStrategy[Request[Any]]:
    """A request of any skill."""
    return st.sampled_from(
        [
            QueryRequest(question="What is this?"),
            CaptionRequest(image=_PIXEL),
            SegmentRequest(image=_PIXEL, object="moon"),
            DetectRequest(image=_PIXEL, object="moon"),
            PointRequest(image=_PIXEL, object="moon"),
            ChatRequest(messages=[ChatMessage("user", ["What is this?", _PIXEL])]),
        ]
    )


def _deltas(skill: str, dialect: Dialect) -> st.SearchStrategy[list[Event]]:
    indices = _indices if dialect is Dialect.ENGINE else st.none()
    kind: type[TextDelta | PathChunk] = PathChunk if skill == "segment" else TextDelta
    ordinary: st.SearchStrategy[Event] = st.builds(kind, _pieces, indices)
    if skill == "chat":
        ordinary |= st.builds(ReasoningDelta, _pieces)
    return st.lists(ordinary | st.builds(Unknown, _unknown), max_size=6)


@st.composite
def streams(draw: st.DrawFn, skill: str, dialect: Dialect = Dialect.ENGINE) -> list[Event]:
    """The events of a whole answer, such that `decode(encode_events(events, dialect)) == events`. Chats need `Dialect.CHAT`.

    The response's headers have to be `testing._outcomes.EVENT_STREAM`, as `run` has them if it is told nothing else.
    """
    events: list[Event] = [] if skill in ("detect", "point") else draw(_deltas(skill, dialect))
    if skill == "segment" and draw(st.booleans()):
        events.insert(0, draw(_boxes))
    return [*events, Completed(draw(_results(skill, dialect, events)))]


@st.composite
def _results(draw: st.DrawFn, skill: str, dialect: Dialect, events: Sequence[Event]) -> Result:
    if skill == "chat":
        return draw(_chat_results(events))
    engine, text_skill = dialect is Dialect.ENGINE, skill in ("query", "caption")
    deltas = "".join(event.text for event in events if isinstance(event, TextDelta))
    text = draw(st.just(deltas) | texts) if engine else deltas
    about = Metadata(
        request_id=draw(st.none() | texts) if dialect in (Dialect.ENGINE, Dialect.CLOUD) else None,
        finish_reason=draw(st.sampled_from([None, "stop", "length"])) if engine else None,
        metrics=draw(_metrics) if engine else None,
        stats=draw(_stats) if dialect in (Dialect.STATION, Dialect.DEMO) else None,
        deltas_match=text == deltas if engine and text_skill else None,
        headers=Headers(EVENT_STREAM),
        extra=draw(st.just(_no_fields) | _unknown),
    )
    match skill:
        case "query":
            return QueryResult(text, draw(_reasonings) if engine else None, about)
        case "caption":
            return CaptionResult(text, about)
        case "segment":
            coarse = next((event for event in events if isinstance(event, BBox)), None)
            return SegmentResult(draw(texts), draw(st.just(coarse) | _boxes), draw(st.none() | texts), about)
        case "detect":
            return DetectResult(tuple(draw(st.lists(_boxes, max_size=3))), about)
        case _:
            return PointResult(tuple(draw(st.lists(_points, max_size=3))), about)


@st.composite
def _chat_results(draw: st.DrawFn, events: Sequence[Event]) -> ChatResult:
    thoughts = "".join(event.text for event in events if isinstance(event, ReasoningDelta))
    grounding = draw(st.lists(_groundings, max_size=2).map(tuple))
    about = Metadata(
        request_id=draw(st.none() | _pieces),
        finish_reason=draw(st.sampled_from(["stop", "length"])),
        usage=draw(_usages),
        headers=Headers(EVENT_STREAM),
        extra=draw(st.just(_no_fields) | _unknown),
    )
    text = "".join(event.text for event in events if isinstance(event, TextDelta))
    return ChatResult(text, Reasoning(thoughts, grounding) if thoughts or grounding else None, about)


@st.composite
def cuttings(draw: st.DrawFn, data: bytes) -> list[bytes]:
    """The bytes in pieces, cut anywhere; shrinks to one piece."""
    return at_offsets(data, draw(st.lists(st.integers(1, max(1, len(data) - 1)), max_size=12)))


def faults(data: bytes, errors: Sequence[Exception]) -> st.SearchStrategy[Fault]:
    """A plan to break a stream somewhere, with one of these errors or a clean end; shrinks to its beginning."""
    return st.builds(Fault, st.integers(0, len(data)), st.none() | st.sampled_from(errors))


def limits(most: int = 4096) -> st.SearchStrategy[Limits]:
    """Limits small enough to be met by short streams."""
    small = st.integers(1, most)
    return st.builds(
        Limits,
        max_record_bytes=small,
        max_error_body_bytes=small,
        max_text_bytes=small,
        max_json_depth=st.integers(1, 8),
        max_inflate_ratio=st.integers(1, 20),
    )
