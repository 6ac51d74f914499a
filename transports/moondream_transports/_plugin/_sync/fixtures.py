# Generated from ../_async/fixtures.py by `make generate`; do not edit.
"""The fixtures that replay and record. `recordings.py` has their rules.

PYTEST_DONT_REWRITE: nothing here asserts, and pytest warns about a plugin that is already imported.
"""

from __future__ import annotations

from typing import Any

import pytest

from moondream_transports._deadlines import after, earlier
from moondream_transports._defaults import default_transport
from moondream_transports._http11.waiting import remaining
from moondream_transports._plugin.recordings import RecordedTest, recorded_test
from moondream_transports._transport import ByteStream, Timeouts, Transport
from moondream_transports.recording._recorder import Save
from moondream_transports.recording._sync.transport import RecordingTransport
from moondream_transports.replay._store import NoRecording
from moondream_transports.replay._sync.transport import ReplayTransport
from sansio_moondream import HTTPRequest
from sansio_moondream.recording import Match, Recording


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
    network = request.getfixturevalue("moondream_network") if test.records else None
    return _ReplayOrRecord(test, network)


class _ReplayOrRecord:
    """Replay what is recorded, and record the rest if that is allowed."""

    def __init__(self, test: RecordedTest, network: Transport | None) -> None:
        self._test = test
        self._network = network
        self._replay = ReplayTransport(test.files, **test.options)
        self.clock = self._replay.clock
        test.transports.append(self._replay)

    def send(self, request: HTTPRequest, timeouts: Timeouts) -> ByteStream:
        try:
            return self._replay.send(request, timeouts)
        except NoRecording as miss:
            if self._network is None:
                miss.add_note(self._test.hint)
                raise
        recorded = self._test.recorded
        if not self._test.has_break:
            return self._record(self._network, recorded.append).send(request, timeouts)
        whole: list[Recording] = []
        try:
            _read_whole(self._record(self._network, whole.append), request, timeouts)
        except Exception as error:
            self._test.failures.append(f"{type(error).__name__}: {error}")
            raise
        recorded += whole
        options: dict[str, Any] = {**self._test.options, "match": Match.SKILL}
        return ReplayTransport(whole, **options).send(request, timeouts)

    def _record(self, network: Transport, save: Save) -> RecordingTransport:
        return RecordingTransport(network, save, self._test.secrets)


def _read_whole(transport: Transport, request: HTTPRequest, timeouts: Timeouts) -> None:
    end = after(timeouts.total)
    stream = transport.send(request, timeouts)
    try:
        while stream.read(earlier(timeouts.idle, remaining(end))):
            pass
    finally:
        stream.close()
