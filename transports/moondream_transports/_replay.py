"""Transports that play recordings back, and never touch the network."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterable
from pathlib import Path
from typing import Generic, TypeVar

from sansio_moondream import HTTPRequest
from sansio_moondream.recording import Match, Recording
from sansio_moondream.testing import BreakAt

from ._clock import AsyncClock, Clock, RealAsyncClock
from ._fragmentation import Fragmentation
from ._player import Player
from ._recording_files import AnyPath
from ._store import NoRecording, Source, Store
from ._transport import Timeouts

C = TypeVar("C")


class _AnyReplayTransport(Generic[C]):
    def __init__(
        self,
        recordings: Iterable[Source] | AnyPath,
        speed: float | None = 1.0,
        *,
        match: Match = Match.EXACT,
        cut: Fragmentation | Collection[int] = Fragmentation.AS_RECORDED,
        seed: int = 0,
        fault: BreakAt | None = None,
        once: bool = False,
        clock: C | None = None,
    ) -> None:
        self._store = Store(recordings, speed, match, cut, seed, fault, once)
        self.clock: C = self._real_clock() if clock is None else clock

    def _real_clock(self) -> C:
        raise NotImplementedError

    @property
    def unused(self) -> tuple[Recording | Path, ...]:
        """The recordings that answered no request yet."""
        return self._store.unused

    @property
    def misses(self) -> tuple[NoRecording, ...]:
        """What was raised for requests that no recording answered, whatever became of it."""
        return tuple(self._store.misses)


class ReplayTransport(_AnyReplayTransport[Clock]):
    """Answers requests from recordings: as recorded, or `speed` times as fast, or at once (None).

    `recordings` are `Recording`s, files, or folders of files (`*.jsonl`, by their numbers), or just
    one file or folder. Files are read while they are played. A request is answered by a recording
    that is as like it as `match` says; where there are several, they take turns, and with `once`
    each is played once. `cut` and `fault` make other chunks of the recorded ones, and break them;
    what is left to chance is the same for the same `seed`. The `clock` is what waits, and a client
    with this transport counts its deadlines on it.

    Raises ValueError for a speed that is not above 0, RecordingError for a file that is no
    recording, and OSError. What is wrong in a file behind its first line is raised when it is
    played."""

    def _real_clock(self) -> Clock:
        return time

    def send(self, request: HTTPRequest, timeouts: Timeouts) -> ReplayStream:
        """As `Transport.send` says.

        Raises NoRecording, which shows the nearest recording and what differs, where nothing
        matches.
        """
        began = self.clock.monotonic()
        playback = self._store.answer(request)
        try:
            if seconds := playback.wait(timeouts.first_event):
                self.clock.sleep(seconds)
            return ReplayStream(playback, self.clock, began)
        except BaseException:
            playback.close()
            raise


class AsyncReplayTransport(_AnyReplayTransport[AsyncClock]):
    """As `ReplayTransport`, for an `AsyncClient`, on asyncio and trio."""

    def _real_clock(self) -> AsyncClock:
        return RealAsyncClock()

    async def send(self, request: HTTPRequest, timeouts: Timeouts) -> AsyncReplayStream:
        """As `AsyncTransport.send` says.

        Raises NoRecording, which shows the nearest recording and what differs, where nothing
        matches.
        """
        began = self.clock.monotonic()
        playback = self._store.answer(request)
        try:
            await self.clock.sleep(playback.wait(timeouts.first_event))
            return AsyncReplayStream(playback, self.clock, began)
        except BaseException:
            playback.close()
            raise


class ReplayStream:
    """A recorded response of `ReplayTransport`."""

    def __init__(self, playback: Player, clock: Clock, connected_at: float) -> None:
        self._player = playback
        self._clock = clock
        self.connected_at = connected_at
        self.status_code, self.headers = playback.head()

    def read(self, timeout: float | None) -> bytes:
        """As `ByteStream.read` says."""
        if seconds := self._player.wait(timeout):
            self._clock.sleep(seconds)
        return self._player.read()

    def close(self) -> None:
        """As `ByteStream.close` says: the file is let go."""
        self._player.close()


class AsyncReplayStream:
    """A recorded response of `AsyncReplayTransport`."""

    def __init__(self, playback: Player, clock: AsyncClock, connected_at: float) -> None:
        self._player = playback
        self._clock = clock
        self.connected_at = connected_at
        self.status_code, self.headers = playback.head()

    async def read(self, timeout: float | None) -> bytes:
        """As `AsyncByteStream.read` says."""
        await self._clock.sleep(self._player.wait(timeout))
        return self._player.read()

    async def aclose(self) -> None:
        """As `AsyncByteStream.aclose` says: the file is let go."""
        self._player.close()
