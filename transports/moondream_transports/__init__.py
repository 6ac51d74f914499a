"""Clients and transports: what touches a socket, a file or a clock. Start with `Client` or
`AsyncClient`.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from ._async_client import AsyncClient
from ._async_client_stream import AsyncClientStream
from ._client import Client
from ._client_stream import ClientStream
from ._hooks import Hooks, Timeline
from ._retries import RetryPolicy
from ._transport import AsyncByteStream, AsyncTransport, ByteStream, Timeouts, Transport

if TYPE_CHECKING:
    from ._aiohttp import AiohttpStream, AiohttpTransport
    from ._anyio import AnyioTransport
    from ._clock import AsyncClock, AsyncVirtualClock, Clock, VirtualClock
    from ._fragmentation import BreakAt, Fragmentation
    from ._http11._async.stream import AsyncHTTP11Stream
    from ._http11._sync.stream import HTTP11Stream
    from ._httpx import AsyncHttpxStream, AsyncHttpxTransport, HttpxStream, HttpxTransport
    from ._recording import (
        AsyncRecordingStream,
        AsyncRecordingTransport,
        RecordingStream,
        RecordingTransport,
    )
    from ._recording_files import RecordingFolder
    from ._replay import AsyncReplayStream, AsyncReplayTransport, ReplayStream, ReplayTransport
    from ._store import NoRecording
    from ._urllib import UrllibTransport

_EXTRAS = (
    "aiohttp",
    "anyio",
)  # the httpx transports take either of two libraries, and say so themselves
# Transports are imported when they are first asked for: each needs a library of its own, which may
# not be there.
_MODULES = {
    "AiohttpStream": "_aiohttp",
    "AiohttpTransport": "_aiohttp",
    "AnyioTransport": "_anyio",
    "AsyncClock": "_clock",
    "AsyncHTTP11Stream": "_http11._async.stream",
    "AsyncHttpxStream": "_httpx",
    "AsyncHttpxTransport": "_httpx",
    "AsyncRecordingStream": "_recording",
    "AsyncRecordingTransport": "_recording",
    "AsyncReplayStream": "_replay",
    "AsyncReplayTransport": "_replay",
    "AsyncVirtualClock": "_clock",
    "Clock": "_clock",
    "Fragmentation": "_fragmentation",
    "HTTP11Stream": "_http11._sync.stream",
    "HttpxStream": "_httpx",
    "HttpxTransport": "_httpx",
    "NoRecording": "_store",
    "RecordingFolder": "_recording_files",
    "RecordingStream": "_recording",
    "RecordingTransport": "_recording",
    "BreakAt": "_fragmentation",
    "ReplayStream": "_replay",
    "ReplayTransport": "_replay",
    "UrllibTransport": "_urllib",
    "VirtualClock": "_clock",
}

__all__ = [
    "AiohttpStream",
    "AiohttpTransport",
    "AnyioTransport",
    "AsyncByteStream",
    "AsyncClient",
    "AsyncClientStream",
    "AsyncClock",
    "AsyncHTTP11Stream",
    "AsyncHttpxStream",
    "AsyncHttpxTransport",
    "AsyncRecordingStream",
    "AsyncRecordingTransport",
    "AsyncReplayStream",
    "AsyncReplayTransport",
    "AsyncTransport",
    "AsyncVirtualClock",
    "BreakAt",
    "ByteStream",
    "Client",
    "ClientStream",
    "Clock",
    "Fragmentation",
    "HTTP11Stream",
    "Hooks",
    "HttpxStream",
    "HttpxTransport",
    "NoRecording",
    "RecordingFolder",
    "RecordingStream",
    "RecordingTransport",
    "ReplayStream",
    "ReplayTransport",
    "RetryPolicy",
    "Timeline",
    "Timeouts",
    "Transport",
    "UrllibTransport",
    "VirtualClock",
]


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        value = getattr(import_module(f".{_MODULES[name]}", __name__), name)
    except ModuleNotFoundError as error:
        if error.name not in _EXTRAS:
            raise
        raise ModuleNotFoundError(
            f"{name} needs {error.name}, which is not installed: pip install 'sansio-moondream[{error.name}]'",
            name=error.name,
        ) from None
    globals()[name] = value
    return value
