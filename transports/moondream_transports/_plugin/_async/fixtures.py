"""The async fixtures that replay and record. `recordings.py` has their rules.

PYTEST_DONT_REWRITE: nothing here asserts, and pytest warns about a plugin that is already imported.
"""

from __future__ import annotations

import pytest

from moondream_transports._defaults import async_default_transport
from moondream_transports._plugin.recordings import HINT, recorded_test
from moondream_transports._transport import AsyncByteStream, AsyncTransport, Timeouts
from moondream_transports.recording._async.transport import AsyncRecordingTransport
from moondream_transports.replay._async.transport import AsyncReplayTransport
from moondream_transports.replay._store import NoRecording
from sansio_moondream import HTTPRequest


@pytest.fixture
def moondream_async_network() -> AsyncTransport:
    """The transport that `moondream_async_transport` records through.

    It reaches the network. Override it to use another one.
    """
    return async_default_transport(max_idle=0)


@pytest.fixture
def moondream_async_transport(request: pytest.FixtureRequest) -> AsyncTransport:
    """A transport for an `AsyncClient` that replays the recordings beside the test.

    It records what `--moondream-record` allows.
    """
    test = recorded_test(request)
    recording = None
    if test.records:
        network = request.getfixturevalue("moondream_async_network")
        recording = AsyncRecordingTransport(network, test.recorded.append, test.secrets)
        if not test.replays:
            return recording
    replay = AsyncReplayTransport(test.files, **test.options)
    test.transports.append(replay)
    return _AsyncReplayOrRecord(replay, recording)


class _AsyncReplayOrRecord:
    """Replay what is recorded, and record the rest if that is allowed."""

    def __init__(self, replay: AsyncReplayTransport, recording: AsyncTransport | None) -> None:
        self.clock = replay.clock
        self._replay = replay
        self._recording = recording

    async def send(self, request: HTTPRequest, timeouts: Timeouts) -> AsyncByteStream:
        try:
            return await self._replay.send(request, timeouts)
        except NoRecording as miss:
            if self._recording is None:
                miss.add_note(HINT)
                raise
        return await self._recording.send(request, timeouts)
