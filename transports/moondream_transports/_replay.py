"""A transport that plays recordings back, and never touches the network."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator

from sansio_moondream import HTTPRequest, RemoteProtocolError
from sansio_moondream.recording import Ending, Piece, Recording, fault_error

from ._transport import Timeouts


class NoRecording(LookupError):
    """No recording answers the request. Deliberately no error of an exchange: a test that lacks a recording should fail."""


class ReplayTransport:
    """Answers requests from recordings: as recorded, or `speed` times as fast, or at once (None).

    A request is answered by a recording of the same skill (the last part of the path); where there are several, they take turns.
    `sleep` is what waits; give your own to replay on a clock of your own. Raises ValueError for a speed that is not above 0.
    """

    def __init__(
        self, recordings: Iterable[Recording], speed: float | None = 1.0, sleep: Callable[[float], object] = time.sleep
    ) -> None:
        if speed is not None and not speed > 0:
            raise ValueError(f"speed should be a number above 0, or None for at once, not {speed!r}")
        self._speed = speed
        self._sleep = sleep
        self._recordings: dict[str, deque[Recording]] = {}
        for recording in recordings:
            self._recordings.setdefault(_skill(recording.header.path), deque()).append(recording)

    def send(self, request: HTTPRequest, timeouts: Timeouts) -> ReplayStream:
        """As `Transport.send` says. Raises NoRecording, which says what there is, where nothing matches."""
        skill = _skill(request.url)
        if skill not in self._recordings:
            there = ", ".join(sorted(self._recordings)) or "none at all"
            raise NoRecording(f"no recording answers {request.method} {request.url} (skill {skill}); there are recordings of: {there}")
        turns = self._recordings[skill]
        recording = turns[0]
        turns.rotate(-1)
        return ReplayStream(recording, _Pace(self._speed, self._sleep), timeouts)


class ReplayStream:
    """A recorded response of `ReplayTransport`."""

    connected_at = None

    def __init__(self, recording: Recording, pace: _Pace, timeouts: Timeouts) -> None:
        header = recording.header
        self._pace = pace
        self._lines: Iterator[Piece | Ending] = iter((*recording.pieces, recording.ending))
        self._next: Piece | Ending = next(self._lines)
        if header.status_code is None:
            self._pace.start(self._next.seconds)
            self._pace.wait(timeouts.first_event)
            self._end(recording.ending)
            raise AssertionError
