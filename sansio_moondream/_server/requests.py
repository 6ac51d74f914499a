"""Requests from bytes: the reverse of `Request.to_http`.

1. The path is checked first, then the method, the content coding and the body. The rules for a body
   of JSON, their order and their messages are those of the engine's source. An image is required
   as documented; for detect, point and segment the engine alone does not require it.
2. A value that the service's rules let pass has to be one that our requests can hold. If it is not,
   the request is refused, too, and the message is our own.
3. Fields that no request of the skill has are kept in `DecodedRequest.extra_body`, so that
   `decoded.request.to_http(endpoint, decoded.stream, decoded.extra_body)` sends them on. They never
   replace a field of the request, which a gateway may have changed. Unknown fields inside
   `settings` or a chat's messages are ignored, and `null` is absence.
4. The size of the JSON is checked before it is decoded: see `request_json.py`.
"""

from __future__ import annotations

from base64 import b64decode, b64encode
from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple, TypeVar, cast

from sansio_moondream._errors import shorten
from sansio_moondream._headers import Headers, HeaderTypes
from sansio_moondream._pictures.formats import image_info
from sansio_moondream._repr import OwnRepr
from sansio_moondream._requests.base import Request, Settings
from sansio_moondream._requests.chat import ChatMessage, ChatRequest
from sansio_moondream._requests.checks import MAX_NUMBER, is_text
from sansio_moondream._requests.images import MAX_BYTES, EncodedImage
from sansio_moondream._requests.skills import (
    CaptionRequest,
    DetectRequest,
    PointRequest,
    QueryRequest,
    SegmentRequest,
)
from sansio_moondream._unicode import with_well_formed_texts
from sansio_moondream._wire.encode import Dialect
from sansio_moondream._wire.inflate import content_coding
from sansio_moondream._wire.json import BeyondLimit, decode
from sansio_moondream._wire.sse import BYTE_ORDER_MARK

from .refusals import refusal
from .request_json import MAX_VALUES, TooLarge, check_json

V = TypeVar("V")


class DecodedRequest(OwnRepr, frozen=True):
    """A request as a server received it.

    The repr has only the names in `extra_body`.

    Attributes:
        request: of its skill.
        stream: True if a streamed answer is asked for. Detect and point never stream.
        extra_body: fields that no request of the skill has, for `Request.to_http`.
    """

    request: Request[Any]
    stream: bool
    extra_body: Mapping[str, Any]

    def __repr__(self) -> str:
        extra = f", extra: {', '.join(self.extra_body)}" if self.extra_body else ""
        return f"<DecodedRequest {self.request!r}, stream={self.stream}{extra}>"


def decode_request(
    method: str,
    path: str,
    headers: HeaderTypes,
    body: bytes | bytearray | memoryview,
    dialect: Dialect = Dialect.ENGINE,
) -> DecodedRequest:
    """Decode a request for any skill, as `Request.to_http` makes it.

    The API key is not looked at: that is the server's part. Nor is the length of the body, which
    the server has to bound while it reads it. `encode_error` gives the answer to a refused request.

    Args:
        method: of the request.
        path: of the request, after any prefix such as `/v1`. A query string is ignored.
        headers: of the request. A mapping, or pairs of str or bytes.
        body: undecoded.
        dialect: the server whose rules apply. Only the station streams a query with reasoning.

    Raises:
        NotFoundError: No skill has this path.
        APIError: 405, the method is not POST; or 415, the body is compressed.
        PayloadTooLargeError: A picture has more than 10 MB; or the JSON has more than 10,000
            values, or 1 MiB besides pictures.
        BadRequestError: The service refuses this body. `param` is the name of the field.
    """
    skill = _skill_of(path, dialect)
    if method != "POST":
        raise refusal(405, "Method Not Allowed")
    if coding := content_coding(Headers(headers)):
        raise refusal(
            415,
            f"the body of a request should not be compressed, and this one has the content coding "
            f"{shorten(coding, 40)!r}",
        )
    fields = _read_json(body if isinstance(body, bytes) else bytes(body))
    if skill is _CHAT:
        return _decode_chat(fields)
    _check_fields(fields, skill, streams_reasoning=dialect is Dialect.STATION)
    return _decode_skill(fields, skill)


