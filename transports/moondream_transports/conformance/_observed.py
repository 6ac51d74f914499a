"""A transport whose errors are seen before the client removes their frames."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from moondream_transports import Timeouts
from sansio_moondream import HTTPRequest

_Keep = Callable[[BaseException], None]


class _Around:
    def __init__(self, inner: Any, keep: _Keep) -> None:
        self._inner = inner
        self._keep = keep

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)


class ObservedTransport(_Around):
    """Call `keep` with each error of a sync transport and of its streams."""

    def send(self, request: HTTPRequest, timeouts: Timeouts) -> Any:
        try:
            return _ObservedStream(self._inner.send(request, timeouts), self._keep)
        except Exception as error:
            self._keep(error)
            raise


class _ObservedStream(_Around):
    def read(self, timeout: float | None) -> Any:
        try:
            return self._inner.read(timeout)
        except Exception as error:
            self._keep(error)
            raise


class AsyncObservedTransport(_Around):
    """Call `keep` with each error of an async transport and of its streams."""

    async def send(self, request: HTTPRequest, timeouts: Timeouts) -> Any:
        try:
            return _AsyncObservedStream(await self._inner.send(request, timeouts), self._keep)
        except Exception as error:
            self._keep(error)
            raise


class _AsyncObservedStream(_Around):
    async def read(self, timeout: float | None) -> Any:
        try:
            return await self._inner.read(timeout)
        except Exception as error:
            self._keep(error)
            raise
