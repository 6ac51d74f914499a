"""A source in a task of its own, and its parts for a reader that waits a limited time.

1. The task takes parts until the reader is `_MAX_PARTS` behind, and goes on when it reads.
2. The task, and nothing else, opens and closes the source, however the pump ends.
3. What was taken before an error or `stop` is read before the error is raised.
"""

from __future__ import annotations

from collections import deque
from functools import partial
from typing import Final

from moondream_transports._concurrency import AsyncFlag
from moondream_transports._workers import AsyncWorker
from sansio_moondream import MoondreamError
from sansio_moondream.relay._refusals import stopping

from .source import AsyncSource, async_close_source

_MAX_PARTS: Final = 16


class AsyncPump:
    """Take the parts of a source while its reader does something else."""

    def __init__(self, source: AsyncSource) -> None:
        self._source = source
        self._parts: deque[bytes] = deque()
        self._error: Exception | None = None
        self._is_ended = self._is_stopped = False
        self._ready, self._taken = AsyncFlag(), AsyncFlag()
        self._worker: AsyncWorker | None = None

    def start(self) -> None:
        """Begin to take parts."""
        close = partial(async_close_source, self._source)
        self._worker = AsyncWorker(self._run, self._interrupt, close)

    async def next_part(self, seconds: float | None) -> bytes | None:
        """Return all that is ready, in one. None is the end, and nothing in time is empty.

        Raises what the source raises, once, and the error of `stop`.
        """
        parts: list[bytes] = []
        is_ended = False
        while not (parts or is_ended):
            self._ready.clear()
            is_ended = self._is_ended  # first: the last part may come now
            while self._parts:
                parts.append(self._parts.popleft())
            if not (parts or is_ended) and not await self._ready.wait(seconds):
                return b""
        self._taken.set()
        if parts:
            return b"".join(parts)
        if self._error is not None:
            raise self._error
        return None

    def stop(self, error: MoondreamError | None = None) -> None:
        """End the source at once, whatever it waits for. The reader gets `error` as the last."""
        if not self._is_ended:
            self._error = error
            self._is_stopped = self._is_ended = True
            self._ready.set()  # it may take a while until a thread ends
            if self._worker is not None:
                self._worker.cancel()

    async def wait_closed(self, seconds: float) -> None:
        """Return when the source is closed, or after that time."""
        if self._worker is not None:
            await self._worker.wait(seconds)

    async def _run(self) -> None:
        error: Exception | None = stopping()  # if the task is cancelled with its event loop
        try:
            while not self._is_stopped and (part := await self._source.next_part()) is not None:
                self._taken.clear()
                self._parts.append(part)
                self._ready.set()
                while len(self._parts) >= _MAX_PARTS and not self._is_stopped:
                    await self._taken.wait()
                    self._taken.clear()
            error = None
        except Exception as failure:  # noqa: BLE001 - it is raised where the parts are read
            error = failure
        finally:
            if not self._is_stopped:
                self._error = error
            self._is_ended = True
            self._ready.set()

    async def _interrupt(self) -> None:
        self._taken.set()
        await async_close_source(self._source)
