"""Deadlines: moments of a monotonic clock, and seconds until them. None is no limit.

1. Only time spent in reads counts for `Timeouts.first_event` and `idle`. `total` counts all time
   since the stream was opened.
2. `first_event` ends with the first event. The body of an error has none: it is read within `idle`.
3. Of two deadlines the earlier one counts, and decides the class of the error.
4. A transport may give up before the deadline that it was given. The error then says how long it
   waited.
5. The last bytes of the HTTP framing may arrive after the answer is complete, and a connection can
   be used again only after they were read. `drain_timeout` limits the time for that.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from msgspec.structs import astuple

from sansio_moondream import (
    ConnectTimeout,
    FirstEventTimeout,
    IdleTimeout,
    MoondreamError,
    TotalTimeout,
    TurnTimeout,
)

from ._transport import Timeouts

_DRAIN_SECONDS = 0.02
_DRAIN_BYTES = 4096

_TOLERANCE = 0.05  # seconds by which a timer may be early

_ErrorClass = type[FirstEventTimeout] | type[IdleTimeout] | type[TotalTimeout]
# By class: the field of `Timeouts`, what did not happen, and how long it was waited for.
_MESSAGES: dict[_ErrorClass, tuple[str, str, str]] = {
    FirstEventTimeout: ("first_event", "no event came", "within {:g} seconds of the connection"),
    IdleTimeout: ("idle", "no byte came", "for {:g} seconds"),
    TotalTimeout: ("total", "the answer was not complete", "within {:g} seconds"),
}


def after(seconds: float | None) -> float | None:
    """Return the moment that is so many seconds from now."""
    return None if seconds is None else time.monotonic() + seconds


def earlier(one: float | None, other: float | None) -> float | None:
    """Return the earlier of two moments, or the shorter of two times."""
    if one is None or other is None:
        return other if one is None else one
    return min(one, other)


class Deadlines:
    """Compute the timeouts of one exchange, and the error when one has passed."""

    __slots__ = (
        "_began",
        "_drain_end",
        "_drained",
        "_error_class",
        "_now",
        "_opened",
        "_timeouts",
        "_total_end",
        "_waited",
    )

    def __init__(self, timeouts: Timeouts, now: Callable[[], float]) -> None:
        self._timeouts = timeouts
        self._now = now
        self._total_end: float | None = None
        self._error_class: _ErrorClass = FirstEventTimeout  # of the deadline that is waited for
        self._opened = 0.0
        self._began = 0.0  # the attempt, or the last read
        self._waited = 0.0  # for the first event, before that
        self._drain_end: float | None = None
        self._drained = 0

    def start(self) -> None:
        """Begin to count `total`."""
        total = self._timeouts.total
        self._opened = self._began = self._now()
        self._total_end = None if total is None else self._opened + total

    def begin(self, *, has_waited: bool) -> Timeouts:
        """Begin to count `first_event`, again if it is another attempt. Returns its timeouts.

        `has_waited` is whether something was waited for since `start`. Raises the builtin
        TimeoutError if no time is left.
        """
        self._waited = 0.0
        self._began = self._now()
        left = self.total_left() if has_waited else self._timeouts.total
        if left is not None and left <= 0:
            raise TimeoutError("no time is left")
        return self._within(left)

    def total_left(self) -> float | None:
        """Return the seconds until `total` has passed, or None without it."""
        return None if self._total_end is None else self._total_end - self._now()

    def allow(self, seconds: float) -> bool:
        """Return whether `total` ends later than in so many seconds."""
        return self._total_end is None or self._now() + seconds < self._total_end

    def turn_error(self) -> TurnTimeout:
        """Return the error for a turn that has not come before `total` has passed."""
        return TurnTimeout(
            f"the request did not have its turn within {self._timeouts.total:g} seconds"
            " (Timeouts.total), so it was not sent: raise the timeout, or open fewer at once"
        )

    def count_head(self, seconds: float) -> None:
        """Count the time from the connection to the head."""
        self._waited = seconds

    def read_timeout(self, *, first_event: bool) -> float | None:
        """Return the seconds that the next read may take. `first_event` is whether it is awaited.

        Raises the builtin TimeoutError if no time is left.
        """
        self._began = now = self._now()
        seconds = self._timeouts.idle
        self._error_class = IdleTimeout
        if first_event:
            seconds = self._timeouts.first_event
            self._error_class = FirstEventTimeout
            if seconds is not None:
                seconds -= self._waited
        if self._total_end is not None and (seconds is None or self._total_end - now < seconds):
            seconds = self._total_end - now
            self._error_class = TotalTimeout
        if seconds is not None and seconds <= 0:
            raise TimeoutError("no time is left")
        return seconds

    def count_read(self) -> None:
        """Count the time since `read_timeout` was asked for."""
        self._waited += self._now() - self._began

    def error_for(self, error: Exception) -> Exception:
        """Return the error of the deadline that has passed, or the same error for no deadline."""
        is_over = self._total_end is not None and self._now() >= self._total_end
        is_builtin = isinstance(error, TimeoutError) and not isinstance(error, MoondreamError)
        if not is_builtin and not (is_over and isinstance(error, ConnectTimeout)):
            return error
        kind = TotalTimeout if is_over else self._error_class
        timeout = kind(self._describe(kind))
        timeout.__cause__ = error
        return timeout

    def drain_timeout(self, received: int) -> float | None:
        """Return the seconds to wait for the rest of the body, or None to stop.

        `received` is how many bytes of it the last read gave.
        """
        if self._drain_end is None:
            self._drain_end = self._now() + _DRAIN_SECONDS
        self._drained += received
        left = self._drain_end - self._now()
        return left if left > 0 and self._drained < _DRAIN_BYTES else None

    def _describe(self, kind: _ErrorClass) -> str:
        name, what, limit_words = _MESSAGES[kind]
        limit: float | None = getattr(self._timeouts, name)
        waited = self._now() - (self._opened if kind is TotalTimeout else self._began)
        if kind is FirstEventTimeout:
            waited += self._waited
        if limit is not None and waited > limit - _TOLERANCE:
            return f"{what} {limit_words.format(limit)} (Timeouts.{name})"
        given = "None" if limit is None else f"{limit:g}"
        return (
            f"{what}: the transport gave up after {round(waited, 2):g} seconds"
            f" (Timeouts.{name} is {given})"
        )

    def _within(self, total: float | None) -> Timeouts:
        """Shorten all timeouts to `total`, for transports that do not heed `total` itself."""
        given = self._timeouts
        is_shorter = total is not None and (given.first_event is None or total < given.first_event)
        self._error_class = TotalTimeout if is_shorter else FirstEventTimeout
        connect, first_event = earlier(given.connect, total), earlier(given.first_event, total)
        # The same ones are given on: to check new ones took 2 us.
        shortened = (connect, first_event, given.idle, total)
        return given if astuple(given) == shortened else Timeouts(*shortened)
