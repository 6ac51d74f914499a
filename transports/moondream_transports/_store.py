"""The recordings of a replay, which of them answers a request, and which were asked for."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Generator, Iterable, Iterator
from pathlib import Path
from threading import Lock
from typing import TypeAlias, cast

from sansio_moondream import HTTPRequest
from sansio_moondream.recording import (
    Chunk,
    Ending,
    Line,
    Match,
    Recording,
    RecordingHeader,
    find_matches,
)
from sansio_moondream.testing import BreakAt

from ._fragmentation import End, Fragmentation, chunk_sizes, recut, with_end, with_fault
from ._player import Player
from ._recording_files import AnyPath, read_lines, recordings_in

Source: TypeAlias = Recording | AnyPath


class NoRecording(LookupError):
    """No recording answers the request.

    Deliberately no error of an exchange: a test that lacks a recording should fail.
    """


class Store:
    """Recordings, each a value or a file, in the order in which they are played.

    `answer` may be called by several threads.
    """

    def __init__(
        self,
        recordings: Iterable[Source] | AnyPath,
        speed: float | None,
        match: Match,
        cut: Fragmentation | Collection[int],
        seed: int,
        fault: BreakAt | None,
        once: bool,
    ) -> None:
        if speed is not None and not speed > 0:
            raise ValueError(
                f"speed should be a number above 0, or None for at once, not {speed!r}"
            )
        self._speed = speed
        self._match = match
        self._cut = cut
        self._seed = seed
        self._fault = fault
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
        self.misses: list[NoRecording] = []

    @property
    def unused(self) -> tuple[Recording | Path, ...]:
        """What was never played."""
        return tuple(
            source for place, source in enumerate(self._sources) if not self._played[place]
        )

    def answer(self, request: HTTPRequest) -> Player:
        """The recording that answers a request, at its beginning. Raises NoRecording."""
        asked = RecordingHeader.of(request)
        with self._lock:
            place = self._choose(asked)
            number = self._played.total()
            self._played[place] += 1
        return self._play(self._sources[place], number)

    def _choose(self, asked: RecordingHeader) -> int:
        matches = find_matches(asked, self._headers, self._match)
        left = [place for place in matches.found if not (self._once and self._played[place])]
        if left:
            return min(
                left, key=self._played.__getitem__
            )  # they take turns, the first of them first
        words = f"no recording answers {asked.method} {asked.path} (match: {self._match.value})"
        if matches.found:
            words += f": the {len(matches.found)} that would were played, and each is played once"
        elif matches.nearest is None:
            words += ": there are none at all"
        else:
            nearest = self._sources[matches.nearest]
            name = repr(nearest) if isinstance(nearest, Recording) else str(nearest)
            words += "\n  ".join([f"; the nearest is {name}, where", *matches.differences])
        miss = NoRecording(words)
        self.misses.append(miss)
        raise miss

    def _play(self, source: Recording | Path, number: int) -> Player:
        file = _lines(source)
        header = cast("RecordingHeader", next(file))
        lines = with_end(cast("Iterator[Chunk | Ending]", file))
        if self._fault is not None and self._fault.takes_the_head:
            header, lines = (
                RecordingHeader(header.method, header.path),
                iter((End(header.seconds, self._fault.error),)),
            )
        elif self._fault is not None:
            lines = with_fault(lines, self._fault)
        if (sizes := chunk_sizes(self._cut, self._seed, number)) is not None:
            lines = recut(lines, sizes)
        return Player(header, lines, self._speed, file.close)


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
        else:
            yield path


def _header(source: Recording | Path) -> RecordingHeader:
    lines = _lines(source)
    header = cast("RecordingHeader", next(lines))
    lines.close()
    return header