class _Skill(NamedTuple):
    kind: type[Request[Any]]
    text: str | None = None  # the field that is required
    fields: tuple[str, ...] = ()  # all others, besides those of any skill


_CHAT: Final = _Skill(ChatRequest)
_SKILLS: Final = {
    skill.kind.skill: skill
    for skill in (
        _Skill(QueryRequest, "question", ("image_url", "reasoning", "spatial_refs")),
        _Skill(CaptionRequest, None, ("image_url", "length")),
        _Skill(SegmentRequest, "object", ("image_url", "spatial_refs")),
        _Skill(DetectRequest, "object", ("image_url",)),
        _Skill(PointRequest, "object", ("image_url", "spatial_refs")),
    )
}
_CHAT_SETTINGS: Final = {
    "temperature": "temperature",
    "top_p": "top_p",
    "max_completion_tokens": "max_tokens",
}
_MAX_DEPTH: Final = 61  # of the JSON: as deep as a recording of the request can nest
_NO_MESSAGES: Final = "Field 'messages' must be a non-empty list"
_NO_COUNT: Final = "Field 'max_completion_tokens' must be a whole number of at least 1"


def _skill_of(path: str, dialect: Dialect) -> _Skill:
    *prefix, name = path.partition("?")[0].split("/")
    if name == "completions" and prefix[-1:] == ["chat"]:
        return _CHAT
    if name in _SKILLS:
        return _SKILLS[name]
    if dialect is Dialect.STATION:
        raise refusal(404, f"Function '{shorten(name, 80)}' not available")
    raise refusal(404, "Not Found")


def _read_json(body: bytes) -> dict[str, Any]:
    try:
        check_json(body)
        value = decode(body.removeprefix(BYTE_ORDER_MARK), _MAX_DEPTH, MAX_VALUES)
    except TooLarge as error:
        raise refusal(413, str(error)) from None
    except (ValueError, BeyondLimit):
        raise refusal(400, "Invalid JSON body") from None
    if not isinstance(value, dict):
        raise refusal(400, "Request body must be an object")
    return with_well_formed_texts(cast("dict[str, Any]", value))


def _check_fields(fields: dict[str, Any], skill: _Skill, *, streams_reasoning: bool) -> None:
    """Check the fields as the engine does."""
    if (name := skill.text) is not None:
        text = fields.get(name)
        _check(isinstance(text, str), name, f"Field '{name}' must be a string")
        _check(bool(cast(str, text).strip()), name, f"Field '{name}' must be a non-empty string")
    if skill.kind is CaptionRequest:
        valid = isinstance(fields.get("length", "normal"), str)
        _check(valid, "length", "Field 'length' must be a string")
    for name in ("stream", "reasoning"):
        _check(isinstance(fields.get(name, False), bool), name, f"Field '{name}' must be a boolean")
    valid = isinstance(fields.get("settings"), dict | None)
    _check(valid, "settings", "Field 'settings' must be an object if provided")
    if "spatial_refs" in skill.fields:
        valid = isinstance(fields.get("spatial_refs"), list | None)
        _check(valid, "spatial_refs", "Field 'spatial_refs' must be a list")
    image = fields.get("image_url")
    valid = image is not None or skill.kind is QueryRequest
    _check(valid, "image_url", "Field 'image_url' must be provided")
    if image is not None:
        fields["image_url"] = _image(image, "image_url", "image_url")
    if fields.get("stream") and fields.get("reasoning") and not streams_reasoning:
        raise refusal(400, "Streaming is not supported when reasoning is enabled")


def _check(is_valid: bool, param: str, message: str) -> None:
    if not is_valid:
        raise refusal(400, message, param)


def _image(value: object, name: str, param: str, detail: str | None = None) -> EncodedImage:
    """Return the picture in a field. `name` is for messages."""
    _check(isinstance(value, str), param, f"Field '{name}' must be a string")
    text = cast(str, value)
    payload = text.partition(",")[2] if text.startswith("data:image") else text
    _check(bool(payload), param, "Invalid data URL: missing payload")
    try:
        data = b64decode(payload, validate=True)
    except ValueError:
        raise refusal(400, "Invalid base64 image data", param) from None
    if len(data) > MAX_BYTES:
        raise refusal(
            413, f"The image has {len(data):,} bytes, and {MAX_BYTES:,} are allowed", param
        )
    media_type = image_info(data[:16])[0]
    _check(media_type is not None, param, f"Field '{name}' must be a JPEG, PNG, WebP or GIF")
    try:
        return EncodedImage(text, detail)
    except ValueError:  # only base64, or a data URL in another form
        return EncodedImage(f"data:{media_type};base64,{b64encode(data).decode()}", detail)


