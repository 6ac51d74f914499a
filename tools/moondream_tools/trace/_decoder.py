"""The decoder of an answer, which tells the events of one record from those of the next.

A `ResponseStream` that has a body record by record gives the events of each record apart. A
compressed body cannot be divided so. Then the stream has it as received, and a second stream has
the inflated body record by record: it gives as many events for each record.
"""

from __future__ import annotations

from collections import deque
from typing import Any

from sansio_moondream import Event, MoondreamError, Request, ResponseStream, State
from sansio_moondream._states import TRANSITIONS


class Decoder:
    """Decode one answer.

    Attributes:
        error: that ended the answer, or None.
    """

    def __init__(self, request: Request[Any]) -> None:
        self._request = request
        self._stream: ResponseStream[Any] = ResponseStream(request)
        self._divided = self._stream  # has the body record by record
        self._ready: deque[Event] = deque()  # of a compressed chunk, and not given out
        self.error: MoondreamError | None = None

    @property
    def state(self) -> State:
        """Where the decoder is."""
        return self._divided.state

    @property
    def is_over(self) -> bool:
        """Whether it decodes nothing more."""
        return not TRANSITIONS[self._divided.state]

    def result(self) -> dict[str, Any] | None:
        """Return the JSON form of what was decoded."""
        snapshot = self._stream.snapshot
        return None if snapshot is None else snapshot.to_dict()

    def receive_response(
        self, status_code: int, headers: tuple[tuple[str, str], ...], *, compressed: bool
    ) -> None:
        """Receive the head of the response, of a body that is `compressed` or not."""
        self._stream.receive_response(status_code, headers)
        if compressed:
            self._divided = ResponseStream(self._request)
            plain = [field for field in headers if field[0] != "content-encoding"]
            self._divided.receive_response(status_code, plain)
        self._take()

    def receive_compressed(self, data: bytes) -> None:
        """Receive a chunk of a compressed body. Its segments follow."""
        self._stream.receive_data(data)
        self._ready += self._take()

    def receive_segment(self, data: bytes) -> list[Event]:
        """Receive a segment of the body, inflated if that is compressed, and return its events."""
        self._divided.receive_data(data)
        events, error = _ready_events(self._divided)
        if self._divided is not self._stream:
            return self._given_out(len(events))
        self.error = error
        return events

    def end(self, fault: Exception | None) -> list[Event]:
        """Receive the end of the body, or the fault that ended it, and return the last events."""
        for stream in (self._stream, self._divided):
            if fault is None:
                stream.receive_eof()
            else:
                stream.receive_error(fault)
        self._ready += self._take()
        return self._given_out(len(self._ready))

    def _take(self) -> list[Event]:
        events, self.error = _ready_events(self._stream)
        return events

    def _given_out(self, count: int) -> list[Event]:
        return [self._ready.popleft() for _ in range(min(count, len(self._ready)))]


def _ready_events(stream: ResponseStream[Any]) -> tuple[list[Event], MoondreamError | None]:
    """Return the events that are ready, and the error that follows them or None."""
    events: list[Event] = []
    try:
        events.extend(stream.events())
    except MoondreamError as error:
        return events, error
    return events, None
