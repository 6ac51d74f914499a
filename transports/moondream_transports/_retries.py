"""Retries: whether and when a request is sent again. Pure: no clock, sleep or randomness.

1. A request is sent again if its error is `retryable`: it was certainly not answered, or the server
   asks for it. `MoondreamError.retryable` has the rule.
2. A pooled connection that the server had closed is ConnectionLost, and so not retried. It cannot
   be distinguished from one that broke after the server took the request.
3. A wait is never shorter than the backoff, nor than `Retry-After`. A date in the past, a 0 and an
   invalid value do not shorten it: clocks differ, and a server that sends those values must not be
   asked in a tight loop.
4. If `Retry-After` is longer than `max_retry_after`, the error is final: an earlier attempt would
   be refused.
5. The backoff doubles from `initial_backoff` to `max_backoff`. By default half of it is random
   ("equal jitter", https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/).
   "Full jitter" spreads many clients a little better, but it may retry at once, and so waste one of
   the few attempts.
"""

from __future__ import annotations

from copy import copy
from math import inf

from msgspec import Struct

from sansio_moondream import APIError, Headers, MoondreamError
from sansio_moondream._headers import retry_after

_MAX_DOUBLINGS = 1000  # a float has no more


class RetryPolicy(Struct, frozen=True):
    """Decide when a client sends a request again that failed before its first event.

    `Client(..., retries=RetryPolicy())` turns retries on. For another rule write a subclass that
    overrides `wait`.

    Attributes:
        max_attempts: of one request, the first one included.
        initial_backoff: seconds before the second attempt. The backoff doubles at each attempt.
        max_backoff: seconds that the backoff does not exceed.
        max_retry_after: the longest `Retry-After`, in seconds, that the client waits for. For a
            longer one the error is raised.
        jitter: the random share of the backoff, from 0 to 1. Many clients at once need it.

    Raises ValueError for fewer than one attempt, for seconds that are not finite or negative, and
    for a jitter that is not from 0 to 1.
    """

    max_attempts: int = 3
    initial_backoff: float = 0.5
    max_backoff: float = 8.0
    max_retry_after: float = 60.0
    jitter: float = 0.5

    def __post_init__(self) -> None:
        if self.max_attempts < 1:
            raise ValueError(
                "max_attempts should be 1 or more, the first attempt included,"
                f" not {self.max_attempts!r}"
            )
        for name in ("initial_backoff", "max_backoff", "max_retry_after"):
            value = getattr(self, name)
            if not 0 <= value < inf:
                raise ValueError(
                    f"{name} should be a finite number of seconds, 0 or above, not {value!r}"
                )
        if not 0 <= self.jitter <= 1:
            raise ValueError(f"jitter should be a number from 0 to 1, not {self.jitter!r}")

    def wait(
        self, error: MoondreamError, attempt: int, now: float, random: float = 1.0
    ) -> float | None:
        """Return the seconds to wait before the request is sent again, or None to give up.

        Args:
            error: it ended the attempt before the first event.
            attempt: its number. The first is 1.
            now: seconds of `time.time()`, for a `Retry-After` that is a date.
            random: a random number from 0 to 1. 1 makes the longest wait.
        """
        if attempt >= self.max_attempts or not error.retryable:
            return None
        requested = _retry_after(error, now) if isinstance(error, APIError) else 0.0
        if requested > self.max_retry_after:
            return None
        doublings = min(attempt - 1, _MAX_DOUBLINGS)
        backoff = min(self.initial_backoff * 2.0**doublings, self.max_backoff)
        return max(backoff * (1 - self.jitter * (1 - random)), requested)


def without_retry_after(error: MoondreamError) -> MoondreamError:
    """Return a copy of an error of the server that asks for no wait, or any other error itself."""
    if not isinstance(error, APIError):
        return error
    error = copy(error)
    error.retry_after = error.headers = None
    return error


def requested_wait(headers: Headers, now: float) -> float | None:
    """Return the seconds of `Retry-After` (RFC 9110, section 10.2.3), or None without a valid one.

    A date in the past gives a number below 0. `now` is seconds of `time.time()`.
    """
    if (seconds := retry_after(headers)) is not None:
        return seconds
    value = headers.get("retry-after", "")
    if value.isascii() and value.isdigit():
        return inf  # it has more digits than the core reads
    date = _parse_date(value)
    return None if date is None else date - now


def _retry_after(error: APIError, now: float) -> float:
    if error.retry_after is not None or error.headers is None:
        return error.retry_after or 0.0
    return requested_wait(error.headers, now) or 0.0


def _parse_date(date: str) -> float | None:
    """Return an HTTP date as seconds of `time.time()`.

    A recipient has to accept three formats (RFC 9110, section 5.6.7).
    """
    from datetime import UTC
    from email.utils import parsedate_to_datetime  # a slow import

    try:
        moment = parsedate_to_datetime(date)
    except (ValueError, OverflowError, IndexError):  # not a date, day 99, or a year of 20 digits
        return None
    return (moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)).timestamp()
