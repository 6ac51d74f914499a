"""A recording that is being played, without the waiting: `wait` says how long, then `head` or
`read` gives what there is.

1. Seconds that were recorded are divided by the speed; at once is no seconds at all. Deadlines are
   not divided: they are the caller's.
2. A wait that is longer than it may be is a TimeoutError, and what is left of it is waited for next
   time.
3. Silence lasts as long as anybody waits for it; who waits for ever gets ConnectionLost.
4. Once the end came, it comes again and again.
5. The lines are read one by one, when the one before was taken, and the file they come from is
   closed at the end, or by `close`, which another thread may call.
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
    """Plays one exchange: `header` is its head where that has a status, then come the `lines`;
    `close` lets go what they come from.
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
        """Seconds until the next line, or until `timeout`, whichever comes first."""
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
        """Status and headers, or the error that came in their place."""
        head = self._take()
        if not isinstance(head, RecordingHeader) or head.status_code is None:
            raise AssertionError("a recording without a head ends in a fault")
        return head.status_code, head.response_headers

    def read(self) -> bytes:
        """The next chunk, or b"" at the end, or the error that the end is."""
        chunk = self._take()
        return chunk.data if isinstance(chunk, Chunk) else b""

    def close(self) -> None:
        """Let the file go. Reading on raises ConnectionLost."""
        with self._lock:
            self._next = End(0.0, ConnectionLost("the stream was closed"))
            self._close()

    def _take(self) -> RecordingHeader | Chunk | End:
        if not self._in_time:
            raise TimeoutError("the recording has nothing in that time")
        with self._lock:
            line = self._next
            if not isinstance(line, End):
                self._advance()
                return line
        if _is_silence(line):
            raise ConnectionLost(
                "the recording has only silence from here on, and no timeout would end it"
            )
        if line.error is not None:
            raise copy.copy(
                line.error
            )  # which gets its partial: the recording's own stays as it is
        return line

    def _advance(self) -> None:
        self._next = next(self._lines)
        self._left = self._next.seconds
        if isinstance(self._next, End):
            self._close()


def _is_silence(end: End) -> bool:
    return isinstance(end.error, TimeoutError) and not isinstance(end.error, MoondreamError)
