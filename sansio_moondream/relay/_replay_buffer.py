"""The records of one stream, for readers who come early, late or again.

1. Records have the ids 1, 2, 3, … in the order of `append`. `end` adds the last one, which reports
   that the stream is complete or has failed. The buffer does not look into records.
2. A reader joins behind an id. It gets each record behind that id once, in order, and then
   FINISHED. Or it gets some of them and then its one error, which stays.
3. Readers share the bytes. A record is in memory while the buffer keeps it, and while a reader has
   yet to take it.
4. The buffer keeps the newest records, up to `max_bytes`, and the last one whatever its size. A
   reader that would need an older one is refused by `gone`. One that has joined before gets all.
5. What was appended after a reader joined, and what the reader has not taken, waits for it. When
   more than one record and more than `max_waiting` bytes wait, the reader is too slow. It is
   dropped: its bytes are released, and its next call raises `too_slow`. Nobody else notices. So the
   backlog that a reader finds does not count, but the reader has to get through it before too much
   is appended. One record is never too much, however large it is.
6. After the end nothing is appended, so only time can make a reader too slow. Readers can join for
   `keep_seconds`. Then the buffer closes: it releases its records, and refuses readers by
   `not_found`. Those who have joined have as many seconds again. Then they are dropped as too slow.
   So each has at least `keep_seconds`, and nothing is in memory longer than twice that time.
7. Nothing here has a clock. `deadline` is when `expire` has something to do. Times are seconds of
   any clock that never goes back.
8. A buffer and its readers are for one thread at a time.
"""

from __future__ import annotations

from collections import deque
from typing import Final

from msgspec import Struct

from sansio_moondream._errors import LocalProtocolError, MoondreamError
from sansio_moondream._events import FINISHED, NEED_DATA, Signal
from sansio_moondream._server.refusals import refusal

from ._refusals import gone, not_found, too_slow

_NEVER: Final = float("inf")


class ReplayLimits(Struct, frozen=True):
    """How much a `ReplayBuffer` keeps, and how long.

    Attributes:
        max_bytes: of records that are kept for readers who come late.
        max_waiting: bytes that may wait for one reader, before it is too slow.
        keep_seconds: how long the records are kept after the end.

    Raises ValueError for a limit below 0.
    """

    max_bytes: int = 8 * 1024 * 1024
    max_waiting: int = 1024 * 1024
    keep_seconds: float = 60.0

    def __post_init__(self) -> None:
        for name in self.__struct_fields__:
            value = getattr(self, name)
            if not value >= 0:
                raise ValueError(f"ReplayLimits.{name} must be at least 0, not {value!r}")


class ReplayBuffer:
    """Keep the records of one stream, and give them to any number of readers.

    Methods that keep a time take `now`, in seconds of any clock that does not go back. A `record`
    is the bytes of one record, with its id and its blank line.

    Args:
        limits: what is kept, and how long.
    """

    def __init__(self, limits: ReplayLimits | None = None) -> None:
        self._limits = limits or ReplayLimits()
        self._chain = chain = _Chain()
        self._kept = deque([chain.last])  # The first of them is released, or the beginning.
        self._closes_at = self._drops_at = _NEVER

    @property
    def last_id(self) -> int:
        """The id of the last record, or 0 before the first one."""
        return self._chain.last.id

    @property
    def kept_bytes(self) -> int:
        """The size of the records that are kept for new readers."""
        return self._chain.last.end - self._kept[0].end

    @property
    def readers(self) -> int:
        """How many readers are there: those who neither finished, nor left, nor were dropped."""
        return len(self._chain.places)

    @property
    def is_ended(self) -> bool:
        """Whether the last record is there."""
        return self._chain.is_ended

    @property
    def is_closed(self) -> bool:
        """Whether the records are released, and no reader can join any more."""
        return self._drops_at < _NEVER

    @property
    def deadline(self) -> float | None:
        """When to call `expire`, or None while it has nothing to do."""
        if self.is_closed:
            return self._drops_at if self._chain.places else None
        return self._closes_at if self.is_ended else None

    def append(self, record: bytes) -> int:
        """Add a record, and return its id. Drop the readers who are too slow for it.

        Raises:
            LocalProtocolError: the stream has ended.
        """
        chain, kept = self._chain, self._kept
        if chain.is_ended:
            raise LocalProtocolError("the stream has ended, so no record can follow")
        last = chain.append(record)
        kept.append(last)
        while last.end - kept[0].end > self._limits.max_bytes and kept[1] is not last:
            kept.popleft()
        chain.drop([place for place in chain.places if self._is_too_slow(place)])
        return last.id

    def end(self, record: bytes, now: float) -> int:
        """Add the last record, and return its id.

        Raises:
            LocalProtocolError: the stream has ended.
        """
        id_ = self.append(record)
        self._chain.is_ended = True
        self._closes_at = now + self._limits.keep_seconds
        return id_

    def join(self, last_id: int = 0) -> ReplayReader:
        """Return a reader of the records behind `last_id`. All are behind 0.

        Raises:
            BadRequestError: the stream has no record with that id, or not yet.
            NotFoundError: a record that the reader needs is no longer kept.
        """
        if not 0 <= last_id <= self.last_id:
            message = f"the last id should be from 0 to {self.last_id}, which this stream has now"
            raise refusal(400, f"{message}, not {last_id}", "last_event_id")
        if self.is_closed:
            raise not_found()
        first = self._kept[0].id
        if last_id < first:
            raise gone(first + 1)
        place = _Place(self._kept[last_id - first], self._chain.last)
        self._chain.places[place] = None
        return ReplayReader(self._chain, place)

    def expire(self, now: float) -> None:
        """Close the buffer, or drop its readers, if it is time: see rule 6."""
        if self.is_closed:
            if now >= self._drops_at:
                self._chain.drop(list(self._chain.places))
        elif now >= self._closes_at:
            self.close(now)

    def close(self, now: float) -> None:
        """Release the records, and let no reader join any more, even before it is time.

        Readers have `keep_seconds` to take the rest. Further calls do nothing.

        Raises:
            LocalProtocolError: the stream has not ended.
        """
        if not self.is_ended:
            raise LocalProtocolError("the stream has not ended: call end(record, now) first")
        if not self.is_closed:
            self._kept = deque([self._chain.last])
            self._drops_at = now + self._limits.keep_seconds

    def _is_too_slow(self, place: _Place) -> bool:
        last = self._chain.last
        taken = place.taken
        return (
            last.end - max(taken.end, place.joined_end) > self._limits.max_waiting
            and last.id - max(taken.id, place.joined_id) > 1
        )


