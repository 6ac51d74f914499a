"""Error answers to exceptions.

Servers and proxies report errors in these shapes: `{"error": {"message", "type", "param",
"code"}}`, `{"error": "text", "detail": "text"}`, `{"detail": "text"}`, a list of validation errors
in `detail`, `{"message": "text"}`, plain text, HTML, or nothing.
"""

from __future__ import annotations

import re
from typing import Any, Final, cast

from sansio_moondream._errors import APIError, api_error_class, shorten
from sansio_moondream._headers import Headers, retry_after
from sansio_moondream._limits import Limits
from sansio_moondream._requests.sent import Sent
from sansio_moondream._secrets.names import public_part

from .json import BeyondLimit, decode

NO_REASON: Final = "(it gave no reason)"
"""The message of an answer that has none."""
_MAX_BODY_CHARACTERS = 2000
_MAX_MESSAGE_CHARACTERS = 1000
_MAX_ERRORS = 100  # of a list that are read: more do not fit into the message
# Both patterns stop at the next "<", so they are linear on a page with many of them.
_TITLE = re.compile(r"<title[^<>]*>\s*([^<\s][^<]*)", re.IGNORECASE)
_TAG = re.compile(r"<[^<>]*>")
_UNKNOWN_SKILL = re.compile(r"Function '([^']*)' not available")  # the local station, with a 200


def is_error(fields: dict[str, Any]) -> bool:
    """Whether a JSON message reports an error. An error that says nothing is none."""
    if fields.get("error") or fields.get("type") == "error":
        return True
    # FastAPI's shape. Next to other fields, `detail` is an unknown field of an answer.
    detail: object = fields.get("detail")
    is_reason = isinstance(detail, str | list) and detail not in ("", [])
    return is_reason and fields.keys() <= {"detail", "status", "code", "request_id"}


def has_words(fields: dict[str, Any]) -> bool:
    """Whether a JSON body that is no answer says why."""
    return bool(_message(fields))


def api_error(
    status_code: int, headers: Headers, limits: Limits, sent: Sent, body: bytes
) -> APIError:
    """Return the exception for an error answer. `body` may be cut short."""
    text = body.decode("utf-8", "replace").removeprefix("\ufeff").strip()
    try:
        body = body.removeprefix(b"\xef\xbb\xbf")
        value = decode(body, limits.max_json_depth, limits.max_json_values)
    except (ValueError, BeyondLimit):
        value = _page_text(text)
    details = _details(value)
    type_, code = _plain(details.get("type")), _plain(details.get("code"))
    request_id = _plain(details.get("request_id"))
    if isinstance(value, dict):
        request_id = request_id or _plain(cast(dict[str, Any], value).get("request_id"))
    # The page that comes with a redirect says less than its Location.
    redirect = _redirect(headers) if 300 <= status_code < 400 else ""
    message = redirect or _message(value) or NO_REASON
    is_elsewhere = status_code in (404, 405) or text.startswith("<") or _is_no_skill(message, sent)
    hint = sent.endpoint_hint() if is_elsewhere and not redirect else ""
    return api_error_class(status_code, type_, code)(
        shorten(message, _MAX_MESSAGE_CHARACTERS) + hint,
        status_code=status_code,
        type=None if type_ == "error" else type_,
        code=code,
        param=_plain(details.get("param")),
        retry_after=retry_after(headers),
        headers=headers,
        body=shorten(text, _MAX_BODY_CHARACTERS),
        request_id=request_id or headers.get("x-request-id"),
    )


def _is_no_skill(message: str, sent: Sent) -> bool:
    """Whether a server took another part of the path for the skill."""
    unknown = _UNKNOWN_SKILL.fullmatch(message)
    return unknown is not None and not f"{sent.url}".endswith(f"/{unknown[1]}")


def _details(value: Any) -> dict[str, Any]:
    """Return the object in "error", or else the answer itself."""
    if not isinstance(value, dict):
        return {}
    fields = cast(dict[str, Any], value)
    error = fields.get("error")
    return cast(dict[str, Any], error) if error and isinstance(error, dict) else fields


def _message(value: Any) -> str:
    if isinstance(value, str):
        return value.strip()
    if isinstance(value, list):
        parts = cast(list[Any], value)[:_MAX_ERRORS]
        return "; ".join(filter(None, map(_message, parts)))
    if not isinstance(value, dict):
        return ""
    fields = cast(dict[str, Any], value)
    if text := _message(fields.get("msg")):  # one of FastAPI's validation errors
        loc: Any = fields.get("loc")
        where = ".".join(map(str, cast(list[Any], loc))) if isinstance(loc, list) else ""
        return f"{where}: {text}" if where else text
    texts = [_message(fields.get(name)) for name in ("message", "error", "detail")]
    return ": ".join(dict.fromkeys(filter(None, texts)))


def _redirect(headers: Headers) -> str:
    location = headers.get("location")
    if not location:
        return ""
    target = public_part(location)
    return (
        f"it redirects to {target or 'the same address with another query'}, which is never "
        "followed, as the key would go along; if you trust it, set Endpoint(url=...) to it, "
        "without the skill's name"
    )


def _page_text(text: str) -> str:
    if not text.startswith("<"):
        return text
    title = _TITLE.search(text)
    return _TAG.sub(" ", title[1] if title else text)


def _plain(value: Any) -> str | None:
    return str(value) if type(value) in (str, int) else None
