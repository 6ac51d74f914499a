"""One exchange, and any number of readers.

1. A worker reads the stream. It encodes each event once, adds the record to a `ReplayBuffer`, and
   wakes the readers. They share the bytes.
2. The last record says how the stream ended: completed, the error of the upstream, `internal` for
   another exception (which is logged), `cancelled` or `stopping`. It is a record like the others,
   so who comes late gets it too, and the status of each response is 200.
3. With `cancel_after` the upstream is cancelled when nobody has listened for so many seconds, from
   the start on. A reader that comes back in time, such as a page that is loaded again, finds it
   running.
4. Only the worker opens and closes the source. Who cancels or closes the broadcast ends the worker.
5. A broadcast has no timer for what it keeps. `AsyncBroadcasts` has one for all of its own.
"""

from __future__ import annotations

from collections.abc import AsyncIterable
from time import monotonic
from types import TracebackType
from typing import Any, Final, Self

from moondream_transports._client._async.stream import AsyncClientStream
from moondream_transports._concurrency import AsyncFlag, AsyncMutex, AsyncWorker, async_sleep
from moondream_transports.relay._asgi import AsyncRelay
from moondream_transports.relay._async.group import AsyncRelayGroup
from moondream_transports.relay._async.source import AsyncStreamSource
from moondream_transports.relay._failures import as_moondream_error
from sansio_moondream import Event, LocalProtocolError, MoondreamError
from sansio_moondream.relay import Format, ReplayBuffer, ReplayLimits, StreamEncoder
from sansio_moondream.relay._refusals import cancelled, stopping

from .subscription import AsyncSubscription

_CLOSING_SECONDS: Final = 1.0


class AsyncBroadcast:
    """Relay one stream to any number of readers, who come and go while it runs.

    Enter it with `async with`: it begins to read the stream. `subscribe` makes the response for a
    reader. After the end the records are kept for a while, for those who come late. Leaving the
    block ends a stream that runs, and all readers are informed of it.

    Args:
        stream: an `AsyncClientStream` that is not entered, or any async iterable of events.
        format: that the readers want, as in `relay`.
        limits: of what is kept, and of what may wait for one reader.
        cancel_after: seconds without a reader after which the upstream is cancelled. By default it
            goes on.
    """

    def __init__(
        self,
        stream: AsyncClientStream[Any] | AsyncIterable[Event],
        format: Format | str | StreamEncoder = Format.EVENTS,
        *,
        limits: ReplayLimits | None = None,
        cancel_after: float | None = None,
    ) -> None:
        self._source = AsyncStreamSource(stream, format)
        self._limits = limits or ReplayLimits()
        self._buffer = ReplayBuffer(self._limits)
        self._cancel_after = cancel_after
        self._mutex = AsyncMutex()
        self._worker: AsyncWorker | None = None
        self._changed: AsyncFlag
        self._heard: AsyncFlag
        self._ending: MoondreamError | None = None

    @property
    def last_id(self) -> int:
        """The id of the last record, or 0 before the first one."""
        return self._buffer.last_id

    @property
    def kept_bytes(self) -> int:
        """The size of the records that are kept for readers who come late."""
        return self._buffer.kept_bytes

    @property
    def readers(self) -> int:
        """How many readers there are now."""
        return self._buffer.readers

    @property
    def is_ended(self) -> bool:
        """Whether the last record is there."""
        return self._buffer.is_ended

    def start(self) -> None:
        """Begin to read the stream. `async with` does it.

        Raises:
            LocalProtocolError: it has begun before.
        """
        if self._worker is not None:
            raise LocalProtocolError("the broadcast has started before: make one for each stream")
        self._changed = AsyncFlag()
        self._worker = AsyncWorker(self._run, self._source.aclose)
        self._watch()

    def subscribe(
        self,
        last_event_id: int | str | None = None,
        *,
        heartbeat: float | None = 15.0,
        group: AsyncRelayGroup | None = None,
    ) -> AsyncRelay:
        """Return the response for one reader, as `relay` does.

        It has all records from the beginning on, or those behind `last_event_id`. It is 204 without
        a body if that was the last one, which stops an EventSource; 400 if the stream has no such
        record; and 404 if records that the reader needs are no longer kept.

        Args:
            last_event_id: as the header `Last-Event-ID` has it.
            heartbeat: seconds without a record, after which the reader gets a comment.
            group: that counts the readers.
        """
        return AsyncRelay(AsyncSubscription(self, last_event_id), heartbeat=heartbeat, group=group)

    def cancel(self) -> None:
        """Cancel the upstream. The last record says so. Without effect after the end."""
        self._stop(cancelled())

    async def aclose(self) -> None:
        """End the stream if it runs, as the server stops. Further calls do nothing."""
        self._stop(stopping())
        if self._worker is not None:
            await self._worker.wait(_CLOSING_SECONDS)

    async def __aenter__(self) -> Self:
        self.start()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.aclose()
