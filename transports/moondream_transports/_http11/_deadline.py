"""Until when one exchange may wait."""

from __future__ import annotations

from time import monotonic

from moondream_transports._deadlines import after, sooner
from moondream_transports._transport import Timeouts


def remaining(deadline: float | None) -> float | None:
    """Return the seconds until a moment of `time.monotonic()`.

    Raises:
        TimeoutError: The moment has passed.
    """
    if deadline is None:
        return None
    if (seconds := deadline - monotonic()) <= 0:
        raise TimeoutError("nothing came in time")
    return seconds


class Deadline:
    """Count `Timeouts.connect`, then `first_event`, and neither longer than `total`."""

    def __init__(self, timeouts: Timeouts) -> None:
        self._timeouts = timeouts
        self._end = after(timeouts.total)
        self._next = sooner(after(timeouts.connect), self._end)

    def remaining(self) -> float | None:
        """Return for how many seconds to wait at most. Raises TimeoutError if there are none."""
        return remaining(self._next)

    def connected(self) -> None:
        """Begin with `first_event`."""
        self._next = sooner(after(self._timeouts.first_event), self._end)
