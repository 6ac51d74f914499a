"""The dictionaries that the documented SDK gives, made from results and events."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Generator
from typing import Any, Generic, NamedTuple, NotRequired, TypeAlias, TypedDict, TypeVar
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

Texts: TypeAlias = Generator[str, None, None]
AsyncTexts: TypeAlias = AsyncGenerator[str, None]
G = TypeVar("G", Texts, AsyncTexts)


class Region(TypedDict):
    """A box, in fractions of the picture."""

    x_min: float
    y_min: float
    x_max: float
    y_max: float


class Place(TypedDict):
    """A point, in fractions of the picture."""

    x: float
    y: float


class CaptionOutput(TypedDict, Generic[G]):
    """A caption whole, or chunk by chunk."""

    caption: str | G
    request_id: str | None


class QueryOutput(TypedDict, Generic[G]):
    """An answer whole, or chunk by chunk."""

    answer: str | G
    reasoning: NotRequired[dict[str, Any]]
    request_id: str | None


class ChatMessage(TypedDict):
    """The assistant's next message."""

    role: str
    content: str
    reasoning: NotRequired[str]
    reasoning_details: NotRequired[dict[str, Any]]


class ChatOutput(TypedDict, Generic[G]):
    """A message whole, or the chunks of its text."""

    message: ChatMessage | G
    finish_reason: str | None
    request_id: str | None


class SegmentOutput(TypedDict):
    """An outline: the path lies in its box."""

    path: str
    bbox: NotRequired[Region]
    parse_error: NotRequired[str]
    request_id: str | None


class SegmentUpdate(TypedDict, total=False):
    """One of the dictionaries of a streamed outline: the box, a chunk of the coarse path, or the
    end.
    """

    bbox: Region | None
    chunk: str
    path: str
    completed: bool
    parse_error: str
    request_id: str | None


class DetectOutput(TypedDict):
    """The boxes of what was looked for."""

    objects: list[Region]
    request_id: str | None


class PointOutput(TypedDict):
    """The centres of what was looked for."""

    points: list[Place]
    request_id: str | None


class Output(dict[str, Any]):
    """A dictionary that what streams into it can know without keeping it: a ring would keep a
    stream open that was dropped.
    """

    __slots__ = ("__weakref__",)


class Form(NamedTuple):
    """What becomes of an answer: of a whole one, and of each event of one that is streamed (None:
    nothing).
    """

    whole: Callable[[Any], dict[str, Any]]
    part: Callable[[Event], Any]


def beside(result: Result) -> dict[str, Any]:
    """What is known beside a text when it has come to its end."""
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
    """Of a streamed answer.

    What `beside` will tell has its names there from the beginning, so that nobody sees a dictionary
    grow.
    """
    later = {
        "chat": ["finish_reason"],
        "query": ["reasoning"] if getattr(request, "reasoning", None) else [],
    }
    return Output(dict.fromkeys([name, "request_id", *later.get(request.skill, [])]))


def complete(output: weakref[Output] | None, event: Event) -> None:
    """Put in what is known at the end, if that is it and the dictionary is still wanted."""
    wanted = None if output is None else output()
    if wanted is not None and isinstance(event, Completed):
        wanted.update(
            {name: value for name, value in beside(event.result).items() if name in wanted}
        )


def _query(result: QueryResult) -> dict[str, Any]:
    return {"answer": result.text, **beside(result)}


def _caption(result: CaptionResult) -> dict[str, Any]:
    return {"caption": result.text, **beside(result)}


def _chat(result: ChatResult) -> dict[str, Any]:
    message: dict[str, Any] = {"role": "assistant", "content": result.text}
    if result.reasoning is not None:
        message["reasoning"] = result.reasoning.text
        if result.reasoning.grounding:
            message["reasoning_details"] = {"grounding": _grounding(result.reasoning)}
    return {"message": message, **beside(result)}


def _segment(result: SegmentResult) -> dict[str, Any]:
    box = {} if result.bbox is None else {"bbox": _region(result.bbox)}
    return {"path": result.path, **box, **_parse_error(result), **beside(result)}


def _detect(result: DetectResult) -> dict[str, Any]:
    return {"objects": [_region(box) for box in result.objects], **beside(result)}


def _point(result: PointResult) -> dict[str, Any]:
    return {"points": [{"x": point.x, "y": point.y} for point in result.points], **beside(result)}


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
                **beside(result),
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
