"""Keep a test from the network, whatever it uses.

1. The interpreter reports each connection, look-up of a name and datagram to an audit hook
   (`sys.addaudithook`), which may refuse it. Nothing is replaced.
2. A hook cannot be removed. So it is added when a test needs it first, and does nothing between
   two such tests.
3. Libraries that make connections without Python's sockets, such as uvloop, and other processes
   are not kept from the network.

PYTEST_DONT_REWRITE: nothing here asserts, and pytest warns about a plugin that is already imported.
"""

from __future__ import annotations

import sys
from collections.abc import Generator
from contextlib import contextmanager
from functools import cache

_EVENTS = {  # with the place of the address among the arguments
    "socket.connect": 1,
    "socket.getaddrinfo": 0,
    "socket.gethostbyaddr": 0,
    "socket.gethostbyname": 0,
    "socket.sendmsg": 1,
    "socket.sendto": 1,
}
_attempts: list[str] | None = None  # of the test that runs


class NetworkBlocked(LookupError):
    """The test reached for the network, which `block_network` forbids.

    It is neither a `MoondreamError` nor an OSError, so that no client takes it for a fault of the
    network.
    """


@contextmanager
def blocked_network() -> Generator[list[str], None, None]:
    """Raise NetworkBlocked for each attempt to reach the network. Gives a list of them."""
    global _attempts  # noqa: PLW0603 - there is one hook for the process
    _add_hook()
    before, _attempts = _attempts, []
    try:
        yield _attempts
    finally:
        _attempts = before


@cache
def _add_hook() -> None:
    sys.addaudithook(_refuse)


def _refuse(event: str, arguments: tuple[object, ...]) -> None:
    if _attempts is not None and event in _EVENTS:
        attempt = f"{event}({arguments[_EVENTS[event]]!r})"
        _attempts.append(attempt)
        raise NetworkBlocked(f"block_network: the test may not reach the network: {attempt}")
