"""A response that a framework iterates over. The forms that are applications build on it.

1. The head is fixed by `open`: an error before anything was sent is a whole response.
2. A pump takes the parts, so a heartbeat can be sent while the source waits.
3. The pump does not know this object. If it is dropped, the pump is cancelled.
4. A group counts a response until its last part is sent: until the framework asks for another.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Final

from moondream_transports._concurrency import close_soon
from moondream_transports.relay._failures import as_moondream_error
from sansio_moondream import LocalProtocolError

from .group import AsyncRelayGroup
from .pump import AsyncPump
from .source import AsyncSource, async_close_source

_CLOSING_SECONDS: Final = 1.0


class AsyncRelayBody:
    """The body of one response, and its head. See `AsyncRelay`."""

    _pump: AsyncPump | None = None
    _status_code: int | None = None
    _headers: tuple[tuple[str, str], ...] = ()
    _first: bytes | None = None  # the first part, until it is read
    _is_ended = False

    def __init__(
        self,
        source: AsyncSource,
        *,
        heartbeat: float | None = 15.0,
        group: AsyncRelayGroup | None = None,
    ) -> None:
        if heartbeat is not None and not heartbeat > 0:
            raise ValueError(f"heartbeat should be more than 0 seconds, or None, not {heartbeat!r}")
        self._source = source
        self._heartbeat = heartbeat
        self._group = group

    @property
    def status_code(self) -> int:
        """Of the response. Raises LocalProtocolError before `open`."""
        if self._status_code is None:
            raise LocalProtocolError("the head of the response is not known: call `open` first")
        return self._status_code

    @property
    def headers(self) -> tuple[tuple[str, str], ...]:
        """Of the response, as pairs, without a length. Raises LocalProtocolError before `open`."""
        _ = self.status_code
        return self._headers

    async def open(self) -> None:
        """Wait until the head of the response is known. Further calls do nothing.

        That is at the first event, at an error, or after the first `heartbeat` seconds.
        """
        if self._status_code is not None:
            return
        self._require_unused()
        pump = AsyncPump(self._source)
        try:
            refusal = None if self._group is None else self._group.admit(pump)
            if refusal is not None:
                raise refusal
            self._pump = pump
            pump.start()
            part = await pump.next_part(self._heartbeat)
        except Exception as error:  # noqa: BLE001 - it is the response
            refused = self._source.encode_refusal(as_moondream_error(error))
            self._status_code, self._headers, self._first = refused
            self._is_ended = True
        except BaseException:
            self._drop()
            raise
        else:
            self._status_code, self._headers = 200, self._source.headers
            self._first = self._source.heartbeat if part == b"" else part

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        await self.open()
        part, self._first = self._first, None
        if part is not None:
            return part
        if self._pump is None or self._is_ended:
            await self._close()
            raise StopAsyncIteration
        try:
            part = await self._pump.next_part(self._heartbeat)
        except Exception as error:  # noqa: BLE001 - it ends the response
            self._is_ended = True
            return self._source.encode_error(as_moondream_error(error))
        except BaseException:
            self._drop()
            raise
        if part is None:
            await self._close()
            raise StopAsyncIteration
        return part or self._source.heartbeat

    async def aclose(self) -> None:
        """End the response, and close the upstream at once. Further calls do nothing."""
        self._first = None
        await self._close()

    async def _close(self) -> None:
        self._drop()
        if self._pump is None:
            await async_close_source(self._source)
        else:
            await self._pump.wait_closed(_CLOSING_SECONDS)

    def _require_unused(self) -> None:
        if self._is_ended and self._first is None:
            raise LocalProtocolError(
                "the response was sent or closed before: make one for each request"
            )

    def _drop(self) -> None:
        self._is_ended = True
        if self._pump is not None:
            self._pump.stop()
            if self._group is not None:
                self._group.release(self._pump)

    def __del__(self) -> None:
        close_soon(self._drop)
