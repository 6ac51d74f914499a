"""What the page asks, as JSON, to a request of the library."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final, cast

from moondream_tools._wording import with_options
from sansio_moondream import (
    CaptionRequest,
    ChatMessage,
    ChatRequest,
    DetectRequest,
    EncodedImage,
    PointRequest,
    QueryRequest,
    Request,
    SegmentRequest,
    Settings,
    encode_image,
)
from sansio_moondream._pictures.data_url import NO_FILES

from ._answers import Refused

_FIELDS: Final[dict[type[Request[Any]], tuple[str, ...]]] = {
    QueryRequest: ("question", "reasoning"),
    CaptionRequest: ("length",),
    SegmentRequest: ("object",),
    DetectRequest: ("object",),
    PointRequest: ("object",),
    ChatRequest: ("messages", "reasoning"),
}
_KINDS: Final = {kind.skill: kind for kind in _FIELDS}
_COMMON: Final = ("skill", "image", "settings")
_NEED_IMAGE: Final = "drop a picture first: {} is about one"

SKILLS: Final = tuple(_KINDS)


def request_of(asked: Any) -> Request[Any]:
    """Return the request.

    Args:
        asked: `skill`, `image` (a data URL or null), `settings`, and the fields of the skill. The
            `messages` of a chat have a role and a text each. The picture goes into the first
            message of the user.

    Raises:
        Refused: a field is missing or of another type, or the service does not take its value.
    """
    if not isinstance(asked, Mapping):
        raise Refused(400, "the request should be an object")
    given = {
        name: value for name, value in cast("Mapping[str, Any]", asked).items() if value is not None
    }
    skill = given.get("skill")
    kind = _KINDS.get(skill) if isinstance(skill, str) else None
    if kind is None:
        raise Refused(400, f"the skill should be one of {', '.join(SKILLS)}")
    names = _FIELDS[kind]
    if unknown := [name for name in given if name not in (*_COMMON, *names)]:
        raise Refused(400, f"{skill} has no field {unknown[0][:100]!r}")
    fields = {name: given[name] for name in names if name in given}
    image = _image(given.get("image"))
    if kind is ChatRequest:
        fields["messages"] = _messages(fields.get("messages"), image)
    elif image is not None:
        fields["image"] = image
    elif kind is not QueryRequest:
        raise Refused(400, _NEED_IMAGE.format(skill))
    elif "question" not in fields:
        raise Refused(400, "type a question")
    if "object" in names and "object" not in fields:
        raise Refused(400, f"type what to {skill}")
    return _made(kind, fields, given.get("settings"))


def image_of(request: Request[Any]) -> EncodedImage | None:
    """Return the picture of a request of `request_of`."""
    image: EncodedImage | None = getattr(request, "image", None)
    for message in cast("Iterable[ChatMessage]", getattr(request, "messages", ())):
        if not isinstance(message.content, str):
            parts = cast("Iterable[object]", message.content)
            image = next((part for part in parts if isinstance(part, EncodedImage)), image)
    return image


def _image(url: Any) -> EncodedImage | None:
    if url is None:
        return None
    if not isinstance(url, str):
        raise Refused(400, "the image should be a data URL")
    try:
        return encode_image(url)
    except ValueError as error:
        message = with_options(str(error).removesuffix(NO_FILES))
    raise Refused(400, message)


def _messages(messages: Any, image: EncodedImage | None) -> list[Any]:
    """Return messages with the picture in the first one of the user."""
    if not isinstance(messages, list) or not messages:
        raise Refused(400, "type a message")
    said: list[Any] = [*cast("list[Any]", messages)]
    if image is None:
        return said
    for at, message in enumerate(said):
        fields = cast("dict[str, Any]", message) if isinstance(message, dict) else {}
        if fields.get("role") == "user" and isinstance(fields.get("content"), str):
            said[at] = {**fields, "content": (image, fields["content"])}
            return said
    raise Refused(400, "the picture goes with a message of the user, and there is none")


def _made(kind: type[Request[Any]], fields: dict[str, Any], settings: Any) -> Request[Any]:
    if not isinstance(settings, Mapping | None):
        raise Refused(400, "the settings should be an object")
    try:
        if settings is not None:
            fields["settings"] = Settings(**cast("Mapping[str, Any]", settings))
        return kind(**fields)
    except (TypeError, ValueError) as error:
        message = with_options(str(error))
    raise Refused(400, message)
