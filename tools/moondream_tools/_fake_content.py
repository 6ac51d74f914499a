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

from ._service import skill_of

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
_BESIDE: Final = {
    "reasoning": ("text",),
    "box": ("path",),
    "error": ("text", "path", "result"),
}
"""What may come beside others. A box and an error may also come alone."""


def content_of(what: Mapping[str, Any], about: Metadata) -> Content:
    """Return what is answered.

    Args:
        what: the arguments of `FakeServer.answer` that say what is answered, without those that
            are None.
        about: the metadata of a result that is made here.

    Raises TypeError, ValueError, RecordingError and OSError.
    """
    kinds = [name for name in what if name not in _BESIDE]
    if not kinds and "box" in what:
        kinds = ["path"]
    elif not kinds and "error" in what:
        kinds = ["error"]
    if len(kinds) != 1:
        seen = " and ".join(f"{name}=" for name in what) or "nothing"
        one = ", ".join(f"{kind}=" for kind in _KINDS)
        raise TypeError(f"an answer should be one of {one}, not {seen}")
    (kind,) = kinds
    for name in [name for name in what if name in _BESIDE]:
        if kind not in (name, *_BESIDE[name]):
            others = " or ".join(f"{other}=" for other in _BESIDE[name])
            raise TypeError(f"{name}= belongs to {others}, not to {kind}=")
    if "error" in what:
        require(APIError, "error", what["error"])
    match kind:
        case "text":
            return _texts(what, about)
        case "path":
            path, box = require(str, "path", what.get("path", "")), what.get("box")
            box = None if box is None else require(BBox, "box", box)
            return {"segment": SegmentResult(path, box, metadata=about)}
        case "objects":
            boxes = tuple(require(BBox, "objects", box) for box in what[kind])
            return {"detect": DetectResult(boxes, about)}
        case "points":
            points = tuple(require(Point, "points", point) for point in what[kind])
            return {"point": PointResult(points, about)}
        case "result":
            result: Result = what[kind]
            return {_skill_of(result): result}
        case "recording":
            source = what[kind]
            return source if isinstance(source, Recording) else read_recording(Path(source))
        case "error":
            error: APIError = what[kind]
            return error
        case _:
            status_code = require(int, "status", what[kind])
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
    skill = skill_of(path)
    if skill not in _RESULTS:
        known = ", ".join(_RESULTS)
        raise ValueError(f"the recording should be of one of {known}, not of {path!r}")
    return (skill,)


def require(kind: type[T], name: str, value: object) -> T:
    """Return a value of this type. Raises TypeError for another."""
    if not isinstance(value, kind):
        raise TypeError(f"{name} should be of {kind.__name__}, not {type(value).__name__}")
    return value


def _texts(what: Mapping[str, Any], about: Metadata) -> dict[str, Result]:
    text = require(str, "text", what["text"])
    if "reasoning" not in what:
        return {
            "query": QueryResult(text, metadata=about),
            "caption": CaptionResult(text, about),
            "chat": ChatResult(text, metadata=about),
        }
    reasoning = Reasoning(require(str, "reasoning", what["reasoning"]))
    return {
        "query": QueryResult(text, reasoning, about),
        "chat": ChatResult(text, reasoning, about),
    }


def _skill_of(result: Result) -> str:
    for skill, kind in _RESULTS.items():
        if isinstance(result, kind):
            return skill
    raise TypeError(f"result should be the result of a skill, not {type(result).__name__}")
