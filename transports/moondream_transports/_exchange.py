"""The part of an exchange that no transport knows and that every client needs: which deadline counts, and its name.

1. Only time spent waiting counts for `Timeouts.first_event` and `idle`; `total` counts all time from the opening.
2. `first_event` ends with the first event. The body of an error has none: it is read by `idle`.
3. Of two deadlines the one that comes first counts, and gives its name to the error.
"""

from __future__ import annotations

from time import monotonic
from typing import Generic, TypeVar

from sansio_moondream import (
    ConnectTimeout,
    FirstEventTimeout,
    IdleTimeout,
    MoondreamError,
    ResponseStream,
    Result,
    State,
    TotalTimeout,
)

from ._transport import HeaderTypes, Timeouts

R = TypeVar("R", bound=Result)

_Deadline = type[FirstEventTimeout] | type[IdleTimeout] | type[TotalTimeout]
_WORDS: dict[_Deadline, str] = {
    FirstEventTimeout: "no event came within {0.first_event:g} seconds of the connection (Timeouts.first_event)",
    IdleTimeout: "no byte came for {0.idle:g} seconds (Timeouts.idle)",
    TotalTimeout: "the answer was not complete within {0.total:g} seconds (Timeouts.total)",
}


class Exchange(Generic[R]):
    """A decoder with deadlines around it. A client asks how long to wait, waits, and says here what came of it."""

    def __init__(self, decoder: ResponseStream[R], timeouts: Timeouts) -> None:
        self.decoder = decoder
        self.had_event = False  # for the client to set when it gives one out
        self._timeouts = timeouts
        self._end = None if timeouts.total is None else monotonic() + timeouts.total
        self._deadline: _Deadline = FirstEventTimeout  # the one that is waited for
        self._waited = 0.0  # for the first event, from the connection on
        self._asked_at = 0.0

    def timeouts_to_send(self) -> Timeouts:
        """For `Transport.send`: none is longer than `total`, for transports that do not look at that."""
        given = self._timeouts
        return Timeouts(_shorter(given.connect, given.total), _shorter(given.first_event, given.total), given.idle, given.total)

    def receive_head(self, status_code: int, headers: HeaderTypes, connected_at: float | None) -> None:
        """`Transport.send` gave a response."""
        if connected_at is not None:
            self._waited = monotonic() - connected_at
        self.decoder.receive_response(status_code, headers)

    def patience(self) -> float | None:
        """How long to wait for the next bytes; None is for ever. Raises the builtin TimeoutError if there is no time left."""
        self._asked_at = monotonic()
        if self.had_event or self.decoder.state is State.READING_ERROR:
            self._deadline, left = IdleTimeout, self._timeouts.idle
        else:
            first_event = self._timeouts.first_event
            self._deadline, left = FirstEventTimeout, None if first_event is None else first_event - self._waited
        if self._end is not None and (left is None or self._end - self._asked_at < left):
            self._deadline, left = TotalTimeout, self._end - self._asked_at
        if left is not None and left <= 0:
            raise TimeoutError("no time is left")
        return left

    def receive(self, data: bytes) -> None:
        """`ByteStream.read` gave this."""
        self._waited += monotonic() - self._asked_at
        if data:
            self.decoder.receive_data(data)
        else:
            self.decoder.receive_eof()

    def receive_error(self, error: Exception) -> None:
        """`Transport.send`, `patience` or `ByteStream.read` raised this."""
        is_over = self._end is not None and monotonic() >= self._end
        unnamed = isinstance(error, TimeoutError) and not isinstance(error, MoondreamError)
        if unnamed or (is_over and isinstance(error, ConnectTimeout)):
            kind = TotalTimeout if is_over else self._deadline
            named = kind(_WORDS[kind].format(self._timeouts))
            named.__cause__ = error
            error = named
        self.decoder.receive_error(error)


def _shorter(one: float | None, other: float | None) -> float | None:
    return min((seconds for seconds in (one, other) if seconds is not None), default=None)
