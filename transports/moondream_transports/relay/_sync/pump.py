# Generated from ../_async/pump.py by `make generate`; do not edit.
"""A source in a thread of its own, and its parts for a reader that waits a limited time.

1. The thread takes parts until the reader is `_MAX_PARTS` behind, and goes on when it reads.
2. The thread, and nothing else, opens and closes the source, however the pump ends.
3. What was taken before an error or `stop` is read before the error is raised.
"""

from __future__ import annotations

from collections import deque
from functools import partial
from typing import Final

from moondream_transports._concurrency import Flag
from moondream_transports._workers import Worker
from sansio_moondream import MoondreamError
from sansio_moondream.relay._refusals import stopping

from .source import Source, close_source

_MAX_PARTS: Final = 16


class Pump:
    """Take the parts of a source while its reader does something else."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._parts: deque[bytes] = deque()
        self._error: Exception | None = None
        self._is_ended = self._is_stopped = False
        self._ready, self._taken = Flag(), Flag()
        self._worker: Worker | None = None

    def start(self) -> None:
        """Begin to take parts."""
        close = partial(close_source, self._source)
        self._worker = Worker(self._run, self._interrupt, close)

    def next_part(self, seconds: float | None) -> bytes | None:
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
            if not (parts or is_ended) and not self._ready.wait(seconds):
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

    def wait_closed(self, seconds: float) -> None:
        """Return when the source is closed, or after that time."""
        if self._worker is not None:
            self._worker.wait(seconds)

    def _run(self) -> None:
        error: Exception | None = stopping()  # if the thread is cancelled with its event loop
        try:
            while not self._is_stopped and (part := self._source.next_part()) is not None:
                self._taken.clear()
                self._parts.append(part)
                self._ready.set()
                while len(self._parts) >= _MAX_PARTS and not self._is_stopped:
                    self._taken.wait()
                    self._taken.clear()
            error = None
        except Exception as failure:  # noqa: BLE001 - it is raised where the parts are read
            error = failure
        finally:
            if not self._is_stopped:
                self._error = error
            self._is_ended = True
            self._ready.set()

    def _interrupt(self) -> None:
        self._taken.set()
        close_source(self._source)
