"""Give up a bulk run that cannot succeed."""

from __future__ import annotations

import threading

from moondream_transports._hooks import Hooks, Timeline
from sansio_moondream import MoondreamError


class Refusals(Hooks):
    """Set an event when some requests in a row failed for a reason that all share.

    Without it, a run with a wrong key would write a failed row for each item. Any other end of a
    request begins the count again.

    Args:
        kinds: the errors whose reason the next request would share, such as `AuthenticationError`.
        limit: how many in a row, or 0 for never.
        stop: is set then.
    """

    def __init__(
        self, kinds: tuple[type[MoondreamError], ...], limit: int, stop: threading.Event
    ) -> None:
        self._kinds = kinds
        self._limit = limit
        self._stop = stop
        self._lock = threading.Lock()
        self._in_a_row = 0
        self._given_up: MoondreamError | None = None

    @property
    def given_up(self) -> MoondreamError | None:
        """The error that ended the run, or None."""
        return self._given_up

    def on_end(self, timeline: Timeline) -> None:
        error = timeline.error
        with self._lock:
            if not isinstance(error, self._kinds):
                self._in_a_row = 0
                return
            self._in_a_row += 1
            if self._in_a_row == self._limit and not self._stop.is_set():
                self._given_up = error
                self._stop.set()
