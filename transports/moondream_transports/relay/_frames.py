"""The readers of a video: a pair of primitives, of which only the async one takes both sources.

A camera keeps only few frames. Who does not read it gets old ones later. So a reader reads at the
pace of its source, whatever its owner does meanwhile.
"""

from __future__ import annotations

from collections.abc import (
    AsyncIterable,
    AsyncIterator,
    Callable,
    Coroutine,
    Iterable,
    Iterator,
)
from contextlib import suppress
from functools import partial
from typing import Any, Generic, TypeAlias, TypeVar

from moondream_transports._concurrency import (
    AsyncFlag,
    as_failure,
    async_call_soon,
    async_shielded,
    async_sleep,
)
from moondream_transports._workers import AsyncWorker, Worker

F = TypeVar("F")
Frames: TypeAlias = Iterable[F]
AsyncFrames: TypeAlias = AsyncIterable[F] | Iterable[F]


class FrameReader(Generic[F]):
    """Read frames in a thread, and close their source at the end.

    Args:
        frames: the source. It may block.
        take: is called in the thread with each frame.
        wake: is called in the thread after each frame, and after the end.

    Attributes:
        has_ended: the source gives no more frames.
        error: that the source raised.

    Raises:
        TypeError: the source is not iterable.
    """

    def __init__(
        self, frames: Frames[F], take: Callable[[F], object], wake: Callable[[], object]
    ) -> None:
        self.has_ended = False
        self.error: BaseException | None = None
        self._is_cancelled = False
        self._take = take
        self._wake = wake
        source = iter(frames)
        self._worker = Worker(lambda: self._read(source), lambda: None)

    def cancel(self) -> None:
        """Stop reading after the frame for which the thread waits now, and do not wait for it."""
        self._is_cancelled = True

    def wait(self, seconds: float) -> bool:
        """Return True when the source is closed, or False after that time."""
        return self._worker.wait(seconds)

    def _read(self, frames: Iterator[F]) -> None:
        try:
            try:
                for frame in frames:
                    if self._is_cancelled:
                        break
                    self._take(frame)
                    self._wake()
            finally:
                if (close := getattr(frames, "close", None)) is not None:
                    close()
        except BaseException as error:  # noqa: BLE001 - the owner raises it
            self.error = as_failure(error)
        self.has_ended = True
        self._wake()


class AsyncFrameReader(Generic[F]):
    """Read frames in a task, or in a thread if their source is not async, and close it at the end.

    Args:
        frames: the source.
        take: is called with each frame, perhaps in the thread.
        wake: is called in the event loop after one or more frames, and after the end.

    Attributes:
        has_ended: the source gives no more frames.
        error: that the source raised.

    Raises:
        TypeError: the source is not iterable.
    """

    def __init__(
        self,
        frames: AsyncFrames[F],
        take: Callable[[F], object],
        wake: Callable[[], object],
    ) -> None:
        self.has_ended = False
        self.error: BaseException | None = None
        self._take = take
        self._wake = wake
        self._thread: FrameReader[F] | None = None
        if isinstance(frames, AsyncIterable):
            source = aiter(frames)
            self._worker = AsyncWorker(lambda: self._run(partial(self._read, source)), lambda: None)
        else:
            news = _AsyncNews()
            self._thread = thread = FrameReader(frames, take, news.set)
            self._worker = AsyncWorker(
                lambda: self._run(partial(self._follow, thread, news)), lambda: None
            )

    def cancel(self) -> None:
        """Stop reading, and do not wait for it. A thread stops after the frame it waits for."""
        if self._thread is None:
            self._worker.cancel()
        else:
            self._thread.cancel()

    async def wait(self, seconds: float) -> bool:
        """Return True when the source is closed. After that time cancel the task, return False."""
        if not (is_closed := await self._worker.wait(seconds)):
            self._worker.cancel()
            await self._worker.wait(seconds)
        return is_closed

    async def _run(self, read: Callable[[], Coroutine[Any, Any, None]]) -> None:
        try:
            await read()
        except BaseException as error:  # noqa: BLE001 - the owner raises it, if it did not cancel
            self.error = as_failure(error)
        self.has_ended = True
        self._wake()

    async def _read(self, frames: AsyncIterator[F]) -> None:
        try:
            async for frame in frames:
                self._take(frame)
                self._wake()
                await async_sleep(0)  # the source may never wait
        finally:
            if (close := getattr(frames, "aclose", None)) is not None:
                await async_shielded(close)

    async def _follow(self, thread: FrameReader[F], news: _AsyncNews) -> None:
        try:
            while await news.wait() and not thread.has_ended:
                self._wake()
        finally:
            thread.cancel()  # where the event loop ends
        self.error = thread.error


class _AsyncNews:
    """Wake one task of the current event loop from any thread.

    The loop may be busy for long, so it is called once for several calls of `set`.
    """

    def __init__(self) -> None:
        self._flag = AsyncFlag()
        self._is_due = False
        self._call_soon = async_call_soon()

    def set(self) -> None:
        """End the wait of the task, or its next one."""
        if not self._is_due:
            self._is_due = True
            with suppress(RuntimeError):  # the event loop is closed, and the task went with it
                self._call_soon(self._set)

    async def wait(self) -> bool:
        """Wait for the next call of `set`."""
        await self._flag.wait()
        self._flag.clear()
        return True

    def _set(self) -> None:
        self._is_due = False
        self._flag.set()
