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
    """Test if a message is an error."""
    if fields.get("error") is not None or fields.get("type") == "error":
        return True
    return isinstance(fields.get("detail"), (str, list)) and set(fields) <= {
        *("detail", "status", "code", "request_id")
    }


def error_class(status: int, value: Any) -> type[sm.APIError]:
    """Return the class of an error: by the status, or in a 200 by its type."""
    if status != 200:
        return sm.ServerError if status >= 500 else _BY_STATUS.get(status, sm.APIError)
    about = value if isinstance(value, dict) else {}
    about = about["error"] if isinstance(about.get("error"), dict) else about
    return (
        _BY_TYPE.get(about["type"], sm.APIError)
        if isinstance(about.get("type"), str)
        else sm.APIError
    )
