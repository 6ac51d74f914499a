"""A recorder that the reader of a stream and the one who closes it may share."""

from __future__ import annotations

from collections.abc import Callable
from threading import Lock
from typing import TypeAlias

from msgspec.structs import asdict

from moondream_transports._transport import HeaderTypes, Timeouts
from sansio_moondream.recording import RecordedTimeouts, Recorder, Recording

Save: TypeAlias = Callable[[Recording], object]
Watch: TypeAlias = Callable[[Recorder], object]


class SharedRecorder:
    """Record one exchange and save it once, when the first thread ends it."""

    def __init__(
        self, recorder: Recorder, save: Save, watch: Watch | None, now: Callable[[], float]
    ) -> None:
        self._recorder: Recorder | None = recorder
        self._save = save
        self._watch = watch
        self._now = now
        self._lock = Lock()
        self._notify(recorder)

    def receive_head(
        self, status_code: int, headers: HeaderTypes, connected_at: float | None
    ) -> None:
        """Record the head of the response, and when the connection was there."""
        if self._recorder is not None:
            self._recorder.receive_response(
                status_code, headers, self._now(), connected_at=connected_at
            )
            self._notify(self._recorder)

    def receive_data(self, data: bytes) -> None:
        """Record what a read returned. `b""` is the end of the body."""
        if not data:
            self._finish(lambda recorder, now: recorder.receive_eof(now))
            return
        with self._lock:
            if (recorder := self._recorder) is not None:
                recorder.receive_data(data, self._now())
        if recorder is not None:
            self._notify(recorder)

    def receive_error(self, error: BaseException) -> None:
        """Record that the exchange ended in an error."""
        self._finish(lambda recorder, now: recorder.receive_error(error, now))

    def leave(self) -> None:
        """Record that the client closed the stream."""
        self._finish(lambda recorder, now: recorder.leave(now))

    def _finish(self, end: Callable[[Recorder, float], Recording]) -> None:
        with self._lock:
            recorder, self._recorder = self._recorder, None
        if recorder is not None:
            self._save(end(recorder, self._now()))

    def _notify(self, recorder: Recorder) -> None:
        if self._watch is not None:
            self._watch(recorder)


def recorded_timeouts(timeouts: Timeouts) -> RecordedTimeouts:
    """Return timeouts as a recording has them."""
    return RecordedTimeouts(**asdict(timeouts))
