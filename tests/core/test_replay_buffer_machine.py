"""The calls of `ReplayBuffer` and its readers in any order, against a model of its rules."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from sansio_moondream import (
    FINISHED,
    NEED_DATA,
    APIError,
    BadRequestError,
    LocalProtocolError,
    NotFoundError,
)
from sansio_moondream.relay import ReplayBuffer, ReplayLimits, ReplayReader

BOUNDS = st.sampled_from([0, 1, 5, 12, 1000])


class Modelled:
    """A reader, and what it should see: records up to `last`, and then `end`."""

    def __init__(self, reader: ReplayReader, taken: int, joined: int) -> None:
        self.reader = reader
        self.taken = taken
        self.joined = joined
        self.state = "reading"
        self.error: APIError | None = None


class AnyOrder(RuleBasedStateMachine):
    @initialize(max_bytes=BOUNDS, max_waiting=BOUNDS, keep=st.sampled_from([0, 10]))
    def begin(self, max_bytes: int, max_waiting: int, keep: int) -> None:
        limits = ReplayLimits(max_bytes, max_waiting, keep)
        self.buffer = ReplayBuffer(limits)
        self.max_bytes, self.max_waiting, self.keep = max_bytes, max_waiting, keep
        self.records: list[bytes] = []
        self.readers: list[Modelled] = []
        self.now = 100
        self.ended_at: int | None = None
        self.closed_at: int | None = None

    @rule(size=st.integers(0, 8), last=st.sampled_from([False, False, False, True]))
    def append(self, size: int, last: bool) -> None:
        record = b"%d" % (len(self.records) % 10) * size
        if self.ended_at is not None:
            with pytest.raises(LocalProtocolError):
                self.add(record, last)
            return
        assert self.add(record, last) == len(self.records) + 1
        self.records.append(record)
        self.ended_at = self.now if last else None
        for modelled in self.reading():
            waiting = self.records[max(modelled.taken, modelled.joined) :]
            if len(waiting) > 1 and len(b"".join(waiting)) > self.max_waiting:
                modelled.state = "dropped"

    def add(self, record: bytes, last: bool) -> int:
        return self.buffer.end(record, self.now) if last else self.buffer.append(record)

    @rule(last_id=st.integers(-1, 9), of_the_end=st.booleans())
    def join(self, last_id: int, of_the_end: bool) -> None:
        last_id = len(self.records) - last_id if of_the_end else last_id
        expected: Any = None
        if not 0 <= last_id <= len(self.records):
            expected = BadRequestError
        elif self.closed_at is not None or last_id < self.first_kept():
            expected = NotFoundError
        if expected is not None:
            with pytest.raises(expected) as caught:
                self.buffer.join(last_id)
            gone = self.closed_at is None and expected is NotFoundError
            assert (caught.value.type == "records_not_kept") == gone
        else:
            reader = self.buffer.join(last_id)
            self.readers.append(Modelled(reader, last_id, len(self.records)))

    @precondition(lambda self: self.readers)
    @rule(at=st.integers(0, 100), count=st.integers(1, 5))
    def read(self, at: int, count: int) -> None:
        modelled = self.readers[at % len(self.readers)]
        reader = modelled.reader
        for _ in range(count):
            if modelled.state == "left":
                with pytest.raises(LocalProtocolError):
                    reader.next_record()
            elif modelled.state == "dropped":
                with pytest.raises(APIError) as caught:
                    reader.next_record()
                assert caught.value.type == "reader_too_slow"
                assert modelled.error in (None, caught.value)
                modelled.error = caught.value
            elif modelled.taken < len(self.records):
                assert reader.next_record() == self.records[modelled.taken]
                modelled.taken += 1
            elif self.ended_at is None:
                assert reader.next_record() is NEED_DATA
            else:
                assert reader.next_record() is FINISHED
                modelled.state = "finished"
            assert reader.last_id == modelled.taken

    @precondition(lambda self: self.readers)
    @rule(at=st.integers(0, 100))
    def leave(self, at: int) -> None:
        modelled = self.readers[at % len(self.readers)]
        modelled.reader.leave()
        if modelled.state == "reading":
            modelled.state = "left"

    @rule(seconds=st.sampled_from([0, 1, 9, 10, 11, 30]))
    def expire(self, seconds: int) -> None:
        self.now += seconds
        self.buffer.expire(self.now)
        if self.closed_at is not None:
            if self.now >= self.closed_at + self.keep:
                for modelled in self.reading():
                    late = modelled.taken < len(self.records)
                    modelled.state = "dropped" if late else "finished"
        elif self.ended_at is not None and self.now >= self.ended_at + self.keep:
            self.closed_at = self.now

    @rule()
    def close(self) -> None:
        if self.ended_at is None:
            with pytest.raises(LocalProtocolError):
                self.buffer.close(self.now)
        else:
            self.buffer.close(self.now)
            self.closed_at = self.now if self.closed_at is None else self.closed_at

    @invariant()
    def the_buffer_says_what_it_holds(self) -> None:
        if not hasattr(self, "buffer"):
            return
        buffer, deadline = self.buffer, None
        if self.closed_at is not None:
            deadline = self.closed_at + self.keep if self.reading() else None
        elif self.ended_at is not None:
            deadline = self.ended_at + self.keep
        assert buffer.deadline == deadline
        assert buffer.last_id == len(self.records)
        assert buffer.readers == len(self.reading())
        assert buffer.is_ended == (self.ended_at is not None)
        assert buffer.is_closed == (self.closed_at is not None)
        kept = [] if buffer.is_closed else self.records[self.first_kept() :]
        assert buffer.kept_bytes == len(b"".join(kept))

    def reading(self) -> list[Modelled]:
        return [modelled for modelled in self.readers if modelled.state == "reading"]

    def first_kept(self) -> int:
        """The index of the oldest record that is kept."""
        first = max(len(self.records) - 1, 0)
        while first and len(b"".join(self.records[first - 1 :])) <= self.max_bytes:
            first -= 1
        return first


TestAnyOrder = AnyOrder.TestCase
TestAnyOrder.settings = settings(stateful_step_count=25)
