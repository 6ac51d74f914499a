"""The readers of a video: a pair of primitives, of which only the async one takes both sources.

A camera keeps only few frames. Who does not read it gets old ones later. So a reader reads at the
pace of its source, whatever its owner does meanwhile.
"""

from __future__ import annotations

from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterable, Iterator
from typing import Generic, TypeAlias, TypeVar

from moondream_transports._concurrency import (
    AsyncFlag,
    AsyncWorker,
    Worker,
    async_call_soon,
    async_shielded,
    async_sleep,
)

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
        self.error: Exception | None = None
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
        except Exception as error:  # noqa: BLE001 - the owner raises it
            self.error = error
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
        self.error: Exception | None = None
        self._take = take
        self._wake = wake
        self._is_waking = False
        self._is_closed = AsyncFlag()
        self._call_soon = async_call_soon()
        self._reader: FrameReader[F] | AsyncWorker
        if isinstance(frames, AsyncIterable):
            source = aiter(frames)
            self._reader = AsyncWorker(lambda: self._read(source), lambda: None)
        else:
            self._reader = FrameReader(frames, take, self._wake_from_thread)

    def cancel(self) -> None:
        """Stop reading, and do not wait for it. A thread stops after the frame it waits for."""
        self._reader.cancel()

    async def wait(self, seconds: float) -> bool:
        """Return True when the source is closed, or False after that time."""
        return await self._is_closed.wait(seconds)

    async def _read(self, frames: AsyncIterator[F]) -> None:
        try:
            try:
                async for frame in frames:
                    self._take(frame)
                    self._wake()
                    await async_sleep(0)  # the source may never wait
            finally:
                if (close := getattr(frames, "aclose", None)) is not None:
                    await async_shielded(close)
        except Exception as error:  # noqa: BLE001 - the owner raises it
            self.error = error
        finally:
            self._end()

    def _wake_from_thread(self) -> None:
        if not self._is_waking:  # the event loop may be busy, and nothing should queue up in it
            self._is_waking = True
            try:
                self._call_soon(self._look)
            except RuntimeError:  # the event loop is closed
                self._reader.cancel()

    def _look(self) -> None:
        self._is_waking = False
        if isinstance(self._reader, FrameReader) and self._reader.has_ended:
            self.error = self._reader.error
            self._end()
        else:
            self._wake()

    def _end(self) -> None:
        self.has_ended = True
        self._is_closed.set()
        self._wake()