class ReplayReader:
    """Take the records of a `ReplayBuffer` one after the other. Its `join` makes the reader."""

    def __init__(self, chain: _Chain, place: _Place) -> None:
        self._chain = chain
        self._place = place

    @property
    def last_id(self) -> int:
        """The id of the last record that was taken. At first, the id to join behind."""
        return self._place.taken.id

    def next_record(self) -> bytes | Signal:
        """Return the next record, NEED_DATA if there is none yet, or FINISHED after the last one.

        Raises:
            ServerError: the reader was too slow. Later calls raise the same error.
            LocalProtocolError: the reader has left.
        """
        place = self._place
        if place.error is not None:
            raise place.error
        record = place.taken.next
        if record is not None:
            place.taken = record
            return record.data
        if not self._chain.is_ended:
            return NEED_DATA
        self._chain.places.pop(place, None)
        return FINISHED

    def leave(self) -> None:
        """Release what waits for this reader. Further calls do nothing."""
        if self._place in self._chain.places:
            del self._chain.places[self._place]
            self._place.drop(LocalProtocolError("this reader has left the stream"))


class _Record:
    """One link of the chain. It holds those after it, and none before it."""

    __slots__ = ("data", "end", "id", "next")

    def __init__(self, id: int, end: int, data: bytes = b"") -> None:
        self.id = id
        self.end = end  # bytes of all records up to here
        self.data = data
        self.next: _Record | None = None


class _Place:
    """How far a reader has come. Where it joined is in numbers, as a link would hold the rest."""

    __slots__ = ("error", "joined_end", "joined_id", "taken")

    def __init__(self, taken: _Record, last: _Record) -> None:
        self.taken = taken
        self.joined_id, self.joined_end = last.id, last.end
        self.error: MoondreamError | None = None

    def drop(self, error: MoondreamError) -> None:
        """Release the records of this reader."""
        self.taken = _Record(self.taken.id, self.taken.end)
        self.error = error


class _Chain:
    """What a buffer and its readers share."""

    def __init__(self) -> None:
        self.last = _Record(0, 0)
        self.is_ended = False
        self.places: dict[_Place, None] = {}  # in the order in which the readers joined

    def append(self, data: bytes) -> _Record:
        """Add a record behind the last one."""
        record = _Record(self.last.id + 1, self.last.end + len(data), data)
        self.last.next = self.last = record
        return record

    def drop(self, places: list[_Place]) -> None:
        """Drop those readers, but not one that has taken all: it will finish."""
        for place in places:
            del self.places[place]
            if place.taken is not self.last:
                place.drop(too_slow(self.last.end - place.taken.end))
