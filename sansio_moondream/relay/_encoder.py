"""The contract of an encoder: the events of one stream to the bytes of one format."""

from __future__ import annotations

from abc import ABC, abstractmethod
from copy import copy
from typing import ClassVar, Final

from sansio_moondream._errors import MoondreamError
from sansio_moondream._events import Event

SSE_HEADERS: Final = (
    ("content-type", "text/event-stream; charset=utf-8"),
    ("cache-control", "no-cache, no-transform"),  # no proxy compresses it, and so holds it back
    ("x-accel-buffering", "no"),  # nginx passes each chunk on
)
"""The headers of a response that is an event stream, and that no proxy may buffer."""


class StreamEncoder(ABC):
    """Encode one stream of events. Each stream needs an encoder of its own, as it may have a state.

    A stream is the bytes of `encode` for each event. `Completed` is the last one. If the stream
    fails, the bytes of `encode_error` are the last ones. Heartbeats may stand between any two
    events, and before the first one.


    `event` is the next event of the stream, and `error` what ended it.

    Attributes:
        headers: of the response with status 200, without a length.
        heartbeat: bytes that each reader of the format ignores.
    """

    headers: ClassVar[tuple[tuple[str, str], ...]] = SSE_HEADERS
    heartbeat: ClassVar[bytes] = b":\n\n"

    @abstractmethod
    def encode(self, event: Event) -> bytes:
        """Return the bytes of the next event. They may be empty: not each format has each event."""

    @abstractmethod
    def encode_error(self, error: MoondreamError) -> bytes:
        """Return the bytes that end the stream in place of `Completed`.

        They hold nothing that only the operator of the server should see: no header of the
        upstream and no address.
        """

    def encode_interruption(self, error: MoondreamError) -> bytes:
        """Return the bytes that end the stream for one of its readers, and do not end it here.

        Other readers read on. The one that is interrupted may come again. It may not have had all
        that was encoded before.
        """
        return copy(self).encode_error(error)
