"""Strategies for requests of every skill, with all their fields."""

from __future__ import annotations

from base64 import b64decode
from collections.abc import Callable
from typing import Any

from hypothesis import strategies as st
from msgspec.structs import replace

from sansio_moondream._geometry import BBox, Point
from sansio_moondream._requests.base import Request, Settings
from sansio_moondream._requests.chat import ChatMessage, ChatRequest
from sansio_moondream._requests.images import EncodedImage, encode_image
from sansio_moondream._requests.skills import (
    CaptionRequest,
    DetectRequest,
    PointRequest,
    QueryRequest,
    SegmentRequest,
)

Options = dict[str, st.SearchStrategy[Any]]

# One black pixel each, as Pillow encodes it.
_GIF = "R0lGODdhAQABAIEAAAAAAAAAAAAAAAAAACwAAAAAAQABAAAIBAABBAQAOw=="
_PNG = (
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAAAAAA6fptVAAAACklEQVR42mNgAAAAAgAB5Sfe/AAAAABJRU5ErkJggg=="
)
_WEBP = "UklGRhoAAABXRUJQVlA4TA4AAAAvAAAAAAcQEf0PRET/Aw=="
_JPEG = (
    "/9j/4AAQSkZJRgABAQAAAQABAAD/2wBDAP////////////////////////////////////////////////////////"
    "//////////////////////////////wAALCAABAAEBAREA/8QAFAABAAAAAAAAAAAAAAAAAAAAA//EABQQAQAAAAAA"
    "AAAAAAAAAAAAAAD/2gAIAQEAAD8AN//Z"
)
_PICTURES = [encode_image(b64decode(picture)) for picture in (_GIF, _PNG, _WEBP, _JPEG)]

fractions = st.floats(0, 1)
boxes = st.builds(BBox, fractions, fractions, fractions, fractions)
points = st.builds(Point, fractions, fractions)
_words = st.text(min_size=1, max_size=12).filter(str.strip)  # requests refuse blank text
_refs = st.none() | st.lists(
    points
    | boxes
    | st.tuples(fractions, fractions)
    | st.tuples(fractions, fractions, fractions, fractions),
    max_size=3,
)
_models = st.sampled_from([None, "moondream3-preview", "moondream3-preview/moons@100"])
_reasoning = st.sampled_from([None, False, True])


def images() -> st.SearchStrategy[EncodedImage]:
    """Generate a picture of one pixel: a GIF, PNG, WebP or JPEG."""
    return st.sampled_from(_PICTURES)


def settings() -> st.SearchStrategy[Settings]:
    """Generate settings with any of the fields, within the bounds of the service."""
    counts = st.none() | st.integers(1, 2**31)
    return st.builds(
        Settings,
        temperature=st.none() | st.floats(0, 2),
        top_p=st.none() | st.floats(0, 1, exclude_min=True),
        max_tokens=counts,
        max_objects=counts,
    )


def _with_options(
    kind: Callable[..., Request[Any]], options: Options, **needed: st.SearchStrategy[Any]
) -> st.SearchStrategy[Request[Any]]:
    """Build requests without any optional field, or with some.

    As two alternatives they shrink to a request without any.
    """
    shared: Options = {"settings": st.none() | settings(), "model": _models}
    return st.builds(kind, **needed) | st.builds(kind, **needed, **options, **shared)


pictures = images() | st.builds(
    EncodedImage,
    st.sampled_from([picture.data_url for picture in _PICTURES]),
    st.sampled_from(["low", "high", "auto"]),
)
messages = st.builds(
    ChatMessage,
    st.sampled_from(["user", "assistant", "system"]),
    _words | st.lists(_words | pictures, min_size=1, max_size=3),
)


def _chats() -> st.SearchStrategy[ChatRequest]:
    conversations = st.lists(messages, min_size=1, max_size=3)
    without_objects = settings().map(lambda drawn: replace(drawn, max_objects=None))
    return st.builds(ChatRequest, messages=conversations) | st.builds(
        ChatRequest,
        messages=conversations,
        reasoning=_reasoning,
        settings=st.none() | without_objects,
        model=_models,
    )


_QUERY_OPTIONS: Options = {
    "image": st.none() | images(),
    "reasoning": _reasoning,
    "spatial_refs": _refs,
}
_REQUESTS: dict[str, st.SearchStrategy[Request[Any]]] = {
    "query": _with_options(QueryRequest, _QUERY_OPTIONS, question=_words),
    "caption": _with_options(
        CaptionRequest,
        {"length": st.sampled_from([None, "short", "normal", "long"])},
        image=images(),
    ),
    "segment": _with_options(
        SegmentRequest, {"spatial_refs": _refs}, image=images(), object=_words
    ),
    "detect": _with_options(DetectRequest, {}, image=images(), object=_words),
    "point": _with_options(PointRequest, {"spatial_refs": _refs}, image=images(), object=_words),
    "chat": _chats(),
}
_any_request = st.one_of(*_REQUESTS.values())
skills = st.sampled_from([*_REQUESTS])


def requests(skill: str | None = None) -> st.SearchStrategy[Request[Any]]:
    """Generate valid requests of a skill or of any, with or without each optional field.

    Args:
        skill: such as `"query"`. None generates any.

    Raises:
        ValueError: there is no such skill.
    """
    return _any_request if skill is None else _REQUESTS[checked(skill)]


def checked(skill: str) -> str:
    """Return the skill, or raise ValueError if it does not exist."""
    if skill not in _REQUESTS:
        raise ValueError(f"skill should be one of {', '.join(_REQUESTS)}, not {skill!r}")
    return skill
