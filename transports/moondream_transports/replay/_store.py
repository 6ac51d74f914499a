"""The recordings of a replay: which of them answers a request, and which were used."""

from __future__ import annotations

from collections import Counter
from collections.abc import Generator, Iterable, Iterator
from itertools import count
from pathlib import Path
from threading import Lock
from typing import Any, TypeAlias, cast

from moondream_transports.recording._files import AnyPath, read_lines, recordings_in
from sansio_moondream import HTTPRequest
from sansio_moondream.recording import (
    Chunk,
    Ending,
    Line,
    Match,
    Matches,
    Recording,
    RecordingHeader,
    find_matches,
)
from sansio_moondream.recording._matching import matching
from sansio_moondream.testing import BreakAt

from ._fragmentation import (
    AnyFragmentation,
    End,
    Fragmentation,
    break_lines,
    chunk_sizes,
    end_lines,
    fragment_lines,
)
from ._player import Player

Source: TypeAlias = Recording | AnyPath
"""A recording, or a file or folder of them."""


class NoRecording(LookupError):
    """No recording answers the request.

    It is not a `MoondreamError`, so that a test that lacks a recording fails.
    """


class Store:
    """Recordings in the order in which they are played. Each is a value or a file.

    Several threads may call `answer`.

    The arguments are those of `ReplayTransport`.

    Attributes:
        misses: the errors of the requests that no recording answered.
    """

    def __init__(
        self,
        recordings: Iterable[Source] | AnyPath,
        speed: float | None = 1.0,
        match: Match = Match.EXACT,
        fragmentation: AnyFragmentation = Fragmentation.AS_RECORDED,
        seed: int = 0,
        break_at: BreakAt | None = None,
        once: bool = False,
    ) -> None:
        _require("speed", speed, int | float | None, "a number")
        _require("match", match, Match, "a Match, such as Match.SKILL")
        _require("break_at", break_at, BreakAt | None, "a BreakAt(error, ...)")
        if speed is not None and not speed > 0:
            raise ValueError(f"speed should be above 0, or None to play at once, not {speed!r}")
        chunk_sizes(fragmentation, seed, 0)  # raises now, not at the first request
        self._speed = speed
        self._match = match
        self._fragmentation = fragmentation
        self._seed = seed
        self._break_at = break_at
        self._once = once
        given = (
            [recordings]
            if isinstance(recordings, str) or not isinstance(recordings, Iterable)
            else recordings
        )
        self._sources = tuple(_each(given))
        self._headers = [_header(source) for source in self._sources]
        self._lock = Lock()
        self._played: Counter[int] = Counter()
        self._numbers = count()
        self.misses: list[NoRecording] = []

    @property
    def unused(self) -> tuple[Recording | Path, ...]:
        """The recordings that were never played."""
        return tuple(
            source for place, source in enumerate(self._sources) if not self._played[place]
        )

    def answer(self, request: HTTPRequest) -> Player:
        """Return a player of the recording that answers `request`. Raises NoRecording."""
        asked = RecordingHeader.of(request)
        index = self.choose(asked, self._match)
        if index is None:
            raise self._miss(asked)
        return play(
            self._sources[index],
            self._speed,
            fragmentation=self._fragmentation,
            seed=self._seed,
            number=next(self._numbers),
            break_at=self._break_at,
        )

    def choose(self, asked: RecordingHeader, match: Match) -> int | None:
        """Return the index of a recording for `asked`, by `match`, or None. Those that match take
        turns.
        """
        found = matching(asked, self._headers, match)
        with self._lock:
            left = [index for index in found if not (self._once and self._played[index])]
            if not left:
                return None
            index = min(left, key=self._played.__getitem__)
            self._played[index] += 1
            return index

    def matches(self, asked: RecordingHeader, match: Match) -> Matches:
        """Return all that match `asked` by `match`, or the nearest: for a message."""
        return find_matches(asked, self._headers, match)

    def _miss(self, asked: RecordingHeader) -> NoRecording:
        matches = self.matches(asked, self._match)
        message = f"no recording answers {asked.method} {asked.path} (match: {self._match.value})"
        if matches.found:
            number = len(matches.found)
            message += f": all matching recordings ({number}) were played, each once"
        elif matches.nearest is None:
            message += ": there are no recordings"
        else:
            nearest = self._sources[matches.nearest]
            name = repr(nearest) if isinstance(nearest, Recording) else str(nearest)
            message += "\n  ".join([f"; the nearest is {name}, where", *matches.differences])
        miss = NoRecording(message)
        self.misses.append(miss)
        return miss


def _require(name: str, value: object, kind: Any, should: str) -> None:
    if not isinstance(value, kind):
        raise TypeError(f"{name} should be {should}, not {value!r}")


def play(
    source: Recording | Path,
    speed: float | None = 1.0,
    *,
    fragmentation: AnyFragmentation = Fragmentation.AS_RECORDED,
    seed: int = 0,
    number: int = 0,
    break_at: BreakAt | None = None,
) -> Player:
    """Return a player of one recording.

    Args:
        source: the recording, or its file.
        speed: how many times as fast as recorded, or None to play at once.
        fragmentation: where the body is cut into chunks.
        seed: of the random fragmentation.
        number: of the exchange in a run. Each has a random fragmentation of its own.
        break_at: where the replay breaks, and with which error.
    """
    file = _lines(source)
    header = cast("RecordingHeader", next(file))
    lines = end_lines(cast("Iterator[Chunk | Ending]", file))
    if break_at is not None and break_at.before_head:
        lines = iter((End(header.seconds, break_at.error),))
        header = RecordingHeader(header.method, header.path)
    elif break_at is not None:
        lines = break_lines(lines, break_at)
    if (sizes := chunk_sizes(fragmentation, seed, number)) is not None:
        lines = fragment_lines(lines, sizes)
    return Player(header, lines, speed, file.close)


def _lines(source: Recording | Path) -> Generator[Line, None, None]:
    if isinstance(source, Path):
        return read_lines(source)
    return _held_lines(source)


def _held_lines(recording: Recording) -> Generator[Line, None, None]:
    yield recording.header
    yield from recording.chunks
    yield recording.ending


def _each(recordings: Iterable[Source]) -> Iterator[Recording | Path]:
    for source in recordings:
        if isinstance(source, Recording):
            yield source
        elif (path := Path(source)).is_dir():
            yield from recordings_in(path)
        else:  # a link that the caller names is the caller's choice
            yield path.resolve() if path.is_symlink() else path


def _header(source: Recording | Path) -> RecordingHeader:
    lines = _lines(source)
    header = cast("RecordingHeader", next(lines))
    lines.close()
    return header
