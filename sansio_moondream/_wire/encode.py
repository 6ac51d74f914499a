"""Events and results to the bytes that a server would send: for test servers, recordings and demos.

The JSON is spelled as the servers spell it (Python's json.dumps): ASCII in a stream, compact UTF-8
in a whole answer. A field that a dialect does not have is left out.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from enum import Enum
from typing import Any, assert_never

from msgspec.structs import asdict

from sansio_moondream._events import Completed, Event, PathChunk, ReasoningDelta, TextDelta, Unknown
from sansio_moondream._geometry import BBox
from sansio_moondream._results import (
    CaptionResult,
    ChatResult,
    DetectResult,
    PointResult,
    QueryResult,
    Reasoning,
    Result,
    SegmentResult,
)

_CHUNK = "chat.completion.chunk"
# json.dumps would make an encoder in each call, as `allow_nan` is not the default.
_spaced = json.JSONEncoder(allow_nan=False).encode
_compact = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode


class Dialect(Enum):
    """How a server spells a stream.

    Attributes:
        ENGINE: the inference engine behind the cloud service.
        CLOUD: the cloud service as its documentation shows it.
        STATION: the local server.
        DEMO: the demo of the local server in the documentation.
        CHAT: OpenAI's chunks, the only dialect of chats, and for nothing else.
    """

    ENGINE = "engine"
    CLOUD = "cloud"
    STATION = "station"
    DEMO = "demo"
    CHAT = "chat"


def encode_events(events: Iterable[Event], dialect: Dialect = Dialect.ENGINE) -> bytes:
    """Return the body of an event stream that decodes to `events`.

    Each event is encoded for itself, so a stream may be encoded in parts. These are left out:

    - ENGINE: stats.
    - CLOUD: token indices, whole texts, metrics, stats, finish reasons and reasoning.
    - STATION and DEMO: token indices, whole texts, metrics, request ids, finish reasons and
      reasoning. They have no segmentations of their own, which are spelled as ENGINE's.
    - CHAT: token indices, metrics, stats, and a text or reasoning that differs from its deltas. A
      result without a finish reason gets `"stop"`, as without one no stream of a chat is complete.

    Every dialect keeps the path and box of a segmentation's end.

    Args:
        events: of one stream, or some of them.
        dialect: the server whose streams it looks like.

    Raises:
        ValueError: A number is NaN or infinite; or an event has no form in this dialect, because
            only one of them belongs to a chat.
    """
    return b"".join(record for event in events for record in _records(event, dialect))


def encode_result(result: Result, dialect: Dialect = Dialect.ENGINE) -> bytes:
    """Return the JSON body of a whole answer that decodes to `result`.

    ENGINE and CLOUD leave out stats; STATION and DEMO leave out metrics, request ids and finish
    reasons; CHAT leaves out metrics and stats.

    Args:
        result: of any skill.
        dialect: the server whose answers it looks like.

    Raises:
        ValueError: A number is NaN or infinite; or the result has no form in this dialect, because
            only one of them belongs to a chat.
    """
    if dialect is Dialect.CHAT:
        if isinstance(result, ChatResult):
            return encode_whole(_whole_chat(result))
        raise ValueError(f"no chat has a {type(result).__name__}: encode it with another dialect")
    about = result.metadata
    local = dialect in (Dialect.STATION, Dialect.DEMO)
    message: dict[str, Any] = (
        {}
        if local
        else _given({"request_id": about.request_id, "finish_reason": about.finish_reason})
    )
    message |= _answer(result)
    if local:
        message |= {} if about.stats is None else {"_stats": _given(asdict(about.stats))}
    elif about.metrics is not None:
        message["metrics"] = _given(asdict(about.metrics))
    if isinstance(result, SegmentResult):
        message |= _given({"parse_error": result.parse_error})
    return encode_whole(message | about.extra)


def encode_whole(message: dict[str, Any]) -> bytes:
    """Return a whole JSON body."""
    return _compact(message).encode()


def encode_record(message: dict[str, Any]) -> bytes:
    """Return one record of an event stream."""
    return f"data: {_spaced(message)}\n\n".encode()


def encode_grounding(reasoning: Reasoning) -> list[dict[str, Any]]:
    """Return the points of a reasoning as messages have them."""
    return [
        {
            "start_idx": part.start_idx,
            "end_idx": part.end_idx,
            "points": [[point.x, point.y] for point in part.points],
        }
        for part in reasoning.grounding
    ]


def _records(event: Event, dialect: Dialect) -> list[bytes]:
    if dialect is Dialect.CHAT:
        return _chat_records(event)
    return [encode_record(message) for message in _messages(event, dialect)]


def _messages(event: Event, dialect: Dialect) -> list[dict[str, Any]]:
    match event:
        case TextDelta():
            return [
                _delta(
                    {("text" if dialect is Dialect.DEMO else "chunk"): event.text},
                    event.token_index,
                    dialect,
                )
            ]
        case PathChunk():
            return [_delta({"type": "path_delta", "chunk": event.data}, event.token_index, dialect)]
        case BBox():
            return [
                {
                    "type": "bbox",
                    "bbox": {
                        name: getattr(event, name) for name in ("x_min", "x_max", "y_min", "y_max")
                    },
                }
            ]
        case Unknown():
            return [event.data]
        case Completed():
            return _end(event, dialect)
        case ReasoningDelta():
            raise ValueError(f"{type(event).__name__} is of a chat: encode it with Dialect.CHAT")
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
            return {"answer": result.text} | _given(
                {"reasoning": result.reasoning and _reasoning(result.reasoning)}
            )
        case CaptionResult():
            return {"caption": result.text}
        case SegmentResult():
            return {"path": result.path, "bbox": result.bbox and asdict(result.bbox)}
        case DetectResult():
            return {"objects": [asdict(box) for box in result.objects]}
        case PointResult():
            return {"points": [asdict(point) for point in result.points]}
        case ChatResult():
            raise ValueError("a ChatResult is of a chat: encode it with Dialect.CHAT")
        case _:
            assert_never(result)


def _reasoning(reasoning: Reasoning) -> dict[str, Any]:
    return {"text": reasoning.text, "grounding": encode_grounding(reasoning)}


def _chat_records(event: Event) -> list[bytes]:
    match event:
        case TextDelta():
            return [encode_record(_chunk({"content": event.text}))]
        case ReasoningDelta():
            return [encode_record(_chunk({"reasoning": event.text}))]
        case Unknown():
            return [encode_record(event.data)]
        case Completed(ChatResult() as result):
            return [*map(encode_record, _chat_end(result)), b"data: [DONE]\n\n"]
        case BBox() | PathChunk() | Completed():
            raise ValueError(
                f"no chat has a {type(event).__name__} as this one is: "
                "encode it with another dialect"
            )
        case _:
            assert_never(event)


def _chat_end(result: ChatResult) -> list[dict[str, Any]]:
    about = result.metadata
    delta = _details(result)
    id_ = _given({"id": about.request_id})
    end = id_ | _chunk(delta, about.finish_reason or "stop")
    if about.usage is None:
        return [end | about.extra]
    return [
        end,
        id_ | {"object": _CHUNK, "choices": [], "usage": _given(asdict(about.usage))} | about.extra,
    ]


def _whole_chat(result: ChatResult) -> dict[str, Any]:
    about = result.metadata
    thoughts = {} if result.reasoning is None else {"reasoning": result.reasoning.text}
    message = {"role": "assistant", "content": result.text} | thoughts | _details(result)
    choice = {"index": 0, "message": message, "finish_reason": about.finish_reason}
    usage = {} if about.usage is None else {"usage": _given(asdict(about.usage))}
    return (
        _given({"id": about.request_id})
        | {"object": "chat.completion", "choices": [choice]}
        | usage
        | about.extra
    )


def _details(result: ChatResult) -> dict[str, Any]:
    grounding = [] if result.reasoning is None else encode_grounding(result.reasoning)
    return {"reasoning_details": {"grounding": grounding}} if grounding else {}


def _chunk(delta: dict[str, Any], finish_reason: str | None = None) -> dict[str, Any]:
    return {
        "object": _CHUNK,
        "choices": [{"index": 0, "delta": delta, "finish_reason": finish_reason}],
    }


def _given(values: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}
