"""The errors that a relay itself makes. Each reader of a format knows them by their `type`."""

from __future__ import annotations

from sansio_moondream._errors import APIError, NotFoundError, ServerError


def stopping() -> ServerError:
    """Return the error for a server that stops, and ends its streams or accepts no more."""
    return ServerError(
        "this server stops: ask again", status_code=503, type="server_stopping", retry_after=1
    )


def too_many(retry_after: float) -> ServerError:
    """Return the error for a stream that is not accepted, as too many are open.

    Args:
        retry_after: seconds.
    """
    return ServerError(
        "too many streams are open on this server: ask again later",
        status_code=503,
        type="too_many_streams",
        retry_after=retry_after,
    )


def too_slow(behind: int) -> ServerError:
    """Return the error for a reader that does not read what is sent.

    Args:
        behind: bytes that wait for the reader.
    """
    return ServerError(
        f"the stream is ended, as its reader is too slow: {behind:,} bytes wait for it",
        status_code=503,
        type="reader_too_slow",
    )


def not_found() -> NotFoundError:
    """Return the error for an id of a stream that is unknown, or no longer kept."""
    return NotFoundError(
        "this server has no such stream, or keeps it no longer",
        status_code=404,
        type="stream_not_found",
    )


def gone(first: int) -> NotFoundError:
    """Return the error for a place in a stream whose records are no longer kept.

    Args:
        first: the id of the first record that is kept.
    """
    return NotFoundError(
        f"the records before {first} are no longer kept: ask again",
        status_code=404,
        type="records_not_kept",
    )


def cancelled() -> APIError:
    """Return the error for a stream that was cancelled, as nobody wants it any more."""
    return APIError(
        "the stream was cancelled: ask again if it is wanted still",
        status_code=410,
        type="stream_cancelled",
    )


def internal() -> ServerError:
    """Return the error for a mistake in the server's program. It says nothing of the mistake."""
    return ServerError(
        "this server failed, by a mistake in its program", status_code=500, type="internal_error"
    )
