"""The errors that the service answers, by their status."""

from __future__ import annotations

from typing import Final

from sansio_moondream._errors import APIError, api_error_class

_TYPES: Final = {
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    503: "overloaded_error",
}


def refusal(status_code: int, message: str, param: str | None = None) -> APIError:
    """Return the error of a status, with the `type` that the cloud sends with it.

    Args:
        status_code: of the answer.
        message: for the client.
        param: the field of the request that is wrong.
    """
    return api_error_class(status_code, None, None)(
        message,
        status_code=status_code,
        type=error_type(status_code),
        param=param,
    )


def error_type(status_code: int) -> str:
    """Return the `type` that the cloud sends with an error status."""
    others = "invalid_request_error" if status_code < 500 else "server_error"
    return _TYPES.get(status_code, others)
