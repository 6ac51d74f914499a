"""What the tests of turns share: threads that take them."""

from __future__ import annotations

import threading
from collections.abc import Callable
from time import monotonic

from moondream_transports import Limiter, Turn
from tests.transports.adapters import LONGEST_WAIT


def until(is_so: Callable[[], object]) -> None:
    """Wait for another thread."""
    end = monotonic() + LONGEST_WAIT
    while not is_so():
        assert monotonic() < end
        threading.Event().wait(0.001)


def taken(limiter: Limiter) -> Turn:
    """A turn that was free."""
    turn = limiter.turn()
    assert turn.begin(0.0)
    return turn


def in_threads(*mains: Callable[[], object]) -> None:
    threads = [threading.Thread(target=main, daemon=True) for main in mains]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(LONGEST_WAIT)
        assert not thread.is_alive()
