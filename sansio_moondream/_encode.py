"""Events and results back to the bytes that a server would send for them, in each dialect: for test servers, recordings and demos.

The bytes are spelled as the servers spell them (Python's json.dumps: ASCII only in a stream, UTF-8 and compact in a whole answer), and what
a dialect has no word for is left out.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from enum import Enum
from typing import Any, assert_never

from msgspec.structs import asdict

from ._events import Completed, Event, PathChunk, TextDelta, Unknown
from ._results import BBox, CaptionResult, DetectResult, PointResult, QueryResult, Reasoning, Result, SegmentResult


class Dialect(Enum):
    """The ways in which servers spell a stream.

    ENGINE is the inference engine behind the cloud service, CLOUD the service as its documentation shows it, STATION the local
    server, and DEMO the documentation's demo of it.
    """

    ENGINE = "engine"
    CLOUD = "cloud"
    STATION = "station"
    DEMO = "demo"


def encode_events(events: Iterable[Event], dialect: Dialect = Dialect.ENGINE) -> bytes:
    """The body of an event stream that decodes to `events`, but for what the dialect cannot say.

    Each event is encoded for itself, so a stream may be encoded piece by piece. What a dialect leaves out: STATION and DEMO have no
    token indices, whole texts, metrics, request ids, finish reasons and reasoning (and no segmentations of their own: those come
    as ENGINE's); CLOUD no token indices, whole texts, metrics, stats, finish reasons and reasoning; only STATION and DEMO have
    stats. A segmentation's end keeps its path and box in each.

    Raises ValueError for numbers that JSON does not have (NaN, infinite ones).
    """
    return b"".join(_record(message) for event in events for message in _messages(event, dialect))


def encode_result(result: Result, dialect: Dialect = Dialect.ENGINE) -> bytes:
    """The JSON body of a whole answer that decodes to `result`, but for what the dialect cannot say.

    ENGINE and CLOUD have no stats; STATION and DEMO have stats, and no metrics, request ids and finish reasons.

    Raises ValueError for numbers that JSON does not have (NaN, infinite ones).
    """
    about = result.metadata
    local = dialect in (Dialect.STATION, Dialect.DEMO)
    message: dict[str, Any] = {} if local else _given({"request_id": about.request_id, "finish_reason": about.finish_reason})
    message |= _answer(result)
    if local:
        message |= {} if about.stats is None else {"_stats": _given(asdict(about.stats))}
    elif about.metrics is not None:
        message["metrics"] = _given(asdict(about.metrics))
    if isinstance(result, SegmentResult):
        message |= _given({"parse_error": result.parse_error})
    return json.dumps(message | about.extra, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()


def _record(message: dict[str, Any]) -> bytes:
    return b"data: " + json.dumps(message, allow_nan=False).encode() + b"\n\n"


def _messages(event: Event, dialect: Dialect) -> list[dict[str, Any]]:
    match event:
        case TextDelta():
            return [_delta({("text" if dialect is Dialect.DEMO else "chunk"): event.text}, event.token_index, dialect)]
        case PathChunk():
            return [_delta({"type": "path_delta", "chunk": event.data}, event.token_index, dialect)]
        case BBox():
            return [{"type": "bbox", "bbox": {name: getattr(event, name) for name in ("x_min", "x_max", "y_min", "y_max")}}]
        case Unknown():
            return [event.data]
        case Completed():
            return _end(event, dialect)
        case _:
            assert_never(event)


def _delta(message: dict[str, Any], token_index: int | None, dialect: Dialect) -> dict[str, Any]:
    if dialect in (Dialect.ENGINE, Dialect.CLOUD):
        message["completed"] = False
    if dialect is Dialect.ENGINE and token_index is not None:
        message["token_index"] = token_index
    return message


def _end(event: Completed, dialect: Dialect) -> list[dict[str, Any]]:
    result, about = event.result, event.result.metadata
    by_engine, local = dialect is Dialect.ENGINE, dialect in (Dialect.STATION, Dialect.DEMO)
    streams = isinstance(result, QueryResult | CaptionResult | SegmentResult)
    message: dict[str, Any] = {"type": "final"} if isinstance(result, SegmentResult) else {}
    if streams and not local:
        message["chunk"] = ""
    message["completed"] = True
    if not local:
        message |= _given({"request_id": about.request_id})
    if by_engine:
        message |= _given({"finish_reason": about.finish_reason})
    if by_engine or not isinstance(result, QueryResult | CaptionResult):
        message |= _answer(result)
    if by_engine and about.metrics is not None:
        message["metrics"] = _given(asdict(about.metrics))
    if isinstance(result, SegmentResult):
        message |= _given({"parse_error": result.parse_error})
    before = [{"stats": _given(asdict(about.stats))}] if local and about.stats is not None else []
    return [*before, message | about.extra]


def _answer(result: Result) -> dict[str, Any]:
    match result:
        case QueryResult():
            return {"answer": result.text} | _given({"reasoning": result.reasoning and _reasoning(result.reasoning)})
        case CaptionResult():
            return {"caption": result.text}
        case SegmentResult():
            return {"path": result.path, "bbox": result.bbox and asdict(result.bbox)}
        case DetectResult():
            return {"objects": [asdict(box) for box in result.objects]}
        case PointResult():
            return {"points": [asdict(point) for point in result.points]}
        case _:
            assert_never(result)


def _reasoning(reasoning: Reasoning) -> dict[str, Any]:
    grounding = [
        {"start_idx": part.start_idx, "end_idx": part.end_idx, "points": [[point.x, point.y] for point in part.points]}
        for part in reasoning.grounding
    ]
    return {"text": reasoning.text, "grounding": grounding}


def _given(values: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}
