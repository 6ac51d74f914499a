# Generated from ../_async/transport.py by `make generate`; do not edit.
"""Answer requests from recordings, without a network."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from moondream_transports._clock import Clock, RealClock
from moondream_transports._concurrency import require_sleep
from moondream_transports._transport import Timeouts
from moondream_transports.recording._files import AnyPath
from moondream_transports.replay._fragmentation import AnyFragmentation, Fragmentation
from moondream_transports.replay._player import Player
from moondream_transports.replay._store import NoRecording, Source, Store
from sansio_moondream import HTTPRequest
from sansio_moondream.recording import Match, Recording
from sansio_moondream.testing import BreakAt


class ReplayTransport:
    """Answer requests from recordings.

    Args:
        recordings: `Recording`s, files, or folders of files (`*.jsonl`, sorted by their numbers),
            or a single file or folder. Files are read while they are played.
        speed: how many times as fast as recorded, or None to play at once.
        match: how similar a request has to be to the recorded one. If several recordings match,
            they take turns.
        fragmentation: where the body is cut into chunks. A size in bytes, or offsets, can be given
            instead.
        seed: of the random fragmentation.
        break_at: where the replay breaks, and with which error.
        once: plays each recording once.
        clock: has the time, and sleeps. A client with this transport counts its deadlines on it.

    Raises TypeError for an argument of another type, such as `match="skill"` for `Match.SKILL`,
    ValueError for a speed or a size that is not above 0, RecordingError for a file that is
    not a recording, and OSError. An error in a later line of a file is raised when it is played.
    """

    def __init__(
        self,
        recordings: Iterable[Source] | AnyPath,
        speed: float | None = 1.0,
        *,
        match: Match = Match.EXACT,
        fragmentation: AnyFragmentation = Fragmentation.AS_RECORDED,
        seed: int = 0,
        break_at: BreakAt | None = None,
        once: bool = False,
        clock: Clock | None = None,
    ) -> None:
        self._store = Store(recordings, speed, match, fragmentation, seed, break_at, once)
        self.clock: Clock = clock or RealClock()
        require_sleep("clock.sleep", getattr(self.clock, "sleep", None))

    @property
    def unused(self) -> tuple[Recording | Path, ...]:
        """The recordings that have not answered a request."""
        return self._store.unused

    @property
    def misses(self) -> tuple[NoRecording, ...]:
        """The errors of the requests that no recording answered, even if they were caught."""
        return tuple(self._store.misses)

    def send(self, request: HTTPRequest, timeouts: Timeouts) -> ReplayStream:
        """Do as `Transport.send`.

        Raises NoRecording if no recording matches. It shows the nearest one and the differences.
        """
        connected_at = self.clock.monotonic()
        player = self._store.answer(request)
        try:
            self.clock.sleep(player.wait(timeouts.first_event))
            return ReplayStream(player, self.clock, connected_at)
        except BaseException:
            player.close()
            raise


class ReplayStream:
    """The recorded response of a `ReplayTransport`.

    Its attributes are those of `ByteStream`.
    """

    def __init__(self, player: Player, clock: Clock, connected_at: float) -> None:
        self._player = player
        self._clock = clock
        self.connected_at = connected_at
        self.status_code, self.headers = player.head()

    def read(self, timeout: float | None) -> bytes:
        """Do as `ByteStream.read`."""
        self._clock.sleep(self._player.wait(timeout))
        return self._player.read()

    def close(self) -> None:
        """Do as `ByteStream.close`. The file is closed."""
        self._player.close()
