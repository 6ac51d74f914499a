"""Whether a request is sent again, and when: pure, with no clock, no sleep and no chance of its
own.

1. What was certainly not answered is sent again, and what the server asks for: no connection
   (ConnectError, ConnectTimeout), and 408, 429 and 5xx. A server that says the same in a 200 counts
   as well: RateLimitError, ServerError.
2. What may be running is not, as it would be billed twice: FirstEventTimeout, ConnectionLost,
   TotalTimeout. A kept connection that the server had closed is ConnectionLost too, as nothing
   tells it from one that broke under a request that was taken.
3. What would only come again is not: TLSError, every other answer, and what contradicts the
   protocol.
4. A wait is never shorter than the backoff, nor than what `Retry-After` asks for. So a date that is
   past, a 0, and what is neither seconds nor a date make it no shorter: clocks differ, and a server
   that sends those must not be asked in a tight loop.
5. Where `Retry-After` asks for more than `max_retry_after`, the fault stands: whoever comes earlier
   than that is refused again.
6. The backoff doubles from `initial_backoff` up to `max_backoff`; half of it is certain and half is chance ("equal jitter" in
   https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/). "Full jitter" spreads crowds a little better, but with
   the few attempts of a request that costs money, one that comes next to at once is an attempt lost.
"""

from __future__ import annotations

from math import inf

from msgspec import Struct

from sansio_moondream import (
    APIError,
    ConnectError,
    ConnectTimeout,
    MoondreamError,
    RateLimitError,
    ServerError,
)

_MOST_DOUBLINGS = 1000  # a float has no more


class RetryPolicy(Struct, frozen=True):
    """When a client sends a request again that failed before its first event. `Client(...,
    retries=RetryPolicy())` turns it on.

    For another rule make a subclass, override `wait`, and call this one for the rest.

    Attributes:
        attempts: in all, the first one included.
        initial_backoff, max_backoff: seconds that the backoff begins with, doubling at each
            attempt, and goes up to. A wait is between half of it and all of it.
        max_retry_after: the longest `Retry-After`, in seconds, that is waited for; where it asks
            for more, the fault is raised.
        seed: makes the jitter the same each time, for tests; without one it is random, as many
            clients at once need it.

    Raises ValueError for fewer than one attempt, and for seconds that are not finite or below 0.
    """

    attempts: int = 3
    initial_backoff: float = 0.5
    max_backoff: float = 8.0
    max_retry_after: float = 60.0
    seed: int | None = None

    def __post_init__(self) -> None:
        if self.attempts < 1:
            raise ValueError(
                f"attempts should be 1 or more, the first one included, not {self.attempts!r}"
            )
        for name in ("initial_backoff", "max_backoff", "max_retry_after"):
            value = getattr(self, name)
            if not 0 <= value < inf:
                raise ValueError(
                    f"{name} should be a finite number of seconds, 0 or above, not {value!r}"
                )

    def wait(
        self, error: MoondreamError, attempt: int, now: float, chance: float = 1.0
    ) -> float | None:
        """How many seconds to wait before the request is sent again; None gives up.

        `error` ended attempt number `attempt` (the first is 1) before its first event; `now` is the
        moment in seconds of `time.time()`, for a `Retry-After` that is a date; `chance` is a random
        number from 0 to 1, which a policy with a seed does not look at."""
        if attempt >= self.attempts or not _may_pass(error):
            return None
        asked = _asked_for(error, now) if isinstance(error, APIError) else 0.0
        if asked > self.max_retry_after:
            return None
        return max(self._backoff(attempt, chance), asked)

    def _backoff(self, attempt: int, chance: float) -> float:
        if self.seed is not None:
            from random import Random  # imports much, so only where it is used

            chance = Random(f"{self.seed}, {attempt}").random()
        longest = min(
            self.initial_backoff * 2.0 ** min(attempt - 1, _MOST_DOUBLINGS), self.max_backoff
        )
        return longest / 2 * (1 + chance)


def _may_pass(error: MoondreamError) -> bool:
    if isinstance(error, APIError) and error.status_code == 408:
        return True
    return isinstance(error, ConnectError | ConnectTimeout | RateLimitError | ServerError)


def _asked_for(error: APIError, now: float) -> float:
    """Seconds from now that `Retry-After` gives (RFC 9110, section 10.2.3);

    0 where it gives none.
    """
    if error.retry_after is not None:
        return error.retry_after
    value = "" if error.headers is None else error.headers.get("retry-after", "")
    if value.isascii() and value.isdigit():
        return inf  # of so many digits that the core does not read it
    moment = _moment(value)
    return 0.0 if moment is None else moment - now


def _moment(date: str) -> float | None:
    """An HTTP date as seconds of `time.time()`, in each of the three forms that a recipient has to
    take (RFC 9110, section 5.6.7).
    """
    from datetime import UTC
    from email.utils import parsedate_to_datetime  # imports much, so only where it is used

    try:
        moment = parsedate_to_datetime(date)
    except (ValueError, OverflowError, IndexError):  # no date, a day 99, a year of 20 digits
        return None
    return (moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)).timestamp()
