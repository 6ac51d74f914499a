"""The errors that the service answers, by their status."""

from __future__ import annotations

from typing import Final

from sansio_moondream._errors import APIError, api_error_class

ERROR_TYPES: Final = {
    400: "invalid_request_error",
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    405: "invalid_request_error",
    413: "request_too_large",
    415: "invalid_request_error",
    422: "invalid_request_error",
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
        type=ERROR_TYPES.get(status_code, "server_error"),
        param=param,
    )
