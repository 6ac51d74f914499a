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
        is_withdrawn: the function was to begin nothing, and had not begun.
    """

    number = 0
    is_cancelled = False
    is_withdrawn = False
    _interrupt: Callable[[], object] | None = None
    _withdraw: Callable[[], bool] | None = None

    def interruptible(
        self, interrupt: Callable[[], object] | None, withdraw: Callable[[], bool] | None = None
    ) -> None:
        """Have `interrupt` called, from another thread, if the result is not wanted any more.

        Both arguments take the place of those before. None is for a wait that has ended.

        Args:
            interrupt: ends a wait.
            withdraw: ends a wait for what has not begun, and returns whether there was one.

        Raises:
            Interrupted: the result is not wanted now.
        """
        self._interrupt, self._withdraw = interrupt, withdraw
        self.check()

    def withdraw(self) -> None:
        """End the wait of the function if it has not begun. What has begun goes on."""
        withdraw = self._withdraw
        if withdraw is not None and withdraw():
            self.is_withdrawn = True

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
