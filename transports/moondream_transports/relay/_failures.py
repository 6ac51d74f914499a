"""Errors that nobody expected, as errors that a reader may see."""

from __future__ import annotations

from sansio_moondream import (
    APIError,
    Dialect,
    ErrorResponse,
    LocalProtocolError,
    MoondreamError,
    encode_error,
)
from sansio_moondream.relay import to_public
from sansio_moondream.relay._refusals import internal


def as_moondream_error(error: Exception) -> MoondreamError:
    """Return the error for the reader. An unexpected one is logged, and says nothing to readers."""
    if isinstance(error, MoondreamError) and not isinstance(error, LocalProtocolError):
        return error
    log_failure(error)
    return internal()


def as_response(error: MoondreamError, dialect: Dialect) -> ErrorResponse:
    """Return the whole response for an error before anything was sent.

    An error in a 200 gets the status of its class. Otherwise a reader that expects an event stream
    would find no record in the body, and take it for an empty answer.
    """
    if isinstance(error, APIError) and error.status_code == 200:
        error = to_public(error)
        error.status_code = 0
    return encode_error(error, dialect)


def log_failure(error: Exception) -> None:
    """Log a mistake in the program."""
    import logging

    logging.getLogger("moondream_transports").error("a relayed stream failed", exc_info=error)
