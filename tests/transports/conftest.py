"""What must be true after each test of a transport."""

from __future__ import annotations

import gc
import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

_OPEN = Path("/proc/self/fd")


@pytest.fixture(autouse=True)
def no_descriptor_is_left() -> Iterator[None]:
    """Every socket that a test opened is closed when it ends."""
    if not _OPEN.is_dir():  # not Linux: nothing to look at
        yield
        return
    before = _sockets()
    yield
    left = _sockets() - before
    for _ in range(50):
        if not left:
            return
        gc.collect()  # costs as much as a test, so only now
        time.sleep(0.02)  # a server's thread may be closing its own
        left = _sockets() - before
    pytest.fail(f"sockets were left open: {left}")


def _sockets() -> set[str]:
    found: set[str] = set()
    for name in os.listdir(_OPEN):
        try:
            target = os.readlink(_OPEN / name)
        except OSError:
            continue
        if target.startswith("socket:"):
            found.add(target)
    return found
