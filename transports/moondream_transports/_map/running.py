"""What the function of a map knows about the item that it works on."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress


class Interrupted(BaseException):
    """Ends a function whose result is not wanted any more, as `CancelledError` ends a task."""


class Running:
    """A worker of a map, for the function that it runs.

    A task is cancelled. A thread cannot be, so its function says how its waits are ended.

    Attributes:
        number: of its item, from 0. Once it has ended, of its last one.
        is_cancelled: the result is not wanted any more.
    """

    number = 0
    is_cancelled = False
    _interrupt: Callable[[], object] | None = None

    def interruptible(self, interrupt: Callable[[], object] | None) -> None:
        """Have `interrupt` called, from another thread, if the result is not wanted any more.

        It takes the place of the one before. None is for a wait that has ended.

        Raises:
            Interrupted: the result is not wanted now.
        """
        self._interrupt = interrupt
        self.check()

    def check(self) -> None:
        """Raise Interrupted if the result is not wanted any more."""
        if self.is_cancelled:
            raise Interrupted

    def interrupt(self) -> None:
        """End the wait of the function. Whoever calls this has set `is_cancelled`."""
        interrupt = self._interrupt
        if interrupt is not None:
            with suppress(Exception):  # the other workers have to be interrupted, too
                interrupt()
