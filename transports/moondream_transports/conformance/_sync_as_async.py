"""A sync client and its streams with the methods of the async ones.

A check is written once, as a coroutine. Nothing in these coroutines ever waits.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Any, cast

from moondream_transports import Client, ClientStream
from sansio_moondream import Event, Request


class ClientAsAsync:
    """A Client that looks like an AsyncClient."""

    def __init__(self, client: Client) -> None:
        self._client = client

    def stream(self, request: Request[Any], **options: Any) -> StreamAsAsync:
        return StreamAsAsync(self._client.stream(request, **options))

    def __getattr__(self, name: str) -> Callable[..., Any]:
        method = getattr(self._client, name)

        async def call(*args: Any, **kwargs: Any) -> Any:
            return method(*args, **kwargs)

        def stream(**kwargs: Any) -> StreamAsAsync:
            return StreamAsAsync(method(**kwargs))

        return stream if name.startswith("stream_") else call


class StreamAsAsync:
    """A ClientStream that looks like an AsyncClientStream. `sync` is the stream itself."""

    def __init__(self, stream: ClientStream[Any]) -> None:
        self.sync = stream

    @property
    def snapshot(self) -> Any:
        return self.sync.snapshot

    async def result(self) -> Any:
        return self.sync.result()

    async def aclose(self) -> None:
        self.sync.close()

    async def __aenter__(self) -> StreamAsAsync:
        self.sync.__enter__()
        return self

    async def __aexit__(self, *error: Any) -> None:
        self.sync.__exit__(*error)

    def __aiter__(self) -> AsyncIterator[Event]:
        return self

    async def __anext__(self) -> Event:
        try:
            return next(self.sync)
        except StopIteration:
            raise StopAsyncIteration from None


class BytesAsAsync:
    """A ByteStream that looks like an AsyncByteStream."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    async def read(self, timeout: float | None) -> bytes:
        return cast(bytes, self._stream.read(timeout))

    async def aclose(self) -> None:
        self._stream.close()
