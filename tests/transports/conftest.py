"""What must be true after each test of a transport."""

from __future__ import annotations

import gc
import time
from collections.abc import Iterator

import pytest

from moondream_transports import _deadlines
from moondream_transports.conformance._descriptors import open_sockets


@pytest.fixture
def patient_drain(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wait as long as needed for the end of a body, so that its connection is surely kept. A busy
    machine may take longer than the usual 20 ms.
    """
    monkeypatch.setattr(_deadlines, "_DRAIN_SECONDS", 10.0)


@pytest.fixture(autouse=True)
def no_descriptor_is_left() -> Iterator[None]:
    """Every socket that a test opened is closed when it ends."""
    before = open_sockets()
    yield
    left = open_sockets() - before
    for attempt in range(500):
        if not left:
            return
        if attempt % 100 == 0:  # it takes a while
            gc.collect()
        time.sleep(0.01)  # a server's thread may be closing its own
        left = open_sockets() - before
    pytest.fail(f"sockets were left open: {left}")
