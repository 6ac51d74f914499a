"""The dictionaries of the documented SDK, made from results and events."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple
from weakref import ref as weakref

from sansio_moondream import (
    BBox,
    CaptionResult,
    ChatResult,
    Completed,
    DetectResult,
    Event,
    PathChunk,
    PointResult,
    QueryResult,
    Reasoning,
    Request,
    Result,
    SegmentResult,
    TextDelta,
)

from ._outputs import Region


class Output(dict[str, Any]):
    """A dictionary that its generator refers to weakly.

    A cycle of references would keep a stream open after both were dropped.
    """

    __slots__ = ("__weakref__",)


class Form(NamedTuple):
    """How to convert a complete result, and an event of a streamed one (to None: skip it)."""

    whole: Callable[[Any], dict[str, Any]]
    part: Callable[[Event], Any]


def _metadata(result: Result) -> dict[str, Any]:
    """Return the fields that are known only at the end of the answer."""
    known: dict[str, Any] = {"request_id": result.metadata.request_id}
    if isinstance(result, ChatResult):
        known["finish_reason"] = result.metadata.finish_reason or "stop"
    elif isinstance(result, QueryResult) and result.reasoning is not None:
        known["reasoning"] = {
            "text": result.reasoning.text,
            "grounding": _grounding(result.reasoning),
        }
    return known


def output_for(name: str, request: Request[Any]) -> Output:
    """Return the dictionary of a streamed answer.

    The fields of `_metadata` are None at first, so that the keys of the dictionary never change.
    """
    later = {
        "chat": ["finish_reason"],
        "query": ["reasoning"] if getattr(request, "reasoning", None) else [],
    }
    return Output(dict.fromkeys([name, "request_id", *later.get(request.skill, [])]))


def complete(output: weakref[Output] | None, event: Event) -> None:
    """Set the fields that are known at the end, if `event` is the end and the dictionary exists."""
    target = None if output is None else output()
    if target is not None and isinstance(event, Completed):
        known = _metadata(event.result)
        target.update({name: value for name, value in known.items() if name in target})


def _query(result: QueryResult) -> dict[str, Any]:
    return {"answer": result.text, **_metadata(result)}


def _caption(result: CaptionResult) -> dict[str, Any]:
    return {"caption": result.text, **_metadata(result)}


def _chat(result: ChatResult) -> dict[str, Any]:
    message: dict[str, Any] = {"role": "assistant", "content": result.text}
    if result.reasoning is not None:
        message["reasoning"] = result.reasoning.text
        if result.reasoning.grounding:
            message["reasoning_details"] = {"grounding": _grounding(result.reasoning)}
    return {"message": message, **_metadata(result)}


def _segment(result: SegmentResult) -> dict[str, Any]:
    box = {} if result.bbox is None else {"bbox": _region(result.bbox)}
    return {"path": result.path, **box, **_parse_error(result), **_metadata(result)}


def _detect(result: DetectResult) -> dict[str, Any]:
    return {"objects": [_region(box) for box in result.objects], **_metadata(result)}


def _point(result: PointResult) -> dict[str, Any]:
    return {
        "points": [{"x": point.x, "y": point.y} for point in result.points],
        **_metadata(result),
    }


def _text(event: Event) -> str | None:
    return event.text if isinstance(event, TextDelta) else None


def _update(event: Event) -> dict[str, Any] | None:
    match event:
        case BBox():
            return {"bbox": _region(event)}
        case PathChunk():
            return {"chunk": event.data}
        case Completed(SegmentResult() as result):
            box = None if result.bbox is None else _region(result.bbox)
            return {
                "path": result.path,
                "bbox": box,
                "completed": True,
                **_parse_error(result),
                **_metadata(result),
            }
        case _:
            return None


def _region(box: BBox) -> Region:
    return {"x_min": box.x_min, "y_min": box.y_min, "x_max": box.x_max, "y_max": box.y_max}


def _grounding(reasoning: Reasoning) -> list[dict[str, Any]]:
    return [
        {
            "start_idx": part.start_idx,
            "end_idx": part.end_idx,
            "points": [[point.x, point.y] for point in part.points],
        }
        for part in reasoning.grounding
    ]


def _parse_error(result: SegmentResult) -> dict[str, Any]:
    return {} if result.parse_error is None else {"parse_error": result.parse_error}


FORMS = {
    "query": Form(_query, _text),
    "caption": Form(_caption, _text),
    "chat": Form(_chat, _text),
    "segment": Form(_segment, _update),
    "detect": Form(_detect, _text),
    "point": Form(_point, _text),
}
