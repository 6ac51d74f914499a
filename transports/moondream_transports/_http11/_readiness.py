"""What both backends have in common: limits, and what the system says of a socket."""

from __future__ import annotations

import selectors

READ_BYTES = 64 * 1024  # at most, in one read
LISTEN_BYTES = 64 * 1024  # that are read before the request is sent whole

# Neither has a descriptor of its own, and poll knows no limit to the numbers of descriptors.
_Selector = getattr(selectors, "PollSelector", selectors.SelectSelector)


def ready(descriptor: int, events: int, timeout: float | None) -> int:
    """Wait for events of a descriptor (`selectors.EVENT_READ`, `EVENT_WRITE`).

    Returns those that came in time. Raises ValueError for a closed descriptor.
    """
    with _Selector() as selector:
        selector.register(descriptor, events)
        return sum(came for _, came in selector.select(timeout))


def is_readable(descriptor: int) -> bool:
    """Return whether a read would not wait: there are bytes, the end, or no connection."""
    return descriptor < 0 or bool(ready(descriptor, selectors.EVENT_READ, 0))
