"""A timeout for the many short waits of one connection, in tasks of asyncio.

1. A timeout of asyncio or anyio sets a timer of the event loop for each wait, and cancels it after.
   Most bytes come within milliseconds, so here the end of a wait is only noted. One timer is
   pending. When it goes off, it is set again for the wait that is in progress, if any.
2. What came while the event loop was busy is in time: when a wait has taken too long, its task runs
   once more before it is interrupted.
3. The timer holds this object, and a task only while that waits. So it keeps no stream alive.
"""

from __future__ import annotations

import asyncio
from types import TracebackType
from typing import Self


class ReusableTimeout:
    """As `asyncio.timeout`, for one wait after the other.

        with timeout(seconds):
            await ...

    One task uses it at a time. Make it in a running event loop. Call `close` after the last wait:
    it cancels the timer, which would go off once more.
    """

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        self._at: float | None = None  # when the wait has taken too long
        self._task: asyncio.Task[object] | None = None  # that waits
        self._cancelling = 0  # times that the task was cancelled before the wait
        self._is_expired = False

    def __call__(self, seconds: float | None) -> Self:
        """Return the context of a wait that may take so many seconds. None is no limit."""
        if seconds is None:
            self._at = None
        else:
            self._at = at = self._loop.time() + seconds
            if self._timer is None or at < self._timer.when():
                self._start(at)
        return self

    def __enter__(self) -> None:
        """Begin the wait."""
        self._task = asyncio.current_task(self._loop)
        assert self._task is not None
        self._cancelling = self._task.cancelling()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """End the wait. Raises the builtin TimeoutError if it took too long."""
        task, self._task, self._at = self._task, None, None
        if self._is_expired:
            self._is_expired = False
            assert task is not None
            # Somebody else may have cancelled the task, too.
            is_ours = task.uncancel() <= self._cancelling
            if is_ours and isinstance(error, asyncio.CancelledError):
                raise TimeoutError("nothing came in time") from error

    def close(self) -> None:
        """Cancel the timer. It is set again by another wait."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _start(self, at: float) -> None:
        self.close()
        self._timer = self._loop.call_at(at, self._go_off)

    def _go_off(self) -> None:
        self._timer = None
        if self._at is not None:
            if self._loop.time() < self._at:
                self._start(self._at)
            else:
                self._loop.call_soon(self._interrupt, self._at)

    def _interrupt(self, at: float) -> None:
        if self._task is not None and self._at == at:  # the same wait is still in progress
            self._is_expired = True
            self._task.cancel()
