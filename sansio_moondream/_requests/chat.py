"""The request of a chat, in the form of OpenAI's chat completions.

Sources: Moondream's "OpenAI Compatibility" (any number of pictures, as data URLs only) and its
Python client (roles, fields, default model, key as a bearer token).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Annotated, Any, Literal, cast

import msgspec
from msgspec import Struct
from msgspec.structs import force_setattr

from sansio_moondream._errors import shorten
from sansio_moondream._repr import OwnRepr
from sansio_moondream._results import ChatResult
from sansio_moondream._value import Stored

from .base import Request
from .checks import check, has_lone_surrogate
from .endpoint import Endpoint
from .http import HTTPRequest
from .images import EncodedImage, data_url_as_json
from .pictured import Pictured

Role = Literal["system", "user", "assistant"]
Part = str | EncodedImage | Mapping[str, object]

_DEFAULT_MODEL = "moondream3-preview"
_MESSAGES = "a list of ChatMessages, or of mappings in OpenAI's form"


class ChatMessage(OwnRepr, Pictured, frozen=True):
    """One message of a conversation: its role, and a text or a list of texts and pictures.

    Attributes:
        role: `"system"`, `"user"` or `"assistant"`.
        content: a text, or a tuple of texts and `EncodedImage`s. Parts may also be given in
            OpenAI's form.

    Raises:
        ValueError, TypeError: another role or kind of part, or a picture that is not a data URL
            (the service fetches no pictures).
    """

    role: Role
    content: Annotated[str | Iterable[Part], Stored(str | tuple[str | EncodedImage, ...])]

    def __post_init__(self) -> None:
        valid = self.role in ("system", "user", "assistant")
        check(valid, "role", '"system", "user" or "assistant"', self.role)
        if isinstance(self.content, str):
            _check_text(self.content, "content")
            return
        parts = enumerate(_items(self.content, "content", "text, or a list of parts"))
        force_setattr(self, "content", tuple(_part(part, f"content[{at}]") for at, part in parts))

    def __repr__(self) -> str:
        content = self.content
        shown = (
            _show(content) if isinstance(content, str) else f"({', '.join(map(_show, content))})"
        )
        return f"ChatMessage({self.role!r}, {shown})"


class ChatRequest(Request[ChatResult], frozen=True, kw_only=True):
    """Continue a conversation, about the pictures in its messages if there are any.

    `settings.max_objects` is refused, as it means nothing in a chat.

    Attributes:
        messages: the whole conversation, the oldest message first, as `ChatMessage`s or as mappings
            in OpenAI's form.
        reasoning: True asks for the model's reasoning, and False for none.

    Raises:
        ValueError, TypeError: a field has a value that the service does not take.
    """

    messages: Annotated[
        Iterable[ChatMessage | Mapping[str, object]], Stored(tuple[ChatMessage, ...])
    ]
    reasoning: bool | None = None

    skill = "chat"
    _PATH = "chat/completions"
    _BEARER = True

    def __post_init__(self) -> None:
        super().__post_init__()
        count = None if self.settings is None else self.settings.max_objects
        check(count is None, "settings.max_objects", "None in a chat", count)
        valid = isinstance(self.reasoning, bool | None)
        check(valid, "reasoning", "True, False or None", self.reasoning)
        messages = enumerate(_items(self.messages, "messages", _MESSAGES))
        stored = tuple(_message(message, f"messages[{at}]") for at, message in messages)
        force_setattr(self, "messages", stored)

    def to_http(
        self, endpoint: Endpoint, stream: bool = True, extra_body: Mapping[str, Any] | None = None
    ) -> HTTPRequest:
        """Build the HTTP request for an endpoint, as for other requests.

        Some servers send the `usage` of a streamed answer only if `extra_body` has
        `{"stream_options": {"include_usage": True}}`.

        Raises:
            ValueError: `extra_body` has an `n` other than 1; this library reads only one answer.
        """
        n = (extra_body or {}).get("n")
        check(n in (None, 1), "n", "1, as only one answer is read", n)
        return super().to_http(endpoint, stream, extra_body)

    def _body(self) -> dict[str, Any]:
        messages = [_wire_message(message) for message in cast("list[ChatMessage]", self.messages)]
        return {"model": _DEFAULT_MODEL, "messages": messages, "reasoning": self.reasoning}

    def _settings(self, given: dict[str, Any]) -> dict[str, Any]:
        names = {"max_tokens": "max_completion_tokens"}
        return {names.get(name, name): value for name, value in given.items()}

    def __repr__(self) -> str:
        *before, last = cast("tuple[ChatMessage, ...]", self.messages)
        messages = f"(<{len(before)} before>, {last!r})" if before else f"({last!r},)"
        fields = {name: getattr(self, name) for name in ("settings", "model", "reasoning")}
        others = [f"{name}={value!r}" for name, value in fields.items() if value is not None]
        return f"ChatRequest({', '.join([*others, f'messages={messages}'])})"


class _TextPart(Struct, tag_field="type", tag="text", forbid_unknown_fields=True):
    text: str


class _ImageURL(Struct, forbid_unknown_fields=True):
    url: str
    detail: str | None = None


class _ImagePart(Struct, tag_field="type", tag="image_url", forbid_unknown_fields=True):
    image_url: _ImageURL


def _items(value: object, name: str, expected: str) -> tuple[object, ...]:
    """Read the items of an iterable that is neither empty, nor text, nor a mapping."""
    check(_is_list_like(value), name, expected, value)
    items = tuple(cast("Iterable[object]", value))
    check(bool(items), name, f"{expected}, and not empty", items)
    return items


def _is_list_like(value: object) -> bool:
    return isinstance(value, Iterable) and not isinstance(value, str | Mapping)


def _message(value: object, name: str) -> ChatMessage:
    if isinstance(value, ChatMessage):
        return value
    check(isinstance(value, Mapping), name, "a ChatMessage, or a mapping in OpenAI's form", value)
    mapping = cast("Mapping[str, Any]", value)
    fields = {key: item for key, item in mapping.items() if item is not None}  # as clients dump it
    if fields.keys() != {"role", "content"}:
        names = shorten(", ".join(map(str, fields)), 80) or "neither"
        raise ValueError(
            f"{name} should have a role and a content, not {names}; other fields can go by "
            'extra_body={"messages": ...}'
        )
    try:
        return ChatMessage(**fields)
    except (TypeError, ValueError) as error:
        raise type(error)(f"{name}.{error}") from None


def _part(value: object, name: str) -> str | EncodedImage:
    if isinstance(value, Mapping):
        try:
            wire = msgspec.convert(cast("Mapping[str, Any]", value), _TextPart | _ImagePart)
            if isinstance(wire, _TextPart):
                value = wire.text
            else:
                value = EncodedImage(wire.image_url.url, wire.image_url.detail)
        except ValueError as error:
            expected = "a text or a picture in OpenAI's form"
            raise ValueError(f"{name} should be {expected}: {error}") from None
    if isinstance(value, str):
        _check_text(value, name)
        return value
    expected = "text, an EncodedImage, or a mapping in OpenAI's form"
    check(isinstance(value, EncodedImage), name, expected, value)
    return cast(EncodedImage, value)


def _check_text(text: str, name: str) -> None:
    check(not has_lone_surrogate(text), name, "text that has no lone surrogates", text)


def _wire_message(message: ChatMessage) -> dict[str, Any]:
    content: Any = message.content
    if not isinstance(content, str):
        content = [
            {"type": "text", "text": part}
            if isinstance(part, str)
            else {"type": "image_url", "image_url": _wire_image(part)}
            for part in cast("tuple[str | EncodedImage, ...]", content)
        ]
    return {"role": message.role, "content": content}


def _wire_image(image: EncodedImage) -> dict[str, Any]:
    detail = {} if image.detail is None else {"detail": image.detail}
    return {"url": data_url_as_json(image)} | detail


def _show(part: object) -> str:
    return repr(shorten(part, 60) if isinstance(part, str) else part)
