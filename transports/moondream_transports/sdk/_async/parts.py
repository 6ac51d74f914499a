"""The async generators of a streamed answer."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from types import TracebackType
from typing import Any, TypeVar, cast
from weakref import ref as weakref

from moondream_transports import AsyncClientStream
from moondream_transports._concurrency import async_close_soon
from moondream_transports.sdk._forms import Output, complete
from sansio_moondream import Event

T = TypeVar("T")


class AsyncParts(AsyncGenerator[T, None]):
    """Yield the parts of an answer as they arrive.

    `aclose`, an exception or dropping it ends it, like an async generator. It is a class because a
    generator that was never started cannot close the stream that it reads. Fields that are known
    only at the end of the answer are added to `output`.
    """

    def __init__(
        self,
        stream: AsyncClientStream[Any],
        part: Callable[[Event], Any],
        output: Output | None = None,
    ) -> None:
        self._stream = stream
        self._part = part
        self._output = None if output is None else weakref(output)
        self._is_over = False

    async def asend(self, value: None) -> T:
        if self._is_over:
            raise StopAsyncIteration
        try:
            async for event in self._stream:
                complete(self._output, event)
                if (part := self._part(event)) is not None:
                    return cast(T, part)
        except BaseException:
            await self.aclose()
            raise
        await self.aclose()
        raise StopAsyncIteration

    async def athrow(self, typ: Any, val: Any = None, tb: TracebackType | None = None) -> T:
        await self.aclose()
        raise typ if val is None else val

    async def aclose(self) -> None:
        self._is_over = True
        await self._stream.aclose()

    def __del__(self) -> None:
        if not self._is_over:
            async_close_soon(self.aclose)
