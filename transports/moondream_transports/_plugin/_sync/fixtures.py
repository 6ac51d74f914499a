# Generated from ../_async/fixtures.py by `make generate`; do not edit.
"""The fixtures that replay and record. `recordings.py` has their rules.

PYTEST_DONT_REWRITE: nothing here asserts, and pytest warns about a plugin that is already imported.
"""

from __future__ import annotations

import pytest

from moondream_transports._defaults import default_transport
from moondream_transports._plugin.recordings import HINT, recorded_test
from moondream_transports._transport import ByteStream, Timeouts, Transport
from moondream_transports.recording._sync.transport import RecordingTransport
from moondream_transports.replay._store import NoRecording
from moondream_transports.replay._sync.transport import ReplayTransport
from sansio_moondream import HTTPRequest


@pytest.fixture
def moondream_network() -> Transport:
    """The transport that `moondream_transport` records through.

    It reaches the network. Override it to use another one.
    """
    return default_transport(max_idle=0)


@pytest.fixture
def moondream_transport(request: pytest.FixtureRequest) -> Transport:
    """A transport for a `Client` that replays the recordings beside the test.

    It records what `--moondream-record` allows.
    """
    test = recorded_test(request)
    recording = None
    if test.records:
        network = request.getfixturevalue("moondream_network")
        recording = RecordingTransport(network, test.recorded.append, test.secrets)
        if not test.replays:
            return recording
    replay = ReplayTransport(test.files, **test.options)
    test.transports.append(replay)
    return _ReplayOrRecord(replay, recording)


class _ReplayOrRecord:
    """Replay what is recorded, and record the rest if that is allowed."""

    def __init__(self, replay: ReplayTransport, recording: Transport | None) -> None:
        self.clock = replay.clock
        self._replay = replay
        self._recording = recording

    def send(self, request: HTTPRequest, timeouts: Timeouts) -> ByteStream:
        try:
            return self._replay.send(request, timeouts)
        except NoRecording as miss:
            if self._recording is None:
                miss.add_note(HINT)
                raise
        return self._recording.send(request, timeouts)
