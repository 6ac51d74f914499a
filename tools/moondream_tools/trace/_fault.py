"""The error that ends an exchange, as its client raises it."""

from __future__ import annotations

from sansio_moondream import FirstEventTimeout, IdleTimeout, MoondreamError, TotalTimeout
from sansio_moondream.recording import Ending, RecordedTimeouts, ending_error


def fault_of(
    ending: Ending, at: float, *, has_event: bool, timeouts: RecordedTimeouts | None
) -> Exception | None:
    """Return the error of an ending, or None. A silence ends at a deadline of the client.

    Args:
        ending: of a recording.
        at: when, in seconds since the request.
        has_event: whether an event came before.
        timeouts: of the client, if they are known.
    """
    error = ending_error(ending)
    if isinstance(error, MoondreamError) or not isinstance(error, TimeoutError):
        return error
    if timeouts is not None and timeouts.total is not None and at >= timeouts.total:
        return TotalTimeout("the answer was not complete before the total deadline")
    if not has_event:
        return FirstEventTimeout("no event came before the deadline of the first event")
    return IdleTimeout("no byte came before the idle deadline")
