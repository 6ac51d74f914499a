"""What a test server did, in words, for the message of a failed check."""

from __future__ import annotations

import threading
from dataclasses import dataclass


@dataclass
class _Sent:
    """Consecutive segments: how many bytes, and the first and the last of them."""

    connection: int
    start: bytes = b""
    end: bytes = b""
    size: int = 0
    segments: int = 0

    def add(self, data: bytes) -> None:
        self.start = (self.start + data[:100])[:100]
        self.end = (self.end + data[-40:])[-40:]
        self.size += len(data)
        self.segments += 1

    def __str__(self) -> str:
        apart = f" in {self.segments:,} segments" if self.segments > 1 else ""
        if self.size <= len(self.start):
            return f"sent {self.start!r}{apart}"
        return f"sent {self.size:,} bytes{apart}: {self.start!r} … {self.end!r}"


class Transcript:
    """The steps of a server, from several threads, in the order in which they were added."""

    def __init__(self) -> None:
        self._steps: list[tuple[int, str] | _Sent] = []
        self._lock = threading.Lock()

    def add(self, connection: int, step: str) -> None:
        with self._lock:
            self._steps.append((connection, step))

    def sent(self, connection: int, data: bytes) -> None:
        with self._lock:
            last = self._steps[-1] if self._steps else None
            if not isinstance(last, _Sent) or last.connection != connection:
                last = _Sent(connection)
                self._steps.append(last)
            last.add(data)

    def __str__(self) -> str:
        with self._lock:
            steps = [
                (step.connection, str(step)) if isinstance(step, _Sent) else step
                for step in self._steps
            ]
        text, last = "", 1
        for connection, step in steps:
            text += (
                f"{'; ' * bool(text)}{f'(connection {connection}) ' * (connection != last)}{step}"
            )
            last = connection
        return text or "saw no connection"
