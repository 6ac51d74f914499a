"""Signals that ask a server to stop, heard beside the handlers that the server has installed.

1. A handler of the server is called at once, and the drain begins: the server stops to accept
   connections, and waits for those that it has.
2. Without one, the default action would end the process. So it waits until the drain has ended.
3. A second signal ends the process by the default action, too.
"""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable, Iterable
from threading import current_thread, main_thread
from types import FrameType
from typing import Any, Final

from moondream_transports._concurrency import Flag

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
        self._waiting: set[int] = set()  # whose default action waits for the drain
        self._has_acted = Flag()
        self.received: list[int] = []

    def __enter__(self) -> HandledSignals:
        if current_thread() is main_thread():
            for number in self._numbers:
                self._previous[number] = signal.signal(number, self._handle)
        return self

    def __exit__(self, *_: object) -> None:
        self._waiting.clear()
        for number, previous in self._previous.items():
            if signal.getsignal(number) == self._handle:
                signal.signal(number, previous)

    def act(self) -> None:
        """Have the default action follow, if no handler of the server was called."""
        for number in self.received:
            while number in self._waiting:
                if sys.platform == "win32":
                    signal.raise_signal(number)
                else:
                    signal.pthread_kill(main_thread().ident or 0, number)
                # A main thread that was about to wait does not notice its first signal.
                self._has_acted.wait(0.05)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        previous = self._previous[number]
        is_default = previous in _DEFAULTS
        if number not in self.received:
            self.received.append(number)
            if is_default:
                self._waiting.add(number)
            self._on_signal()
        elif is_default:
            self._waiting.discard(number)
            self._has_acted.set()
            signal.signal(number, previous)
            signal.raise_signal(number)
        if not is_default and callable(previous):  # it may be ignored
            previous(number, frame)
