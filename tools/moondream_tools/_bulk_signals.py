"""Signals during a bulk run: the first one stops gently, the second one soon, the third at once."""

from __future__ import annotations

import signal
import threading
from collections.abc import Generator
from contextlib import contextmanager
from types import FrameType


@contextmanager
def stop_by_signals(stop: threading.Event, abort: threading.Event) -> Generator[None]:
    """Set `stop` at the first SIGINT or SIGTERM inside a block, and `abort` at the second.

    A third one raises KeyboardInterrupt: to write the files may take long. A signal that is ignored
    stays ignored: a shell does this for programs in the background. Only the main thread gets
    signals, so in another one nothing changes.
    """

    def handle(_number: int, _frame: FrameType | None) -> None:
        if abort.is_set():
            raise KeyboardInterrupt
        (abort if stop.is_set() else stop).set()

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    numbers = [
        number
        for number in (signal.SIGINT, signal.SIGTERM)
        if signal.getsignal(number) is not signal.SIG_IGN
    ]
    before = [signal.signal(number, handle) for number in numbers]
    try:
        yield
    finally:
        for number, handler in zip(numbers, before, strict=True):
            signal.signal(number, handler)
