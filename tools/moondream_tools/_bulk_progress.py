"""Show how far a bulk run is, on standard error.

1. The run changes its counts in its own thread. A thread of the display shows them, so a run that
   waits for a server is shown too, and no run waits for a terminal.
2. A terminal gets lines that are redrawn, if rich is installed. Anything else gets a line now and
   then.
3. Standard error may be closed or full. Then nothing more is shown, and the run goes on.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from time import monotonic
from types import TracebackType
from typing import Protocol, Self

from msgspec.structs import replace

from moondream_transports import LimiterStatus
from moondream_transports.bulk import Counts

from ._bulk_meter import Meter, Snapshot
from ._exit import print_error
from ._terminal import Terminal

_REDRAW = 0.25  # seconds
_LINES = 10.0  # seconds between two lines in the first minute
_LATER_LINES = 60.0


class Display(Protocol):
    """Show snapshots. Any method may raise OSError."""

    def show(self, snapshot: Snapshot) -> None: ...

    def close(self) -> None: ...


class Lines:
    """Write a line now and then."""

    def __init__(self) -> None:
        self._began_at = self._shown_at = monotonic()
        self._was_stopping = False

    def show(self, snapshot: Snapshot) -> None:
        now = monotonic()
        interval = _LINES if now - self._began_at < 60 else _LATER_LINES
        news = snapshot.stopping and not self._was_stopping
        if news or now - self._shown_at >= interval:
            self._shown_at, self._was_stopping = now, snapshot.stopping
            print(snapshot.line, file=sys.stderr, flush=True)

    def close(self) -> None:
        pass


class Progress:
    """Show a run inside a block. `update` takes its counts.

    Args:
        limit: returns the limit of the requests now.
        stop: is set when no more requests begin.
        at_most: of the items that are asked in this run, or None for all.
    """

    def __init__(
        self,
        limit: Callable[[], LimiterStatus],
        stop: threading.Event,
        at_most: int | None = None,
    ) -> None:
        self._limit = limit
        self._stop = stop
        self._meter = Meter(at_most)
        self._counts = Counts()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="progress")

    def update(self, counts: Counts) -> None:
        """Take the counts of the run, which goes on changing them."""
        self._counts = counts

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._over.set()
        self._thread.join()

    def _run(self) -> None:
        try:
            display = make_display()
            try:
                while not self._over.wait(_REDRAW):
                    display.show(self._snapshot())
            finally:
                display.close()
        except OSError:
            pass  # nobody can see it

    def _snapshot(self) -> Snapshot:
        counts = replace(self._counts, failures=dict(self._counts.failures))
        return self._meter.snapshot(counts, self._limit(), self._stop.is_set(), monotonic())


def make_display() -> Display:
    """Return the display for standard error. Raises OSError."""
    terminal = Terminal(sys.stderr)
    if not terminal.is_live:
        return Lines()
    try:
        from ._bulk_live import Live
    except ImportError:
        print_error(
            "progress is shown as lines; a terminal shows more with rich: "
            "pip install 'sansio-moondream[bulk]'"
        )
        return Lines()
    return Live(sys.stderr, terminal.has_styles)
