"""`ReplayBuffer`: the bounds of its rules, one by one. Any order of calls is in
`test_replay_buffer_machine.py`.
"""

from __future__ import annotations

import gc
import tracemalloc
from typing import Any

import pytest

from sansio_moondream import (
    FINISHED,
    NEED_DATA,
    BadRequestError,
    LocalProtocolError,
    NotFoundError,
    ServerError,
    Signal,
)
from sansio_moondream.relay import ReplayBuffer, ReplayLimits, ReplayReader


def filled(*records: bytes, **bounds: int) -> ReplayBuffer:
    buffer = ReplayBuffer(ReplayLimits(**bounds))
    for record in records:
        buffer.append(record)
    return buffer


def state(buffer: ReplayBuffer) -> tuple[int, float | None]:
    return buffer.readers, buffer.deadline


def rest(reader: ReplayReader) -> tuple[list[bytes], Signal]:
    """Take all that is there, and what follows."""
    taken: list[bytes] = []
    while isinstance(record := reader.next_record(), bytes):
        taken.append(record)
    return taken, record


@pytest.mark.parametrize("last_id", range(4))
def test_a_reader_gets_what_is_behind_its_id_and_then_what_is_appended(last_id: int):
    buffer = filled(b"a", b"b", b"c")
    reader = buffer.join(last_id)
    assert (reader.last_id, buffer.readers) == (last_id, 1)
    assert rest(reader) == ([b"a", b"b", b"c"][last_id:], NEED_DATA)
    assert buffer.append(b"d") == 4
    assert buffer.end(b"e", 0) == 5
    assert rest(reader) == ([b"d", b"e"], FINISHED)
    assert (reader.last_id, buffer.readers) == (5, 0)
    assert reader.next_record() is FINISHED  # and stays so
    reader.leave()
    assert reader.next_record() is FINISHED


def test_all_readers_share_one_copy():
    record = bytes(1000)
    buffer = filled(record)
    assert {id(buffer.join().next_record()) for _ in range(100)} == {id(record)}


@pytest.mark.parametrize("last_id", [-1, 3, 10**30])
def test_an_id_that_the_stream_does_not_have(last_id: int):
    with pytest.raises(BadRequestError, match=rf"from 0 to 2.* not {last_id}") as caught:
        filled(b"a", b"b").join(last_id)
    assert (caught.value.status_code, caught.value.param) == (400, "last_event_id")


@pytest.mark.parametrize("name", ["max_bytes", "max_waiting", "keep_seconds"])
def test_bounds_that_make_no_sense(name: str):
    values: tuple[Any, ...] = (-1, float("nan"))
    for value in values:
        with pytest.raises(ValueError, match=rf"ReplayLimits\.{name} must be at least 0, not "):
            ReplayLimits(**{name: value})


def test_the_bounds_are_a_value():
    limits = ReplayLimits()
    assert limits == ReplayLimits(max_bytes=8_388_608, max_waiting=1_048_576, keep_seconds=60)
    with pytest.raises(AttributeError):
        limits.max_bytes = 1  # type: ignore[misc]  # they are frozen


@pytest.mark.parametrize(
    ("max_bytes", "first"), [(0, 4), (1, 4), (2, 4), (3, 3), (5, 3), (6, 2), (7, 1), (8, 1)]
)
def test_the_newest_records_are_kept(max_bytes: int, first: int):
    records = [b"1", b"222", b"3", b"44"]
    buffer = filled(*records, max_bytes=max_bytes)
    assert buffer.kept_bytes == len(b"".join(records[first - 1 :]))
    assert rest(buffer.join(first - 1)) == (records[first - 1 :], NEED_DATA)
    if first > 1:
        with pytest.raises(NotFoundError, match=f"before {first} are no longer kept") as caught:
            buffer.join(first - 2)
        assert caught.value.type == "records_not_kept"


def test_one_that_has_joined_gets_what_is_no_longer_kept():
    buffer = filled(b"a", max_bytes=1)
    reader = buffer.join()
    buffer.append(b"b")
    with pytest.raises(NotFoundError):
        buffer.join()
    assert rest(reader) == ([b"a", b"b"], NEED_DATA)


@pytest.mark.parametrize(("size", "is_slow"), [(5, False), (6, True)])
def test_a_reader_that_takes_nothing_is_dropped(size: int, is_slow: bool):
    buffer = filled(max_waiting=10)
    slow, other = buffer.join(), buffer.join()
    for record in (b"12345", bytes(size)):
        buffer.append(record)
        assert rest(other) == ([record], NEED_DATA)
    assert buffer.readers == 2 - is_slow
    if not is_slow:
        assert rest(slow) == ([b"12345", bytes(size)], NEED_DATA)
        return
    with pytest.raises(ServerError, match="11 bytes wait for it") as caught:
        slow.next_record()
    with pytest.raises(ServerError) as again:
        slow.next_record()
    assert caught.value is again.value
    assert caught.value.type == "reader_too_slow"
    assert slow.last_id == 0
    slow.leave()  # changes nothing
    with pytest.raises(ServerError):
        slow.next_record()
    assert rest(buffer.join(slow.last_id))[0] == [b"12345", bytes(size)]  # it may come again


