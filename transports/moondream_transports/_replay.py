"""Transports that play recordings back, and never touch the network."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Iterator

from sansio_moondream import HTTPRequest
from sansio_moondream.recording import Ending, Piece, Recording, fault_error

from ._event_loop import sleep as sleep_async
from ._transport import Timeouts


class NoRecording(LookupError):
    """No recording answers the request. Deliberately no error of an exchange: a test that lacks a recording should fail."""


class ReplayTransport:
    """Answers requests from recordings: as recorded, or `speed` times as fast, or at once (None).

    A request is answered by a recording of the same skill (the last part of the path); where there are several, they take turns.
    `sleep` is what waits; give your own to replay on a clock of your own. Raises ValueError for a speed that is not above 0.
    """

    def __init__(self, recordings: Iterable[Recording], speed: float | None = 1.0, sleep: Callable[[float], object] = time.sleep) -> None:
        self._shelf = _Shelf(recordings, speed)
        self._sleep = sleep

    def send(self, request: HTTPRequest, timeouts: Timeouts) -> ReplayStream:
        """As `Transport.send` says. Raises NoRecording, which says what there is, where nothing matches."""
        playback = self._shelf.answer(request)
        if seconds := playback.wait(timeouts.first_event):
            self._sleep(seconds)
        return ReplayStream(playback, self._sleep)


class AsyncReplayTransport:
    """As `ReplayTransport`, for an `AsyncClient`, on asyncio and trio. `sleep` is awaited, for 0 seconds too."""

    def __init__(
        self, recordings: Iterable[Recording], speed: float | None = 1.0, sleep: Callable[[float], Awaitable[object]] = sleep_async
    ) -> None:
        self._shelf = _Shelf(recordings, speed)
        self._sleep = sleep

    async def send(self, request: HTTPRequest, timeouts: Timeouts) -> AsyncReplayStream:
        """As `AsyncTransport.send` says. Raises NoRecording, which says what there is, where nothing matches."""
        playback = self._shelf.answer(request)
        await self._sleep(playback.wait(timeouts.first_event))
        return AsyncReplayStream(playback, self._sleep)


class _Shelf:
    def __init__(self, recordings: Iterable[Recording], speed: float | None) -> None:
        if speed is not None and not speed > 0:
            raise ValueError(f"speed should be a number above 0, or None for at once, not {speed!r}")
        self._speed = speed
        self._recordings: dict[str, deque[Recording]] = {}
        for recording in recordings:
            self._recordings.setdefault(_skill(recording.header.path), deque()).append(recording)

    def answer(self, request: HTTPRequest) -> _Playback:
        skill = _skill(request.url)
        if skill not in self._recordings:
            there = ", ".join(sorted(self._recordings)) or "none at all"
            raise NoRecording(f"no recording answers {request.method} {request.url} (skill {skill}); there are recordings of: {there}")
        turns = self._recordings[skill]
        recording = turns[0]
        turns.rotate(-1)
        return _Playback(recording, self._speed)


class _Playback:
    """A recording that is being played, without the waiting: `wait` says how long, then `head` or `read` gives what there is."""

    def __init__(self, recording: Recording, speed: float | None) -> None:
        self._speed = speed
        self._header = recording.header
        self._ending = recording.ending
        self._lines: Iterator[Piece | Ending] = iter((*recording.pieces, recording.ending))
        self._next = next(self._lines)
        self._left = recording.header.seconds if recording.header.status_code is not None else recording.ending.seconds
        self._in_time = True
        self.began_at = time.monotonic()

    def wait(self, timeout: float | None) -> float:
        """Seconds until the next line, or until `timeout`, whichever comes first."""
        seconds = 0.0 if self._speed is None else self._left / self._speed
        self._in_time = timeout is None or seconds <= timeout
        if timeout is None or self._in_time:
            self._left = 0.0
            return seconds
        self._left -= timeout * (self._speed or 0)
        return timeout

    def head(self) -> tuple[int, tuple[tuple[str, str], ...]]:
        self._check()
        if self._header.status_code is None:
            raise fault_error(self._ending) or AssertionError("a recording without a head ends in a fault")
        self._left = self._next.seconds
        return self._header.status_code, self._header.response_headers

    def read(self) -> bytes:
        """The pieces as they were recorded, then the ending, again and again."""
        self._check()
        line = self._next
        if isinstance(line, Piece):
            self._next = next(self._lines)
            self._left = self._next.seconds
            return line.data
        if error := fault_error(line):
            raise error
        return b""

    def _check(self) -> None:
        if not self._in_time:
            raise TimeoutError("the recording has nothing in that time")


class ReplayStream:
    """A recorded response of `ReplayTransport`."""

    def __init__(self, playback: _Playback, sleep: Callable[[float], object]) -> None:
        self._playback = playback
        self._sleep = sleep
        self.connected_at = playback.began_at
        self.status_code, self.headers = playback.head()

    def read(self, timeout: float | None) -> bytes:
        """As `ByteStream.read` says."""
        if seconds := self._playback.wait(timeout):
            self._sleep(seconds)
        return self._playback.read()

    def close(self) -> None:
        """As `ByteStream.close` says; there is nothing to close."""


class AsyncReplayStream:
    """A recorded response of `AsyncReplayTransport`."""

    def __init__(self, playback: _Playback, sleep: Callable[[float], Awaitable[object]]) -> None:
        self._playback = playback
        self._sleep = sleep
        self.connected_at = playback.began_at
        self.status_code, self.headers = playback.head()

    async def read(self, timeout: float | None) -> bytes:
        """As `AsyncByteStream.read` says."""
        await self._sleep(self._playback.wait(timeout))
        return self._playback.read()

    async def aclose(self) -> None:
        """As `AsyncByteStream.aclose` says; there is nothing to close."""


def _skill(address: str) -> str:
    """The last part of a path, the same whatever the endpoint."""
    return address.rpartition("/")[2]
