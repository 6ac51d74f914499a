"""Errors that nobody expected, as errors that a reader may see."""

from __future__ import annotations

from sansio_moondream import LocalProtocolError, MoondreamError
from sansio_moondream.relay._refusals import internal


def as_moondream_error(error: Exception) -> MoondreamError:
    """Return the error for the reader. An unexpected one is logged, and says nothing to readers."""
    if isinstance(error, MoondreamError) and not isinstance(error, LocalProtocolError):
        return error
    log_failure(error)
    return internal()


def log_failure(error: Exception) -> None:
    """Log a mistake in the program."""
    import logging

    logging.getLogger("moondream_transports").error("a relayed stream failed", exc_info=error)
