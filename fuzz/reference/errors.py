"""Which messages are errors, and the class of each."""

from __future__ import annotations

from typing import Any

import sansio_moondream as sm

from .fields import Fields

_BY_STATUS = {
    400: sm.BadRequestError,
    401: sm.AuthenticationError,
    402: sm.PaymentRequiredError,
    403: sm.PermissionDeniedError,
    404: sm.NotFoundError,
    413: sm.PayloadTooLargeError,
    422: sm.BadRequestError,
    429: sm.RateLimitError,
}
_BY_TYPE = {
    "invalid_request_error": sm.BadRequestError,
    "authentication_error": sm.AuthenticationError,
    "permission_error": sm.PermissionDeniedError,
    "not_found_error": sm.NotFoundError,
    "request_too_large": sm.PayloadTooLargeError,
    "rate_limit_error": sm.RateLimitError,
    "rate_limit_exceeded": sm.RateLimitError,
    "server_error": sm.ServerError,
    "api_error": sm.ServerError,
    "overloaded_error": sm.ServerError,
    "overloaded": sm.ServerError,
}


def is_error(fields: Fields) -> bool:
    """Test if a message is an error. One that says nothing is none."""
    if fields.get("error") or fields.get("type") == "error":
        return True
    reason = fields.get("detail")
    has_reason = isinstance(reason, (str, list)) and len(reason) > 0
    return has_reason and set(fields) <= {*("detail", "status", "code", "request_id")}


def has_words(value: Any) -> bool:
    """Test if a body without an answer says why, in the fields that errors have."""
    match value:
        case str():
            return value.strip() != ""
        case list():
            return any(map(has_words, value))
        case dict():
            return any(has_words(value.get(name)) for name in ("msg", "message", "error", "detail"))
        case _:
            return False


def error_class(status: int, value: Any) -> type[sm.APIError]:
    """Return the class of an error: by the status, or in a 200 by its type, or else its code."""
    if status == 200:
        about = value if isinstance(value, dict) else {}
        if isinstance(about.get("error"), dict) and about["error"]:
            about = about["error"]
        if isinstance(about.get("type"), str) and about["type"] in _BY_TYPE:
            return _BY_TYPE[about["type"]]
        code = about.get("code")
        statuses = {str(status): status for status in range(400, 600)}
        if type(code) in (int, str):
            status = statuses.get(str(code), status)
    return sm.ServerError if status >= 500 else _BY_STATUS.get(status, sm.APIError)
