"""A transport that plays recordings back, and never touches the network."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator

from sansio_moondream import HTTPRequest
from sansio_moondream.recording import Ending, Piece, Recording, fault_error

from ._transport import Timeouts


class NoRecording(LookupError):
    """No recording answers the request. Deliberately no error of an exchange: a test that lacks a recording should fail."""


class ReplayTransport:
    """Answers requests from recordings: as recorded, or `speed` times as fast, or at once (None).

    A request is answered by a recording of the same skill (the last part of the path); where there are several, they take turns.
    `sleep` is what waits; give your own to replay on a clock of your own. Raises ValueError for a speed that is not above 0.
    """

    def __init__(self, recordings: Iterable[Recording], speed: float | None = 1.0, sleep: Callable[[float], object] = time.sleep) -> None:
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

    def __init__(self, recording: Recording, pace: _Pace, timeouts: Timeouts) -> None:
        header = recording.header
        self.connected_at = time.monotonic()
        self._pace = pace
        self._lines: Iterator[Piece | Ending] = iter((*recording.pieces, recording.ending))
        self._next = next(self._lines)
        self.headers = header.response_headers
        pace.left = header.seconds if header.status_code is not None else recording.ending.seconds
        pace.wait(timeouts.first_event)
        if header.status_code is None:
            raise fault_error(recording.ending) or AssertionError("a recording without a head ends in a fault")
        self.status_code = header.status_code
        pace.left = self._next.seconds

    def read(self, timeout: float | None) -> bytes:
        """As `ByteStream.read` says: the pieces as they were recorded, then the ending, again and again."""
        self._pace.wait(timeout)
        line = self._next
        if isinstance(line, Piece):
            self._next = next(self._lines)
            self._pace.left = self._next.seconds
            return line.data
        if error := fault_error(line):
            raise error
        return b""

    def close(self) -> None:
        """As `ByteStream.close` says; there is nothing to close."""


class _Pace:
    """Waits for what is `left` until the next line, in recorded seconds."""

    def __init__(self, speed: float | None, sleep: Callable[[float], object]) -> None:
        self.left = 0.0
        self._speed = speed
        self._sleep = sleep

    def wait(self, timeout: float | None) -> None:
        if self._speed is None:
            return
        seconds = self.left / self._speed
        if timeout is not None and seconds > timeout:
            self._sleep(timeout)
            self.left -= timeout * self._speed
            raise TimeoutError("the recording has nothing in that time")
        if seconds:
            self._sleep(seconds)
        self.left = 0.0


def _skill(address: str) -> str:
    """The last part of a path, the same whatever the endpoint."""
    return address.rpartition("/")[2]
