"""What a response and an error say about the server, for the gate that the request went through.

1. The head of a response is reported at once, before the body of an error is read.
2. 429 is a pause: of `Retry-After`, or of a second without a valid one above 0. So is 503 with such
   a `Retry-After`. An hour is the longest pause, whatever the server says.
3. Every other 5xx, a connection that was not made or broke, and no answer in time are failures. So
   is an error of the server in a 200.
4. Everything else is a success of the server: it answered.
"""

from __future__ import annotations

from typing import Final

from moondream_transports._retries import requested_wait
from sansio_moondream import (
    APIError,
    Headers,
    IncompleteStream,
    LimitExceeded,
    RateLimitError,
    RemoteProtocolError,
    ServerError,
    TotalTimeout,
    TransportError,
)

from ._turn import Turn

_DEFAULT_PAUSE: Final = 1.0  # seconds
_MAX_PAUSE: Final = 3600.0


def report_head(turn: Turn, status_code: int, headers: Headers, now: float) -> None:
    """Report the head of a response. `now` is seconds of `time.time()`, for a date."""
    if status_code in (429, 503):
        seconds = requested_wait(headers, now)
        if seconds is not None and seconds > 0:
            turn.fail(min(seconds, _MAX_PAUSE))
            return
    if status_code == 429:
        turn.fail(_DEFAULT_PAUSE)
    elif status_code >= 500:
        turn.fail()
    else:
        turn.succeed()


def report_error(turn: Turn, error: BaseException | None) -> None:
    """Report what ended an attempt. Nothing is reported that the head has said."""
    if isinstance(error, APIError):
        if error.status_code == 200 and isinstance(error, RateLimitError):
            turn.fail(min(error.retry_after or _DEFAULT_PAUSE, _MAX_PAUSE))
        elif error.status_code == 200 and isinstance(error, ServerError):
            turn.fail()
        return
    is_own = isinstance(error, TotalTimeout | LimitExceeded)
    if isinstance(error, TransportError | IncompleteStream | RemoteProtocolError) and not is_own:
        turn.fail()