def _decode_skill(fields: dict[str, Any], skill: _Skill) -> DecodedRequest:
    known = ("model", "settings", *((skill.text,) if skill.text else ()), *skill.fields)
    given = {name: fields[name] for name in known if fields.get(name) is not None}
    extra = {name: value for name, value in fields.items() if name not in (*known, "stream")}
    if "image_url" in given:
        given["image"] = given.pop("image_url")
    if "settings" in given:
        settings = {name: given["settings"].get(name) for name in Settings.__struct_fields__}
        given["settings"] = _made(Settings, settings, "settings", "settings.")
    stream = skill.kind.streams and fields.get("stream", False)
    return DecodedRequest(_made(skill.kind, given), stream, extra)


def _decode_chat(fields: dict[str, Any]) -> DecodedRequest:
    known = ("messages", "model", "reasoning", "stream", *_CHAT_SETTINGS)
    given = {name: fields[name] for name in known if fields.get(name) is not None}
    extra = {name: value for name, value in fields.items() if name not in known}
    for name in ("stream", "reasoning"):
        _check(isinstance(given.get(name, False), bool), name, f"Field '{name}' must be a boolean")
    _check(extra.get("n") in (None, 1), "n", "Field 'n' must be 1, as there is only one answer")
    messages = given.get("messages")
    _check(isinstance(messages, list), "messages", _NO_MESSAGES)
    _check(bool(messages), "messages", _NO_MESSAGES)
    numbered = enumerate(cast("list[object]", messages))
    given["messages"] = [_chat_message(value, f"messages[{at}]") for at, value in numbered]
    count = given.get("max_completion_tokens", 1)
    valid = type(count) is int and 1 <= count < MAX_NUMBER
    _check(valid, "max_completion_tokens", _NO_COUNT)
    settings = {ours: given.pop(name) for name, ours in _CHAT_SETTINGS.items() if name in given}
    if settings:
        given["settings"] = _made(Settings, settings)
    stream = given.pop("stream", False)
    return DecodedRequest(_made(ChatRequest, given), stream, extra)


def _chat_message(value: object, name: str) -> ChatMessage:
    _check(isinstance(value, dict), "messages", f"Field '{name}' must be an object")
    fields = cast("dict[str, object]", value)
    content = fields.get("content")
    if isinstance(content, list):
        parts = enumerate(cast("list[object]", content))
        content = [_chat_part(part, f"{name}.content[{at}]") for at, part in parts]
    given = {"role": fields.get("role"), "content": content}
    return _made(ChatMessage, given, "messages", f"{name}.")


def _chat_part(value: object, name: str) -> str | EncodedImage:
    part = cast("dict[str, object]", value) if isinstance(value, dict) else {}
    kind = part.get("type")
    if kind == "text" and isinstance(text := part.get("text"), str):
        return text
    if kind == "image_url" and isinstance(image := part.get("image_url"), dict):
        fields = cast("dict[str, object]", image)
        detail = fields.get("detail")
        valid = detail is None or is_text(detail)
        _check(valid, "messages", f"Field '{name}.image_url.detail' must be a non-empty string")
        where = f"{name}.image_url.url"
        return _image(fields.get("url"), where, "messages", cast("str | None", detail))
    raise refusal(400, f"Field '{name}' must be a text or an image", "messages")


def _made(make: Callable[..., V], fields: dict[str, Any], param: str = "", where: str = "") -> V:
    """Make a value of a request.

    What it raises for a field becomes a refusal. Its message begins with the name of the field,
    which is the `param` unless that is given.
    """
    try:
        return make(**fields)
    except (TypeError, ValueError) as error:
        message = f"{where}{error}"
    raise refusal(400, message, param or message.partition(" ")[0].partition("[")[0])