def test_one_record_is_never_too_much():
    buffer = filled(max_waiting=10)
    reader = buffer.join()
    buffer.append(bytes(100))
    assert rest(reader) == ([bytes(100)], NEED_DATA)
    buffer.append(bytes(100))
    assert buffer.readers == 1
    buffer.append(b"")
    assert buffer.readers == 0


@pytest.mark.parametrize("taken", [0, 1, 2, 3])
def test_the_backlog_does_not_count(taken: int):
    """What was appended since counts, however much of the backlog is left."""
    buffer = filled(bytes(100), bytes(100), bytes(100), max_waiting=10)
    reader = buffer.join()
    for _ in range(taken):
        reader.next_record()
    buffer.append(b"12345")
    buffer.append(b"12345")
    assert buffer.readers == 1
    buffer.append(b"1")
    assert buffer.readers == 0
    with pytest.raises(ServerError, match=f" {311 - 100 * taken} bytes wait"):
        reader.next_record()


def test_what_was_taken_of_the_new_ones_does_not_count():
    buffer = filled(bytes(100), max_waiting=10)
    reader = buffer.join()
    for _ in range(4):
        buffer.append(b"12345")
        buffer.append(b"12345")
        assert rest(reader)[0][-2:] == [b"12345"] * 2


def test_after_the_end_there_is_time():
    buffer = filled(b"a", keep_seconds=10)
    assert buffer.deadline is None
    buffer.expire(1000)
    assert not buffer.is_closed
    buffer.end(b"b", 1000)
    assert buffer.deadline == 1010
    buffer.expire(1009.9)
    late = buffer.join()
    buffer.expire(1010)
    assert buffer.is_closed
    assert buffer.kept_bytes == 0
    with pytest.raises(NotFoundError) as caught:
        buffer.join()
    assert caught.value.type == "stream_not_found"
    assert buffer.deadline == 1020
    buffer.expire(1019.9)
    assert rest(late) == ([b"a", b"b"], FINISHED)
    assert buffer.deadline is None


def test_and_then_those_who_have_not_read_all_are_dropped():
    buffer = filled(b"a", keep_seconds=10)
    idle, half, whole = buffer.join(), buffer.join(), buffer.join()
    buffer.end(b"b", 0)
    half.next_record()
    whole.next_record(), whole.next_record()
    buffer.expire(15)  # late, and so nobody has less time
    assert buffer.deadline == 25
    buffer.expire(24.9)
    assert buffer.readers == 3
    buffer.expire(25)
    assert state(buffer) == (0, None)
    for reader, behind in ((idle, 2), (half, 1)):
        with pytest.raises(ServerError, match=f" {behind} bytes wait"):
            reader.next_record()
    assert whole.next_record() is FINISHED
    buffer.expire(100)


def test_it_may_be_closed_before_its_time():
    buffer = filled(keep_seconds=10)
    with pytest.raises(LocalProtocolError, match="has not ended"):
        buffer.close(0)
    buffer.end(b"a", 0)
    reader = buffer.join()
    buffer.close(5)
    buffer.close(7)
    assert (buffer.is_closed, buffer.kept_bytes, buffer.deadline) == (True, 0, 15)
    assert rest(reader) == ([b"a"], FINISHED)


def test_nothing_follows_the_end():
    buffer = filled(b"a")
    buffer.end(b"b", 0)
    with pytest.raises(LocalProtocolError, match="has ended"):
        buffer.append(b"c")
    with pytest.raises(LocalProtocolError, match="has ended"):
        buffer.end(b"c", 0)
    assert (buffer.last_id, buffer.is_ended) == (2, True)


def test_one_that_leaves():
    buffer = filled(b"a", b"b")
    reader = buffer.join()
    reader.next_record()
    reader.leave()
    reader.leave()
    assert buffer.readers == 0
    with pytest.raises(LocalProtocolError, match="has left"):
        reader.next_record()
    assert reader.last_id == 1


@pytest.mark.parametrize("how", ["taken", "dropped", "left", "closed"])
def test_memory_is_released(how: str):
    """Neither a reader nor the buffer holds records that nobody can get any more."""
    size = 1000
    bound = 10 * size if how == "dropped" else 10**9
    tracemalloc.start()
    buffer = filled(max_bytes=10 * size, max_waiting=bound)
    readers = [buffer.join() for _ in range(10)]
    for _ in range(1000):
        buffer.append(bytes(size))
        if how == "taken":
            for reader in readers:
                rest(reader)
    if how == "left":
        for reader in readers:
            reader.leave()
    if how == "closed":
        buffer.end(b"", 0)
        for now in (60, 120):
            buffer.expire(now)
    gc.collect()
    held, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert held < 30 * size
    assert len(readers) == 10


def test_a_long_chain_is_released_without_recursion():
    buffer = filled(max_bytes=0, max_waiting=10**9)
    reader = buffer.join()
    for _ in range(20_000):
        buffer.append(b"x")
    reader.leave()
    assert buffer.kept_bytes == 1
