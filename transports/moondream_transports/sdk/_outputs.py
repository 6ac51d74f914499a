"""The types of the dictionaries of the documented SDK."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Generator
from typing import Any, Generic, NotRequired, TypeAlias, TypedDict, TypeVar

Texts: TypeAlias = Generator[str, None, None]
AsyncTexts: TypeAlias = AsyncGenerator[str, None]
G = TypeVar("G", Texts, AsyncTexts)


class Region(TypedDict):
    """A box, in fractions of the image.

    Attributes:
        x_min, y_min, x_max, y_max: its edges.
    """

    x_min: float
    y_min: float
    x_max: float
    y_max: float


class Place(TypedDict):
    """A point, in fractions of the image.

    Attributes:
        x, y: from the left and from the top edge.
    """

    x: float
    y: float


class CaptionOutput(TypedDict, Generic[G]):
    """A complete caption, or a generator of its chunks.

    Attributes:
        caption: the text, or a generator of its chunks.
        request_id: the server's id of the exchange, if it is known.
    """

    caption: str | G
    request_id: str | None


class QueryOutput(TypedDict, Generic[G]):
    """A complete answer, or a generator of its chunks.

    Attributes:
        answer: the text, or a generator of its chunks.
        reasoning: `text` and `grounding`, if it was asked for.
        request_id: the server's id of the exchange, if it is known.
    """

    answer: str | G
    reasoning: NotRequired[dict[str, Any]]
    request_id: str | None


class ChatMessage(TypedDict):
    """The assistant's next message.

    Attributes:
        role: `"assistant"`.
        content: its text.
        reasoning: its text, if the server sent one.
        reasoning_details: with `grounding`, if the server sent it.
    """

    role: str
    content: str
    reasoning: NotRequired[str]
    reasoning_details: NotRequired[dict[str, Any]]


class ChatOutput(TypedDict, Generic[G]):
    """A complete message, or a generator of the chunks of its text.

    Attributes:
        message: the message, or a generator of the chunks of its text.
        finish_reason: `"stop"` or `"length"`; None while it streams.
        request_id: the server's id of the exchange, if it is known.
    """

    message: ChatMessage | G
    finish_reason: str | None
    request_id: str | None


class SegmentOutput(TypedDict):
    """An outline. The coordinates of its path are relative to its box.

    Attributes:
        path: SVG path text.
        bbox: the box of the path.
        parse_error: the server's message if the model wrote no valid path.
        request_id: the server's id of the exchange, if it is known.
    """

    path: str
    bbox: NotRequired[Region]
    parse_error: NotRequired[str]
    request_id: str | None


class SegmentUpdate(TypedDict, total=False):
    """An update of a streamed outline: the box, a chunk of the coarse path, or the end.

    Attributes:
        bbox: the box, coarse at first, and refined with the end.
        chunk: a part of the coarse path.
        path: the whole path, with the end.
        completed: True with the end.
        parse_error: as in `SegmentOutput`.
        request_id: the server's id of the exchange, if it is known.
    """

    bbox: Region | None
    chunk: str
    path: str
    completed: bool
    parse_error: str
    request_id: str | None


class DetectOutput(TypedDict):
    """The boxes of the objects that were found.

    Attributes:
        objects: their boxes.
        request_id: the server's id of the exchange, if it is known.
    """

    objects: list[Region]
    request_id: str | None


class PointOutput(TypedDict):
    """The centres of the objects that were found.

    Attributes:
        points: their centres.
        request_id: the server's id of the exchange, if it is known.
    """

    points: list[Place]
    request_id: str | None
