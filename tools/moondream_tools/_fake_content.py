"""What a fake server answers: a result for each skill that it is for, a recording, or an error."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, TypeAlias, TypeVar

from moondream_transports.recording import read_recording
from sansio_moondream import (
    APIError,
    BBox,
    CaptionResult,
    ChatResult,
    DetectResult,
    Metadata,
    Point,
    PointResult,
    QueryResult,
    Reasoning,
    Result,
    SegmentResult,
)
from sansio_moondream.recording import Recording

T = TypeVar("T")
Content: TypeAlias = Mapping[str, Result] | Recording | APIError

_RESULTS: Final[dict[str, type[Result]]] = {
    "query": QueryResult,
    "caption": CaptionResult,
    "segment": SegmentResult,
    "detect": DetectResult,
    "point": PointResult,
    "chat": ChatResult,
}
_KINDS: Final = ("text", "path", "objects", "points", "result", "recording", "error", "status")
_BESIDE: Final = {"reasoning": "text", "box": "path"}


def content_of(said: Mapping[str, Any], about: Metadata) -> Content:
    """Return what is answered.

    Args:
        said: the arguments of `FakeServer.answer` that say what is answered, without those that
            are None.
        about: the metadata of a result that is made here.

    Raises TypeError, ValueError, RecordingError and OSError.
    """
    kinds = [name for name in said if name not in _BESIDE]
    if not kinds and "box" in said:
        kinds = ["path"]
    if len(kinds) != 1:
        seen = " and ".join(f"{name}=" for name in said) or "nothing"
        raise TypeError(f"say one of {', '.join(f'{kind}=' for kind in _KINDS)}, not {seen}")
    (kind,) = kinds
    for name in said.keys() & _BESIDE:
        if _BESIDE[name] != kind:
            raise TypeError(f"{name}= belongs to {_BESIDE[name]}=, not to {kind}=")
    match kind:
        case "text":
            return _texts(said, about)
        case "path":
            path, box = require(str, "path", said.get("path", "")), said.get("box")
            box = None if box is None else require(BBox, "box", box)
            return {"segment": SegmentResult(path, box, metadata=about)}
        case "objects":
            boxes = tuple(require(BBox, "objects", box) for box in said[kind])
            return {"detect": DetectResult(boxes, about)}
        case "points":
            points = tuple(require(Point, "points", point) for point in said[kind])
            return {"point": PointResult(points, about)}
        case "result":
            result: Result = said[kind]
            return {_skill_of(result): result}
        case "recording":
            source = said[kind]
            return source if isinstance(source, Recording) else read_recording(Path(source))
        case "error":
            return require(APIError, "error", said[kind])
        case _:
            status_code = require(int, "status", said[kind])
            if not 400 <= status_code <= 599:
                raise ValueError(f"status should be from 400 to 599, not {status_code}")
            return APIError(f"the fake server answers {status_code}", status_code=status_code)


def skills_of(content: Content) -> tuple[str, ...]:
    """Return the skills that an answer can be for. Raises ValueError."""
    if isinstance(content, APIError):
        return tuple(_RESULTS)
    if not isinstance(content, Recording):
        return tuple(content)
    path = content.header.path
    skill = "chat" if path.endswith("/chat/completions") else path.rpartition("/")[2]
    if skill not in _RESULTS:
        known = ", ".join(_RESULTS)
        raise ValueError(f"the recording should be of one of {known}, not of {path!r}")
    return (skill,)


def require(kind: type[T], name: str, value: object) -> T:
    """Return a value of this type. Raises TypeError for another."""
    if not isinstance(value, kind):
        raise TypeError(f"{name} should be of {kind.__name__}, not {type(value).__name__}")
    return value


def _texts(said: Mapping[str, Any], about: Metadata) -> dict[str, Result]:
    text = require(str, "text", said["text"])
    if "reasoning" not in said:
        return {
            "query": QueryResult(text, metadata=about),
            "caption": CaptionResult(text, about),
            "chat": ChatResult(text, metadata=about),
        }
    reasoning = Reasoning(require(str, "reasoning", said["reasoning"]))
    return {
        "query": QueryResult(text, reasoning, about),
        "chat": ChatResult(text, reasoning, about),
    }


def _skill_of(result: Result) -> str:
    for skill, kind in _RESULTS.items():
        if isinstance(result, kind):
            return skill
    raise TypeError(f"result should be the result of a skill, not {type(result).__name__}")
