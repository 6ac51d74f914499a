# Generated from ../_async/channel.py by `make generate`; do not edit.
"""A `ReplayBuffer` whose readers can wait for records.

1. A reader that waits has a flag of its own. A record sets the flags of those that wait; nothing
   else is done for it.
2. Each record is added at once. Between two batches of records the readers run, so that only who
   does not read is too slow.
3. Callbacks are called without the mutex.
"""

from __future__ import annotations

from collections.abc import Callable
from threading import RLock
from time import monotonic
from typing import Final

from moondream_transports._concurrency import Flag
from sansio_moondream import NEED_DATA, Signal
from sansio_moondream.relay import ReplayBuffer, ReplayLimits, ReplayReader

_MAX_PART: Final = 64 * 1024  # bytes: a backlog is sent in parts of about this size


class Channel:
    """Pass records from one thread to any number of others.

    Args:
        limits: of the buffer.
        notify_unheard: is called when the last reader is gone before the end.
    """

    def __init__(self, limits: ReplayLimits, notify_unheard: Callable[[], object]) -> None:
        self.buffer = ReplayBuffer(limits)
        self._notify_unheard = notify_unheard
        self._mutex = RLock()  # a finalizer may run in its blocks, in any thread
        self._waiting: dict[ReplayReader, Flag] = {}

    def append(self, records: list[bytes], *, is_last: bool = False) -> None:
        """Add records. Nothing is added after the end."""
        with self._mutex:
            buffer = self.buffer
            if buffer.is_ended:
                return
            readers = buffer.readers
            for record in records[:-1]:
                buffer.append(record)
            if is_last:
                buffer.end(records[-1], monotonic())
            else:
                buffer.append(records[-1])
            waiting, self._waiting = self._waiting, {}
        for flag in waiting.values():
            flag.set()
        if buffer.readers < readers:  # some were too slow
            self._check_unheard()

    def join(self, last_id: int) -> ReplayReader:
        """Return a reader, as `ReplayBuffer.join` does."""
        with self._mutex:
            self.buffer.expire(monotonic())
            return self.buffer.join(last_id)

    def leave(self, reader: ReplayReader) -> None:
        """Take a reader out. If it waits in another thread, it ends there."""
        with self._mutex:
            reader.leave()
            flag = self._waiting.pop(reader, None)
        if flag is not None:
            flag.set()
        self._check_unheard()

    def read(self, reader: ReplayReader) -> bytes | None:
        """Return what waits for a reader, or wait for it. None is the end.

        Raises what `ReplayReader.next_record` raises.
        """
        while True:
            with self._mutex:
                part = _take(reader)
                if isinstance(part, bytes):
                    return part
                if part is not NEED_DATA:
                    return None
                self._waiting[reader] = flag = Flag()
            flag.wait()

    def expire(self, *, early: bool = False) -> None:
        """Release what was kept long enough, as `ReplayBuffer.expire` says; `early` is now."""
        with self._mutex:
            if early and self.buffer.is_ended:
                self.buffer.close(monotonic())
            self.buffer.expire(monotonic())

    def _check_unheard(self) -> None:
        if not self.buffer.readers and not self.buffer.is_ended:
            self._notify_unheard()


def _take(reader: ReplayReader) -> bytes | Signal:
    """Return about `_MAX_PART` of what is there."""
    records: list[bytes] = []
    size = 0
    while size < _MAX_PART:
        record = reader.next_record()
        if not isinstance(record, bytes):
            return b"".join(records) if records else record
        records.append(record)
        size += len(record)
    return b"".join(records)  # of a single one this is no copy
