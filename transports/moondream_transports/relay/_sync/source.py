# Generated from ../_async/source.py by `make generate`; do not edit.
"""What a relay sends: the parts of one response, from a stream of events or from elsewhere."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import suppress
from typing import Any, Protocol, cast

from moondream_transports._client._sync.stream import ClientStream
from moondream_transports._concurrency import shielded
from moondream_transports.relay._failures import as_response, log_failure
from sansio_moondream import (
    Completed,
    Dialect,
    ErrorResponse,
    Event,
    IncompleteStream,
    MoondreamError,
)
from sansio_moondream.relay import StreamEncoder


class Source(Protocol):
    """The parts of one response.

    A relay calls `next_part` and `close` in one thread. Only the sync twin may call `close` in
    another thread, where it ends a `next_part` that waits.
    """

    @property
    def headers(self) -> tuple[tuple[str, str], ...]:
        """Of a response with status 200, without a length."""
        ...

    @property
    def heartbeat(self) -> bytes:
        """A part that each reader ignores."""
        ...

    def next_part(self) -> bytes | None:
        """Wait for bytes, and return all that are ready. None is the proper end.

        A part is never empty, and ends where a heartbeat may follow. The first call opens the
        source. An error is raised once, and ends the source.
        """
        ...

    def encode_error(self, error: MoondreamError) -> bytes:
        """Return the last part of a response that fails after its head was sent."""
        ...

    def encode_refusal(self, error: MoondreamError) -> ErrorResponse:
        """Return the whole response for an error before anything was sent."""
        ...

    def close(self) -> None:
        """Release all that the source holds. It may not be open yet. Further calls do nothing."""
        ...


def close_source(source: Source) -> None:
    """Close a source whose reader is gone, and log what fails."""
    try:
        shielded(source.close)
    except Exception as error:  # noqa: BLE001 - nobody waits for it
        log_failure(error)


class StreamSource:
    """The events of one stream, encoded.

    `is_complete` is whether `Completed` was among them.

    Args:
        stream: a `ClientStream` that is not entered, or any iterable of events.
        encoder: of the format.
        dialect: of an error that is a whole response.
    """

    def __init__(
        self,
        stream: ClientStream[Any] | Iterable[Event],
        encoder: StreamEncoder,
        dialect: Dialect,
    ) -> None:
        is_stream = isinstance(stream, ClientStream)
        self._stream = cast("_Stream", stream) if is_stream else _Events(stream)
        self._encoder = encoder
        self._dialect = dialect
        self._is_entered = self.is_complete = False
        self.headers = encoder.headers
        self.heartbeat = encoder.heartbeat

    def next_part(self) -> bytes | None:
        """As `Source.next_part` says."""
        records = self.next_records()
        return b"".join(records) if records else None

    def next_records(self) -> list[bytes]:
        """Return the next part as records: one for each event. The list is empty at the end."""
        if not self._is_entered:
            self._is_entered = True
            self._stream.__enter__()  # `close` leaves it
        records: list[bytes] = []
        while not records:
            events = self._stream.next_events()
            if not events:
                if not self.is_complete:
                    raise IncompleteStream("the events ended before `Completed`")
                break
            self.is_complete = isinstance(events[-1], Completed)
            encoded = map(self._encoder.encode, events)
            records = [record for record in encoded if record]  # not each format has each event
        return records

    def encode_error(self, error: MoondreamError) -> bytes:
        """As `Source.encode_error` says."""
        return self._encoder.encode_error(error)

    def encode_refusal(self, error: MoondreamError) -> ErrorResponse:
        """As `Source.encode_refusal` says."""
        return as_response(error, self._dialect)

    def close(self) -> None:
        """As `Source.close` says."""
        self._stream.close()


class _Stream(Protocol):
    """What a source needs of a stream."""

    def __enter__(self) -> object: ...
    def next_events(self) -> list[Event]: ...
    def close(self) -> None: ...


class _Events:
    """Any iterable of events, as a stream."""

    def __init__(self, events: Iterable[Event]) -> None:
        self._events = events
        self._iterator: Iterator[Event]

    def __enter__(self) -> None:
        self._iterator = iter(self._events)

    def next_events(self) -> list[Event]:
        for event in self._iterator:
            return [event]
        return []

    def close(self) -> None:
        close = getattr(self._events, "close", None)  # of a generator
        if close is not None:
            with suppress(ValueError):  # it runs in another thread, and ends at its next event
                close()
