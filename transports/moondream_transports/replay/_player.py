"""A recording that is being replayed, without the waiting.

1. `wait` returns how long to wait. Then `head` or `read` returns what there is.
2. Recorded seconds are divided by the speed. Deadlines are not: they belong to the caller.
3. A wait that exceeds the timeout ends in a TimeoutError. The next wait is for the rest.
4. Recorded silence lasts until a timeout ends it. Without a timeout it is a ConnectionLost.
5. After the end of the recording, every read returns or raises the end again.
6. Lines are read one at a time, each when the one before was taken. Their file is closed at the end
   or by `close`, which another thread may call.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from math import inf
from threading import Lock

from sansio_moondream import ConnectionLost, MoondreamError
from sansio_moondream.recording import Chunk, RecordingHeader

from ._fragmentation import End


class Player:
    """Play one exchange: the head in `header`, if it has a status, and then the `lines`.

    `close` closes the file that the lines are read from.

    `speed` is as in `ReplayTransport`.
    """

    def __init__(
        self,
        header: RecordingHeader,
        lines: Iterator[Chunk | End],
        speed: float | None,
        close: Callable[[], None],
    ) -> None:
        self._speed = speed
        self._lines = lines
        self._close = close
        self._lock = Lock()
        self._in_time = True
        self._next: RecordingHeader | Chunk | End = header
        if header.status_code is None:
            self._advance()
        self._left = self._next.seconds

    def wait(self, timeout: float | None) -> float:
        """Return the seconds until the next line or until `timeout`, whichever is earlier."""
        silent = timeout is not None and isinstance(self._next, End) and _is_silence(self._next)
        seconds = inf if silent else 0.0 if self._speed is None else self._left / self._speed
        self._in_time = timeout is None or seconds <= timeout
        if timeout is None or self._in_time:
            self._left = 0.0
            return seconds
        if self._speed is None:
            return 0.0
        self._left = max(0.0, self._left - timeout * self._speed)
        return timeout

    def head(self) -> tuple[int, tuple[tuple[str, str], ...]]:
        """Return the status and the headers, or raise the error that was recorded instead."""
        head = self._take()
        if not isinstance(head, RecordingHeader) or head.status_code is None:
            raise AssertionError("a recording without a head ends in an error")
        return head.status_code, head.response_headers

    def read(self) -> bytes:
        """Return the next chunk, or b"" at the end, or raise the error that was recorded there."""
        chunk = self._take()
        return chunk.data if isinstance(chunk, Chunk) else b""

    def close(self) -> None:
        """Close the file. Further reads raise ConnectionLost."""
        with self._lock:
            self._next = End(0.0, ConnectionLost("the stream was closed"))
            self._close()

    def _take(self) -> RecordingHeader | Chunk | End:
        if not self._in_time:
            raise TimeoutError("the recording has no bytes in that time")
        with self._lock:
            line = self._next
            if not isinstance(line, End):
                self._advance()
                return line
        if _is_silence(line):
            raise ConnectionLost("the recording has only silence from here, and no timeout ends it")
        if line.error is not None:
            raise copy.copy(line.error)  # the decoder sets `partial`: the original stays clean
        return line

    def _advance(self) -> None:
        self._next = next(self._lines)
        self._left = self._next.seconds
        if isinstance(self._next, End):
            self._close()


def _is_silence(end: End) -> bool:
    return isinstance(end.error, TimeoutError) and not isinstance(end.error, MoondreamError)
