"""What the waits of both backends have in common."""

from __future__ import annotations

import select
import selectors
from time import monotonic

READ_BYTES = 64 * 1024  # at most, in one read
LISTEN_BYTES = 64 * 1024  # are read at most before the request is sent whole

# Neither has a descriptor of its own, and poll knows no limit to the numbers of descriptors.
_Selector = getattr(selectors, "PollSelector", selectors.SelectSelector)


def remaining(deadline: float | None) -> float | None:
    """Return the seconds until a moment of `time.monotonic()`. Raises TimeoutError if it passed."""
    if deadline is None:
        return None
    if (seconds := deadline - monotonic()) <= 0:
        raise TimeoutError("nothing came in time")
    return seconds


def ready(descriptor: int, events: int, timeout: float | None) -> int:
    """Wait for events of a descriptor (`selectors.EVENT_READ`). Return those that came in time."""
    with _Selector() as selector:
        selector.register(descriptor, events)
        return sum(came for _, came in selector.select(timeout))


def is_readable(descriptor: int) -> bool:
    """Return whether a read would not wait: there are bytes, the end, or no connection."""
    if descriptor < 0:
        return True
    if (poll := getattr(select, "poll", None)) is None:
        return bool(ready(descriptor, selectors.EVENT_READ, 0))
    watched = poll()  # a selector takes several times as long, and each request asks
    watched.register(descriptor, select.POLLIN)
    return bool(watched.poll(0))
