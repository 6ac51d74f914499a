"""This library's own format: each value in its JSON form, with an id."""

from __future__ import annotations

import json

from sansio_moondream._errors import MoondreamError
from sansio_moondream._events import Event
from sansio_moondream._value import Value

from ._encoder import StreamEncoder


class EventsEncoder(StreamEncoder):
    """Encode each event and error as `to_dict()` in one record, with the ids 1, 2, 3, …

    The ids let a reader go on where it was: see `ReplayBuffer`.
    """

    def __init__(self) -> None:
        self._id = 0

    def encode(self, event: Event) -> bytes:
        return self._record(event)

    def encode_error(self, error: MoondreamError) -> bytes:
        return self._record(error)

    def encode_interruption(self, error: MoondreamError) -> bytes:
        # Without an id, so that the reader comes again with the one before.
        return _data(error)

    def _record(self, value: Value) -> bytes:
        self._id += 1
        return b"id: %d\n%b" % (self._id, _data(value))


def _data(value: Value) -> bytes:
    text = json.dumps(value.to_dict(), separators=(",", ":"))
    return f"data: {text}\n\n".encode()
