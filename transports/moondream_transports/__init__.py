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
    from ._adapters.aiohttp import AiohttpStream, AiohttpTransport
    from ._adapters.exceptions import map_exception
    from ._adapters.httpx import AsyncHttpxStream, AsyncHttpxTransport, HttpxStream, HttpxTransport
    from ._anyio import AnyioTransport
    from ._anyio_stream import AnyioStream
    from ._clock import AsyncClock, AsyncVirtualClock, Clock, VirtualClock
    from ._fragmentation import BreakAt, Fragmentation
    from ._recording import (
        AsyncRecordingStream,
        AsyncRecordingTransport,
        RecordingStream,
        RecordingTransport,
    )
    from ._recording_files import RecordingFolder
    from ._replay import AsyncReplayStream, AsyncReplayTransport, ReplayStream, ReplayTransport
    from ._store import NoRecording
    from ._urllib import UrllibStream, UrllibTransport

_EXTRAS = (
    "aiohttp",
    "anyio",
)  # the httpx transports take either of two libraries, and say so themselves
# Transports are imported when they are first asked for: each needs a library of its own, which may
# not be there.
_MODULES = {
    "AiohttpStream": "_adapters.aiohttp",
    "AiohttpTransport": "_adapters.aiohttp",
    "AnyioStream": "_anyio_stream",
    "AnyioTransport": "_anyio",
    "AsyncClock": "_clock",
    "AsyncHttpxStream": "_adapters.httpx",
    "AsyncHttpxTransport": "_adapters.httpx",
    "AsyncRecordingStream": "_recording",
    "AsyncRecordingTransport": "_recording",
    "AsyncReplayStream": "_replay",
    "AsyncReplayTransport": "_replay",
    "AsyncVirtualClock": "_clock",
    "Clock": "_clock",
    "Fragmentation": "_fragmentation",
    "HttpxStream": "_adapters.httpx",
    "HttpxTransport": "_adapters.httpx",
    "NoRecording": "_store",
    "RecordingFolder": "_recording_files",
    "RecordingStream": "_recording",
    "RecordingTransport": "_recording",
    "BreakAt": "_fragmentation",
    "ReplayStream": "_replay",
    "ReplayTransport": "_replay",
    "UrllibStream": "_urllib",
    "UrllibTransport": "_urllib",
    "VirtualClock": "_clock",
    "map_exception": "_adapters.exceptions",
}

__all__ = [
    "AiohttpStream",
    "AiohttpTransport",
    "AnyioStream",
    "AnyioTransport",
    "AsyncByteStream",
    "AsyncClient",
    "AsyncClientStream",
    "AsyncClock",
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
    "UrllibStream",
    "UrllibTransport",
    "VirtualClock",
    "map_exception",
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
