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

from collections.abc import AsyncIterable, Iterator
from functools import partial
from threading import RLock
from time import monotonic
from types import TracebackType
from typing import Any, Final, Self

from moondream_transports._client._async.stream import AsyncClientStream
from moondream_transports._concurrency import AsyncFlag, async_sleep
from moondream_transports._workers import AsyncWorker
from moondream_transports.relay._asgi import AsyncRelay
from moondream_transports.relay._async.group import AsyncRelayGroup
from moondream_transports.relay._async.source import AsyncStreamSource, async_close_source
from moondream_transports.relay._failures import as_moondream_error
from moondream_transports.relay._relay import encoder_for
from sansio_moondream import Event, LocalProtocolError, MoondreamError
from sansio_moondream.relay import Format, ReplayLimits, StreamEncoder
from sansio_moondream.relay._refusals import cancelled, stopping

from .channel import AsyncChannel
from .subscription import AsyncSubscription

CLOSING_SECONDS: Final = 1.0


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

    Raises:
        ValueError: `cancel_after` is not above 0; or as `relay` does.
    """

    def __init__(
        self,
        stream: AsyncClientStream[Any] | AsyncIterable[Event],
        format: Format | str | StreamEncoder = Format.EVENTS,
        *,
        limits: ReplayLimits | None = None,
        cancel_after: float | None = None,
    ) -> None:
        if cancel_after is not None and not cancel_after > 0:
            message = f"cancel_after should be more than 0 seconds, or None, not {cancel_after!r}"
            raise ValueError(message)
        limits = limits or ReplayLimits()
        self._encoder, self._dialect = encoder_for(stream, format)
        self._source = AsyncStreamSource(stream, self._encoder, self._dialect)
        self._channel = AsyncChannel(limits, self._watch)
        self._batch_bytes = limits.max_waiting // 4  # so a reader that is given its turn is in time
        self._cancel_after = cancel_after
        self._worker: AsyncWorker | None = None
        self._ended: AsyncFlag
        self._mutex = RLock()  # a finalizer may run in its blocks, in any thread
        self._cancel_at = 0.0
        self._is_watched = False
        self._ending: MoondreamError | None = None

    @property
    def last_id(self) -> int:
        """The id of the last record, or 0 before the first one."""
        return self._channel.buffer.last_id

    @property
    def kept_bytes(self) -> int:
        """The size of the records that are kept for readers who come late."""
        return self._channel.buffer.kept_bytes

    @property
    def readers(self) -> int:
        """How many readers there are now."""
        return self._channel.buffer.readers

    @property
    def is_ended(self) -> bool:
        """Whether the last record is there."""
        return self._channel.buffer.is_ended

    @property
    def is_closed(self) -> bool:
        """Whether nothing is kept any more, so that nobody can join."""
        return self._channel.buffer.is_closed

    @property
    def is_expired(self) -> bool:
        """Whether it is closed, and nobody reads the rest."""
        return self.is_closed and not self.readers

    def start(self) -> None:
        """Begin to read the stream. `async with` does it.

        Raises:
            LocalProtocolError: it has begun before.
        """
        if self._worker is not None:
            raise LocalProtocolError("the broadcast has started before: make one for each stream")
        self._ended = AsyncFlag()
        close = partial(async_close_source, self._source)
        self._worker = AsyncWorker(self._run, self._source.aclose, close)
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
        if self._worker is None:
            raise LocalProtocolError("the broadcast has not started: use `async with`, or start()")
        subscription = AsyncSubscription(self._channel, self._encoder, self._dialect, last_event_id)
        return AsyncRelay(subscription, heartbeat=heartbeat, group=group)

    def expire(self, *, early: bool = False) -> None:
        """Release what was kept for long enough after the end, see `ReplayBuffer.expire`.

        Args:
            early: let nobody join from now on, if the stream has ended.
        """
        self._channel.expire(early=early)
        if self.is_closed and self._worker is not None:
            self._worker.cancel()  # of a stream that does not end after its last event

    def cancel(self) -> None:
        """Cancel the upstream. The last record says so. Without effect after the end."""
        self._stop(cancelled())

    def stop(self) -> None:
        """End the stream if it runs, as the server stops, and do not wait for it."""
        self._stop(stopping())

    async def wait_closed(self, seconds: float) -> None:
        """Return when the upstream is closed, or after `seconds`."""
        if self._worker is not None:
            await self._worker.wait(seconds)

    async def aclose(self) -> None:
        """End the stream if it runs, as the server stops. Further calls do nothing."""
        self.stop()
        await self.wait_closed(CLOSING_SECONDS)

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

    async def _run(self) -> None:
        error: MoondreamError | None = None
        try:
            while not self._ending and (records := await self._source.next_records()):
                batches = list(_batches(records, self._batch_bytes))
                for count, batch in enumerate(batches, 1):
                    is_last = self._source.is_complete and count == len(batches)
                    self._channel.append(batch, is_last=is_last)
                    await async_sleep(0)  # for the readers
            if self._source.is_complete:
                self._channel.append([b""], is_last=True)  # not each format has a record for it
        except Exception as failure:  # noqa: BLE001 - the readers get it
            if self._ending is None:  # otherwise the stream was closed under a thread that read it
                error = as_moondream_error(failure)
        finally:
            if not self.is_ended:
                last = self._encoder.encode_error(self._ending or error or stopping())
                self._channel.append([last], is_last=True)
            self._ended.set()

    def _stop(self, error: MoondreamError) -> None:
        if not self.is_ended:
            self._ending = self._ending or error
        if self._worker is not None:
            self._worker.cancel()

    def _watch(self) -> None:
        """Cancel the upstream when nobody has listened for `cancel_after` seconds."""
        if self._cancel_after is None:
            return
        with self._mutex:
            self._cancel_at = monotonic() + self._cancel_after
            is_watched, self._is_watched = self._is_watched, True
        if not is_watched:
            AsyncWorker(self._cancel_unheard, self._ended.set)

    async def _cancel_unheard(self) -> None:
        while not await self._ended.wait(max(0.0, self._cancel_at - monotonic())):
            with self._mutex:
                if self.readers:
                    self._is_watched = False
                    return
                is_time = monotonic() >= self._cancel_at
            if is_time:
                self.cancel()
                return


def _batches(records: list[bytes], max_bytes: int) -> Iterator[list[bytes]]:
    """Divide records. A batch has one, or as many as fit."""
    batch: list[bytes] = []
    size = 0
    for record in records:
        size += len(record)
        if batch and size > max_bytes:
            yield batch
            batch, size = [], len(record)
        batch.append(record)
    yield batch
