"""What the tests of recording share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from moondream_transports import (
    AsyncRecordingTransport,
    RecordingTransport,
)
from sansio_moondream import (
    Endpoint,
)
from sansio_moondream.recording import Recording
from tests.transports.adapters import Adapter

LOCAL = Endpoint("http://localhost:2020/v1")
HEAD = (("content-type", "text/event-stream"),)


def recording_of(adapter: Adapter, transport: Any, save: Callable[[Recording], object]) -> Any:
    return (AsyncRecordingTransport if adapter.is_async else RecordingTransport)(transport, save)
