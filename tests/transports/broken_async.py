"""Async transports with one fault each, as in `broken`."""

from __future__ import annotations

import asyncio
from typing import Any

from moondream_transports import AnyioTransport, Timeouts
from sansio_moondream import HTTPRequest, IncompleteStream, MoondreamError

from .broken import GoodStream


class AsyncGood:
    """An asynchronous transport without faults."""

    Stream: type[GoodStream] = GoodStream

    def __init__(self) -> None:
        self.inner = AnyioTransport()

    async def send(self, request: HTTPRequest, timeouts: Timeouts) -> Any:
        return self.Stream(await self.inner.send(request, timeouts))

    async def aclose(self) -> None:
        await self.inner.aclose()


class AsyncSwallowsErrors(AsyncGood):
    class Stream(GoodStream):
        async def read(self, timeout):
            try:
                return await self.inner.read(timeout)
            except (MoondreamError, OSError):
                return b""


class SwallowsCancellation(AsyncGood):
    class Stream(GoodStream):
        async def read(self, timeout):
            try:
                return await self.inner.read(timeout)
            except asyncio.CancelledError as error:
                raise IncompleteStream("it was interrupted") from error


class GoesOnWhenCancelled(AsyncGood):
    """The request is a task of its own, which nobody ends."""

    async def send(self, request, timeouts):
        return await asyncio.shield(asyncio.create_task(super().send(request, timeouts)))


class LeavesTasks(AsyncGood):
    async def send(self, request, timeouts):
        stream = await super().send(request, timeouts)
        stream.watching = asyncio.create_task(asyncio.sleep(60))
        return stream


class NeverCloses(AsyncGood):
    """On any event loop; only the transport's own end closes anything."""

    def __init__(self):
        super().__init__()
        self.streams = []

    async def send(self, request, timeouts):
        self.streams.append(await super().send(request, timeouts))
        return self.streams[-1]

    async def aclose(self):
        for stream in self.streams:
            await stream.inner.aclose()
        await super().aclose()

    class Stream(GoodStream):
        async def aclose(self):
            pass


class DoesNotCloseWhenCancelled(NeverCloses):
    class Stream(GoodStream):
        async def aclose(self):
            await asyncio.sleep(0)  # raises, in a task that is being cancelled
            await self.inner.aclose()
