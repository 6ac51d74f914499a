"""Items from a thread: to read one may take long, and the event loop must not wait for it."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from contextlib import suppress
from typing import Generic, Self

from moondream_transports._concurrency import (
    AsyncFlag,
    Flag,
    as_failure,
    async_call_soon,
    async_in_thread,
)
from moondream_transports._map.items import I, ItemReader
from moondream_transports._workers import Worker

_GRACE = 1.0  # seconds: a thread may wait for what cannot be interrupted


class ReadAhead(Generic[I]):
    """Iterate over items that a thread reads, a few ahead.

    When it has read enough it waits until half of that is taken. To wake a thread for each item
    would take longer than most of them take to read.

    Args:
        items: any iterable. The thread closes its iterator, if that can be closed.
        ahead: how many items are read and not taken, at most.

    Raises:
        TypeError: the items cannot be iterated over.
    """

    _reader: Worker | None = None
    _reader_waits = False
    _user_waits = False
    _is_closed = False
    _has_ended = False
    _failure: BaseException | None = None

    def __init__(self, items: Iterable[I], ahead: int) -> None:
        self._items = ItemReader(items)
        self._ahead = ahead
        self._read: deque[I] = deque()
        self._place = Flag()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> I:
        if self._reader is None:
            self._news, self._call_soon = AsyncFlag(), async_call_soon()
            self._reader = Worker(self._run, self._place.set)
        while True:
            has_ended = self._has_ended  # looked at first, as the last item comes before the end
            if self._read:
                break
            if has_ended:
                raise self._failure or StopAsyncIteration
            self._news.clear()
            self._user_waits = True
            if not self._read and not self._has_ended:
                await self._news.wait()
        item = self._read.popleft()
        if self._reader_waits and len(self._read) <= self._ahead // 2:
            self._place.set()
        return item

    async def aclose(self) -> None:
        """End the thread, and wait for that, but at most a second."""
        self._is_closed = True
        self._place.set()
        if self._reader is not None:
            await async_in_thread(self._reader.wait, _GRACE)

    def _run(self) -> None:
        try:
            try:
                for item in self._items:
                    self._read.append(item)
                    del item  # it may be large
                    self._notify()
                    self._wait_for_place()
                    if self._is_closed:
                        break
            finally:
                self._items.close()
        except BaseException as error:  # noqa: BLE001 - the iterator raises it
            self._failure = as_failure(error)
        self._has_ended = True
        self._notify()

    def _notify(self) -> None:
        if self._user_waits:
            self._user_waits = False
            with suppress(RuntimeError):  # the event loop is closed
                self._call_soon(self._news.set)

    def _wait_for_place(self) -> None:
        while len(self._read) >= self._ahead and not self._is_closed:
            self._place.clear()
            self._reader_waits = True
            if len(self._read) >= self._ahead and not self._is_closed:
                self._place.wait()
            self._reader_waits = False
