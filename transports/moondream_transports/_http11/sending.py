"""A request that is sent by one thread, and may be given up by another."""

from __future__ import annotations

from typing import Protocol


class _Closable(Protocol):
    def close(self) -> None: ...


class Sending:
    """The wait for the head of one response.

    A connection that is being made cannot be interrupted. It is closed when it is there.
    """

    def __init__(self) -> None:
        self._is_interrupted = False
        self._stream: _Closable | None = None

    def begin(self, stream: _Closable) -> None:
        """Note the stream that has a connection now."""
        self._stream = stream
        if self._is_interrupted:
            stream.close()

    def interrupt(self) -> None:
        """Close the stream, from another thread. What waits for its head raises an error."""
        self._is_interrupted = True
        stream = self._stream
        if stream is not None:
            stream.close()
