"""The newest answers of a video. The choice of frames is `sansio_moondream.relay.Newest`.

1. A reader takes each frame from its source at once, and offers it. Only `_drive` begins turns.
2. While an answer is not yet taken, no turn begins. So a slow user slows the requests down: none of
   their answers is lost, and no memory grows.
3. Each turn has a worker. It encodes, asks, and ends the turn in any case.
4. A turn that is cancelled while its frame is encoded ends after that, because a thread cannot be
   interrupted. So there are never more threads than turns.
5. The workers and the reader know the video, not the iterator. If a loop is left, the iterator is
   finalized, and stops them.
6. No worker begins while an event loop ends: trio refuses it, and asyncio would wait for it. So
   where a worker or the reader is cancelled by somebody else, the video fails, and no turn begins.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from functools import partial
from threading import RLock
from time import monotonic
from types import TracebackType
from typing import Generic, Self, TypeVar

from moondream_transports._client._async.client import AsyncClient
from moondream_transports._concurrency import (
    AsyncFlag,
    as_failure,
    async_in_thread,
    async_shielded,
    close_soon,
)
from moondream_transports._exchange import R
from moondream_transports._workers import AsyncWorker
from moondream_transports.relay._answer import Answer
from moondream_transports.relay._frames import AsyncFrameReader, AsyncFrames
from sansio_moondream import Completed, MoondreamError, Request
from sansio_moondream.relay import Newest, Turn

F = TypeVar("F")

_GRACE = 1.0  # seconds: a source may wait for its next frame for ever, and a thread with it


class AsyncLatest(Generic[F, R]):
    """The answers to the newest frames of a video. `latest` makes it.

    Iterate over it in one task. It begins with the first `anext`. It ends when the frames have
    ended and the last one is answered. Leaving the loop early stops everything; `aclose()`, or the
    end of an `async with` block, also waits for that.
    """

    def __init__(
        self,
        client: AsyncClient,
        frames: AsyncFrames[F],
        request: Callable[[F], Request[R]],
        newest: Newest[F],
        *,
        partial: bool,
        raise_errors: bool,
    ) -> None:
        self._video = _AsyncVideo(client, frames, request, newest, partial)
        self._raise_errors = raise_errors

    def __aiter__(self) -> AsyncIterator[Answer[F, R]]:
        return self

    async def __anext__(self) -> Answer[F, R]:
        try:
            answer = await self._video.next()
            if self._raise_errors and answer.error is not None:
                raise answer.error
        except BaseException:
            await self.aclose()
            raise
        return answer

    async def aclose(self) -> None:
        """Cancel what runs, and close the source.

        Waits for both, but at most a second for a source that still waits for its next frame. Its
        thread closes it after that frame. Further calls do nothing.
        """
        await async_shielded(self._video.aclose)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.aclose()

    def __del__(self) -> None:
        if hasattr(self, "_video"):
            close_soon(self._video.stop)


class _AsyncRun(Generic[F]):
    """One turn, with the worker that asks its frame.

    Attributes:
        is_cancelled: its answer is not wanted any more.
        close: ends the stream, once there is one.
    """

    worker: AsyncWorker
    close: Callable[[], object] | None = None
    is_cancelled = False

    def __init__(self, turn: Turn[F]) -> None:
        self.turn = turn

    def interrupt(self) -> None:
        """End what the worker waits for, if it is a thread."""
        close = self.close
        if close is not None:
            close()


class _AsyncVideo(Generic[F, R]):
    """What the iterator and its workers share. A reader in a thread only calls `_offer`."""

    def __init__(
        self,
        client: AsyncClient,
        frames: AsyncFrames[F],
        request: Callable[[F], Request[R]],
        newest: Newest[F],
        partial: bool,
    ) -> None:
        self._client = client
        self._frames = frames
        self._request = request
        self._newest = newest
        self._partial = partial
        self._lock = RLock()  # a finalizer may run in a thread that has it
        self._reader: AsyncFrameReader[F] | None = None
        self._runs: dict[int, _AsyncRun[F]] = {}
        self._ready: list[Answer[F, R]] = []
        self._unfinished: Answer[F, R] | None = None
        self._failure: BaseException | None = None
        self._is_closed = False

    async def next(self) -> Answer[F, R]:
        """Return the next answer. Raises StopAsyncIteration, or what the user's code raised."""
        with self._lock:  # a thread that reads faster than this ends waits for it
            if self._reader is None and not self._is_closed:
                self._news = AsyncFlag()
                self._reader = AsyncFrameReader(self._frames, self._offer, self._drive)
        while True:
            with self._lock:
                if self._is_closed or self._reader is None:
                    raise StopAsyncIteration
                self._news.clear()
                answer = self._take()
                is_over = answer is None and self._is_over(self._reader)
            if is_over:
                raise self._failure or self._reader.error or StopAsyncIteration
            if answer is not None:
                self._drive()
                return answer
            await self._news.wait()

    def stop(self) -> list[_AsyncRun[F]]:
        """Cancel what runs and stop reading, without waiting for it. Returns what ran."""
        with self._lock:
            is_first, self._is_closed = not self._is_closed, True
            runs = list(self._runs.values())
            for run in runs:
                run.is_cancelled = True
        if is_first and self._reader is not None:
            self._reader.cancel()
            for run in runs:
                run.worker.cancel()
        return runs

    async def aclose(self) -> None:
        """Stop, and wait until nothing is left."""
        runs = self.stop()
        if self._reader is not None:
            self._news.set()
            for run in runs:
                await run.worker.wait(_GRACE)
            await self._reader.wait(_GRACE)

    def _offer(self, frame: F) -> None:
        with self._lock:
            turn = self._newest.offer(frame)
            if turn is not None:
                self._runs[turn.number].is_cancelled = True

    def _drive(self) -> None:
        """Do what a new frame, the end of a turn or a taken answer calls for."""
        with self._lock:
            cancelled = [
                run
                for run in self._runs.values()
                if run.is_cancelled and run.close is not None  # otherwise it still encodes
            ]
            may_begin = not (self._is_closed or self._ready or self._has_failed())
            while may_begin and (turn := self._newest.begin()) is not None:
                run = _AsyncRun[F](turn)
                run.worker = AsyncWorker(partial(self._ask, run), run.interrupt)
                self._runs[turn.number] = run
        for run in cancelled:
            run.worker.cancel()
        self._news.set()

    async def _ask(self, run: _AsyncRun[F]) -> None:
        began = monotonic()
        result: R | None = None
        error: MoondreamError | None = None
        try:
            request = await async_in_thread(self._request, run.turn.frame)
            stream = self._client.stream(request)
            run.close = stream.aclose
            if not self._is_wanted(run):
                return
            async with stream:
                if not self._is_wanted(run):  # closed by another thread before it was open
                    return
                async for event in stream:
                    if self._partial and not isinstance(event, Completed):
                        self._show(run, stream.snapshot, monotonic() - began)
                result = await stream.result()
        except MoondreamError as caught:
            error = caught
        except BaseException as caught:  # noqa: BLE001 - the iterator raises it
            if self._is_wanted(run):  # otherwise it is our cancellation
                self._failure = as_failure(caught)
        finally:
            self._end(run, result, error, monotonic() - began)

    def _show(self, run: _AsyncRun[F], snapshot: R | None, seconds: float) -> None:
        with self._lock:
            if self._is_wanted(run):
                skipped = self._newest.skipped(run.turn)
                self._unfinished = Answer(run.turn.frame, snapshot, None, seconds, skipped)
        self._news.set()

    def _end(
        self,
        run: _AsyncRun[F],
        result: R | None,
        error: MoondreamError | None,
        seconds: float,
    ) -> None:
        turn = run.turn
        run.close = None
        del run.turn  # the run is in a cycle with its worker, and frames are large
        with self._lock:
            del self._runs[turn.number]
            self._unfinished = None
            skipped = self._newest.skipped(turn)
            if self._newest.end(turn) and not (result is None and error is None):
                self._ready.append(Answer(turn.frame, result, error, seconds, skipped))
        self._drive()

    def _is_wanted(self, run: _AsyncRun[F]) -> bool:
        return not run.is_cancelled

    def _take(self) -> Answer[F, R] | None:
        if self._ready:
            return self._ready.pop(0)
        answer, self._unfinished = self._unfinished, None
        return answer

    def _is_over(self, reader: AsyncFrameReader[F]) -> bool:
        if self._runs:
            return False
        return self._has_failed() or (reader.has_ended and self._newest.is_idle)

    def _has_failed(self) -> bool:
        """Return whether no turn begins any more, though the video is open."""
        is_read = self._reader is None or isinstance(self._reader.error, Exception | None)
        return self._failure is not None or not is_read
