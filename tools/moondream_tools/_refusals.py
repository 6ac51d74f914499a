"""The errors of the service, in each dialect.

The rules, their order and their messages are those of the engine's source. The cloud documents an
error as an object of message, type, param and code. The station answers every error with status
200. An image is required as documented. For detect, point and segment the engine alone does not
require it.
"""

from __future__ import annotations

import json
from base64 import b64decode
from typing import Any, cast

from sansio_moondream import Dialect
from sansio_moondream._server.request_json import TooLarge, check_size

JSON = "application/json"
MAX_IMAGE_BYTES = 10 * 1024 * 1024  # the service's limit, for the decoded picture
SKILLS = ("query", "caption", "segment", "detect", "point")
_TEXT = {"query": "question", "segment": "object", "detect": "object", "point": "object"}
_TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    405: "invalid_request_error",
    413: "request_too_large",
    422: "invalid_request_error",
    429: "rate_limit_error",
    503: "overloaded_error",
}


class Refusal(Exception):
    """A request is refused.

    Args:
        status_code: of the answer.
        message: for the client.
        param: the field that is wrong, or None.
        plain: the engine sends this error as plain text.
    """

    def __init__(
        self, status_code: int, message: str, param: str | None = None, *, plain: bool = False
    ) -> None:
        super().__init__(message)
        self.status_code = status_code
        self.param = param
        self._plain = plain

    def answer(self, dialect: Dialect | None) -> tuple[int, str, bytes]:
        """Return the status, the content type and the body."""
        if dialect is Dialect.STATION:
            return 200, JSON, _json({"error": str(self)})
        if dialect in (Dialect.CLOUD, Dialect.DEMO):
            return (
                self.status_code,
                JSON,
                _json({"error": error_fields(self.status_code, str(self), self.param)}),
            )
        if self._plain:
            return self.status_code, "text/plain; charset=utf-8", str(self).encode()
        return self.status_code, JSON, _json({"error": str(self)})


def error_fields(status_code: int, message: str, param: str | None = None) -> dict[str, Any]:
    """Return the fields of an error of the cloud."""
    return {
        "message": message,
        "type": _TYPES.get(status_code, "server_error"),
        "param": param,
        "code": None,
    }


def read_request(skill: str, body: bytes, *, reasons_in_streams: bool) -> dict[str, Any]:
    """Return the fields of a request for `skill`.

    `reasons_in_streams` allows reasoning in a stream. Raises Refusal for a request that the service
    refuses.
    """
    try:
        check_size(body)
        value = json.loads(body)
    except TooLarge as error:
        raise Refusal(413, str(error)) from None
    except (ValueError, RecursionError):
        raise Refusal(400, "Invalid JSON body") from None
    if not isinstance(value, dict):
        raise Refusal(400, "Request body must be an object")
    fields = cast("dict[str, Any]", value)
    if name := _TEXT.get(skill):
        text = fields.get(name)
        _check(isinstance(text, str), name, f"Field '{name}' must be a string")
        _check(bool(cast(str, text).strip()), name, f"Field '{name}' must be a non-empty string")
    if skill == "caption":
        _check(
            isinstance(fields.get("length", "normal"), str),
            "length",
            "Field 'length' must be a string",
        )
    for name in ("stream", "reasoning"):
        _check(isinstance(fields.get(name, False), bool), name, f"Field '{name}' must be a boolean")
    _check(
        isinstance(fields.get("settings"), dict | None),
        "settings",
        "Field 'settings' must be an object if provided",
    )
    _check_image(fields.get("image_url"), required=skill != "query")
    if fields.get("stream") and fields.get("reasoning") and not reasons_in_streams:
        raise Refusal(400, "Streaming is not supported when reasoning is enabled")
    return fields


def _check_image(value: object, *, required: bool) -> None:
    if value is None:
        _check(not required, "image_url", "Field 'image_url' must be provided")
        return
    _check(isinstance(value, str), "image_url", "Field 'image_url' must be a string")
    text = cast(str, value)
    payload = text.partition(",")[2] if text.startswith("data:image") else text
    _check(bool(payload), "image_url", "Invalid data URL: missing payload")
    try:
        size = len(b64decode(payload, validate=True))
    except ValueError:
        raise Refusal(400, "Invalid base64 image data", "image_url") from None
    if size > MAX_IMAGE_BYTES:
        raise Refusal(
            413, f"The image has {size:,} bytes, and {MAX_IMAGE_BYTES:,} are allowed", "image_url"
        )


def _check(is_valid: bool, param: str, message: str) -> None:
    if not is_valid:
        raise Refusal(400, message, param)


def _json(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")
