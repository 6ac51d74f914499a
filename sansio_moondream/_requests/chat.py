"""The request of a chat: a conversation, in the form of OpenAI's chat completions.

Sources: Moondream's "OpenAI Compatibility" (any number of pictures, as data URLs only) and its
Python client (roles, fields, the model that is named where none is chosen, the key as a bearer
token)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Literal, cast

import msgspec
from msgspec import Struct

from sansio_moondream._errors import shorten
from sansio_moondream._results import ChatResult

from .checks import check, has_lone_half
from .endpoint import Endpoint
from .images import EncodedImage
from .requests import HTTPRequest, Request

Role = Literal["system", "user", "assistant"]
Part = str | EncodedImage | Mapping[str, object]

_DEFAULT_MODEL = "moondream3-preview"


class ChatMessage(Struct, frozen=True):
    """One message of a conversation: who says it, and a text, or texts and pictures in their order.

    Parts may be in OpenAI's form too; `content` becomes a text or a tuple of texts and
    `EncodedImage`s. Raises ValueError or TypeError for another role or kind of part, and for a
    picture that is no data URL: the service fetches none."""

    role: Role
    content: str | Iterable[Part]

    def __post_init__(self) -> None:
        check(
            self.role in ("system", "user", "assistant"),
            "role",
            '"system", "user" or "assistant"',
            self.role,
        )
        if isinstance(self.content, str):
            _check_text(self.content, "content")
            return
        parts = _items(self.content, "content", "text, or a list of parts")
        msgspec.structs.force_setattr(
            self, "content", tuple(_part(part, f"content[{at}]") for at, part in enumerate(parts))
        )

    def __repr__(self) -> str:
        content = (
            _shown(self.content)
            if isinstance(self.content, str)
            else f"({', '.join(map(_shown, self.content))})"
        )
        return f"ChatMessage({self.role!r}, {content})"


class ChatRequest(Request[ChatResult], frozen=True, kw_only=True, repr_omit_defaults=True):
    """Continue a conversation, about pictures if there are some in its messages.

    `messages` is all of it, the oldest first, as `ChatMessage`s or as mappings in OpenAI's form.
    `reasoning` asks for the way to the answer too, or for none. `settings.max_objects` means
    nothing here, and is refused."""

    messages: Iterable[ChatMessage | Mapping[str, object]]
    reasoning: bool | None = None

    skill = "chat"
    _PATH = "chat/completions"
    _BEARER = True

    def __post_init__(self) -> None:
        super().__post_init__()
        most = None if self.settings is None else self.settings.max_objects
        check(most is None, "settings.max_objects", "None in a chat", most)
        check(
            self.reasoning is None or isinstance(self.reasoning, bool),
            "reasoning",
            "True, False or None",
            self.reasoning,
        )
        given = _items(
            self.messages, "messages", "a list of ChatMessages, or of mappings in OpenAI's form"
        )
        msgspec.structs.force_setattr(
            self,
            "messages",
            tuple(_message(one, f"messages[{at}]") for at, one in enumerate(given)),
        )

    def to_http(
        self, endpoint: Endpoint, stream: bool = True, extra_body: Mapping[str, Any] | None = None
    ) -> HTTPRequest:
        """The HTTP request that asks `endpoint` for this; all as for other requests.

        Some servers say what a streamed answer took only where `extra_body` has `{"stream_options":
        {"include_usage": True}}`.
        Raises ValueError for an `n` in it other than 1: only one answer is read.
        """
        n = (extra_body or {}).get("n")
        check(n in (None, 1), "n", "1, as only one answer is read", n)
        return super().to_http(endpoint, stream, extra_body)

    def _body(self) -> dict[str, Any]:
        messages = cast("tuple[ChatMessage, ...]", self.messages)
        return {
            "model": _DEFAULT_MODEL,
            "messages": [_in_openais_form(message) for message in messages],
            "reasoning": self.reasoning,
        }

    def _settings(self, given: dict[str, Any]) -> dict[str, Any]:
        return {
            "max_completion_tokens" if name == "max_tokens" else name: value
            for name, value in given.items()
        }

    def __repr__(self) -> str:
        *before, last = cast("tuple[ChatMessage, ...]", self.messages)
        messages = f"(<{len(before)} before>, {last!r})" if before else f"({last!r},)"
        others = [
            f"{name}={value!r}"
            for name in ("settings", "model", "reasoning")
            if (value := getattr(self, name)) is not None
        ]
        return f"ChatRequest({', '.join([*others, f'messages={messages}'])})"


class _TextPart(Struct, tag_field="type", tag="text", forbid_unknown_fields=True):
    text: str


class _ImageURL(Struct, forbid_unknown_fields=True):
    url: str


class _ImagePart(Struct, tag_field="type", tag="image_url", forbid_unknown_fields=True):
    image_url: _ImageURL


def _items(value: object, name: str, expected: str) -> tuple[object, ...]:
    """What is in a list, or in anything like one."""
    check(_is_like_a_list(value), name, expected, value)
    items = tuple(cast("Iterable[object]", value))
    check(bool(items), name, f"{expected}, and not empty", items)
    return items


def _is_like_a_list(value: object) -> bool:
    return isinstance(value, Iterable) and not isinstance(value, str | Mapping)


def _message(value: object, name: str) -> ChatMessage:
    if isinstance(value, ChatMessage):
        return value
    check(isinstance(value, Mapping), name, "a ChatMessage, or a mapping in OpenAI's form", value)
    given = {
        key: item for key, item in cast("Mapping[str, Any]", value).items() if item is not None
    }  # as clients dump them
    if given.keys() != {"role", "content"}:
        names = shorten(", ".join(map(str, given)), 80)
        raise ValueError(
            f'{name} should have a role and a content, not {names or "neither"}; other fields can go by extra_body={{"messages": ...}}'
        )
    try:
        return ChatMessage(given["role"], given["content"])
    except (TypeError, ValueError) as error:
        raise type(error)(f"{name}.{error}") from None


def _part(value: object, name: str) -> str | EncodedImage:
    if isinstance(value, Mapping):
        try:
            wire = msgspec.convert(cast("Mapping[str, Any]", value), _TextPart | _ImagePart)
            value = wire.text if isinstance(wire, _TextPart) else EncodedImage(wire.image_url.url)
        except ValueError as error:
            raise ValueError(
                f"{name} should be a text or a picture in OpenAI's form: {error}"
            ) from None
    if isinstance(value, str):
        _check_text(value, name)
        return value
    check(
        isinstance(value, EncodedImage),
        name,
        "text, an EncodedImage, or a mapping in OpenAI's form",
        value,
    )
    return cast(EncodedImage, value)


def _check_text(text: str, name: str) -> None:
    check(not has_lone_half(text), name, "text that has no lone surrogates", text)


def _in_openais_form(message: ChatMessage) -> dict[str, Any]:
    if isinstance(message.content, str):
        return {"role": message.role, "content": message.content}
    parts = cast("tuple[str | EncodedImage, ...]", message.content)
    content = [
        {"type": "text", "text": part}
        if isinstance(part, str)
        else {"type": "image_url", "image_url": {"url": part.data_url}}
        for part in parts
    ]
    return {"role": message.role, "content": content}


def _shown(part: object) -> str:
    return repr(shorten(part, 60) if isinstance(part, str) else part)
