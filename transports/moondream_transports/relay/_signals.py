"""Signals that ask a server to stop, heard beside the handlers that the server has installed.

1. A handler of the server is called at once, and the drain begins: the server stops to accept
   connections, and waits for those that it has.
2. Without one, the default action would end the process. So it waits until the drain has ended.
3. A second signal ends the process by the default action, too.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterable
from threading import current_thread, main_thread
from types import FrameType
from typing import Any, Final

_DEFAULTS: Final = (signal.SIG_DFL, signal.default_int_handler)


class HandledSignals:
    """Handle signals inside a `with` block.

    Only the main thread gets signals. In another one this does nothing.

    Args:
        numbers: of the signals.
        on_signal: is called by the handler, at any moment, for each signal.
    """

    def __init__(self, numbers: Iterable[int], on_signal: Callable[[], object]) -> None:
        self._numbers = tuple(numbers)
        self._on_signal = on_signal
        self._previous: dict[int, Any] = {}
        self.received: list[int] = []

    def __enter__(self) -> HandledSignals:
        if current_thread() is main_thread():
            for number in self._numbers:
                self._previous[number] = signal.signal(number, self._handle)
        return self

    def __exit__(self, *_: object) -> None:
        for number, previous in self._previous.items():
            if signal.getsignal(number) == self._handle:
                signal.signal(number, previous)

    def act(self) -> None:
        """Have the default action follow, if no handler of the server was called."""
        for number in self.received:
            if self._previous[number] in _DEFAULTS:
                os.kill(os.getpid(), number)  # the main thread gets it

    def _handle(self, number: int, frame: FrameType | None) -> None:
        previous = self._previous[number]
        is_first = number not in self.received
        if is_first:
            self.received.append(number)
            self._on_signal()
        if previous not in _DEFAULTS:
            if callable(previous):  # it may be ignored
                previous(number, frame)
        elif not is_first:
            signal.signal(number, previous)
            signal.raise_signal(number)
