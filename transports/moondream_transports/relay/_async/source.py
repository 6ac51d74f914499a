"""What a relay sends: the parts of one response, from a stream of events or from elsewhere."""

from __future__ import annotations

from collections.abc import AsyncIterable, AsyncIterator
from contextlib import suppress
from typing import Any, Protocol, cast

from moondream_transports._client._async.stream import AsyncClientStream
from moondream_transports._concurrency import async_shielded
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


class AsyncSource(Protocol):
    """The parts of one response.

    A relay calls `next_part` and `aclose` in one task. Only the sync twin may call `close` in
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

    async def next_part(self) -> bytes | None:
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

    async def aclose(self) -> None:
        """Release all that the source holds. It may not be open yet. Further calls do nothing."""
        ...


async def async_close_source(source: AsyncSource) -> None:
    """Close a source whose reader is gone, and log what fails."""
    try:
        await async_shielded(source.aclose)
    except Exception as error:  # noqa: BLE001 - nobody waits for it
        log_failure(error)


class AsyncStreamSource:
    """The events of one stream, encoded.

    `is_complete` is whether `Completed` was among them.

    Args:
        stream: an `AsyncClientStream` that is not entered, or any async iterable of events.
        encoder: of the format.
        dialect: of an error that is a whole response.
    """

    def __init__(
        self,
        stream: AsyncClientStream[Any] | AsyncIterable[Event],
        encoder: StreamEncoder,
        dialect: Dialect,
    ) -> None:
        is_stream = isinstance(stream, AsyncClientStream)
        self._stream = cast("_AsyncStream", stream) if is_stream else _AsyncEvents(stream)
        self._encoder = encoder
        self._dialect = dialect
        self._is_entered = self.is_complete = False
        self.headers = encoder.headers
        self.heartbeat = encoder.heartbeat

    async def next_part(self) -> bytes | None:
        """As `AsyncSource.next_part` says."""
        records = await self.next_records()
        return b"".join(records) if records else None

    async def next_records(self) -> list[bytes]:
        """Return the next part as records: one for each event. The list is empty at the end."""
        if not self._is_entered:
            self._is_entered = True
            await self._stream.__aenter__()  # `aclose` leaves it
        records: list[bytes] = []
        while not records:
            events = await self._stream.next_events()
            if not events:
                if not self.is_complete:
                    raise IncompleteStream("the events ended before `Completed`")
                break
            self.is_complete = isinstance(events[-1], Completed)
            encoded = map(self._encoder.encode, events)
            records = [record for record in encoded if record]  # not each format has each event
        return records

    def encode_error(self, error: MoondreamError) -> bytes:
        """As `AsyncSource.encode_error` says."""
        return self._encoder.encode_error(error)

    def encode_refusal(self, error: MoondreamError) -> ErrorResponse:
        """As `AsyncSource.encode_refusal` says."""
        return as_response(error, self._dialect)

    async def aclose(self) -> None:
        """As `AsyncSource.aclose` says."""
        await self._stream.aclose()


class _AsyncStream(Protocol):
    """What a source needs of a stream."""

    async def __aenter__(self) -> object: ...
    async def next_events(self) -> list[Event]: ...
    async def aclose(self) -> None: ...


class _AsyncEvents:
    """Any iterable of events, as a stream."""

    def __init__(self, events: AsyncIterable[Event]) -> None:
        self._events = events
        self._iterator: AsyncIterator[Event]

    async def __aenter__(self) -> None:
        self._iterator = aiter(self._events)

    async def next_events(self) -> list[Event]:
        async for event in self._iterator:
            return [event]
        return []

    async def aclose(self) -> None:
        aclose = getattr(self._events, "aclose", None)  # of a generator
        if aclose is not None:
            with suppress(ValueError):  # it runs in another thread, and ends at its next event
                await aclose()
