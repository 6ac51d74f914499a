"""Clients and transports: everything that uses a socket, a file or a clock.

Start with `Client` or `AsyncClient`.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from ._client._async.client import AsyncClient
from ._client._async.stream import AsyncClientStream
from ._client._sync.client import Client
from ._client._sync.stream import ClientStream
from ._hooks import Hooks, Timeline
from ._limits import EndpointPool, Limiter, LimiterStatus, Turn
from ._map._async.concurrent_map import AsyncConcurrentMap
from ._map._sync.concurrent_map import ConcurrentMap
from ._outcome import Outcome
from ._pictures import read_image
from ._retries import RetryPolicy
from ._transport import AsyncByteStream, AsyncTransport, ByteStream, Timeouts, Transport

if TYPE_CHECKING:
    from ._adapters.aiohttp import AiohttpStream, AiohttpTransport
    from ._adapters.exceptions import map_exception
    from ._adapters.httpx import AsyncHttpxStream, AsyncHttpxTransport, HttpxStream, HttpxTransport
    from ._anyio import AnyioTransport
    from ._clock import AsyncClock, AsyncVirtualClock, Clock, VirtualClock
    from ._http11._async.stream import AsyncHTTP11Stream
    from ._http11._sync.stream import HTTP11Stream
    from ._urllib import UrllibTransport
    from .recording import (
        AsyncRecordingStream,
        AsyncRecordingTransport,
        RecordingFolder,
        RecordingStream,
        RecordingTransport,
    )
    from .replay import (
        AsyncReplayStream,
        AsyncReplayTransport,
        BreakAt,
        Fragmentation,
        Match,
        NoRecording,
        ReplayStream,
        ReplayTransport,
    )

# The httpx transports take either of two libraries, and report themselves if both are missing.
_EXTRAS = ("aiohttp", "anyio")
# These names are imported on first use: a transport needs a library that may not be installed.
_LAZY = {
    "_adapters.aiohttp": ("AiohttpStream", "AiohttpTransport"),
    "_adapters.exceptions": ("map_exception",),
    "_adapters.httpx": (
        "AsyncHttpxStream",
        "AsyncHttpxTransport",
        "HttpxStream",
        "HttpxTransport",
    ),
    "_anyio": ("AnyioTransport",),
    "_clock": ("AsyncClock", "AsyncVirtualClock", "Clock", "VirtualClock"),
    "_http11._async.stream": ("AsyncHTTP11Stream",),
    "_http11._sync.stream": ("HTTP11Stream",),
    "_urllib": ("UrllibTransport",),
    "recording": (
        "AsyncRecordingStream",
        "AsyncRecordingTransport",
        "RecordingFolder",
        "RecordingStream",
        "RecordingTransport",
    ),
    "replay": (
        "AsyncReplayStream",
        "AsyncReplayTransport",
        "BreakAt",
        "Fragmentation",
        "Match",
        "NoRecording",
        "ReplayStream",
        "ReplayTransport",
    ),
}
_MODULES = {name: module for module, names in _LAZY.items() for name in names}

__all__ = [
    "AiohttpStream",
    "AiohttpTransport",
    "AnyioTransport",
    "AsyncByteStream",
    "AsyncClient",
    "AsyncClientStream",
    "AsyncClock",
    "AsyncConcurrentMap",
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
    "ConcurrentMap",
    "EndpointPool",
    "Fragmentation",
    "HTTP11Stream",
    "Hooks",
    "HttpxStream",
    "HttpxTransport",
    "Limiter",
    "LimiterStatus",
    "Match",
    "NoRecording",
    "Outcome",
    "RecordingFolder",
    "RecordingStream",
    "RecordingTransport",
    "ReplayStream",
    "ReplayTransport",
    "RetryPolicy",
    "Timeline",
    "Timeouts",
    "Transport",
    "Turn",
    "UrllibTransport",
    "VirtualClock",
    "map_exception",
    "read_image",
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
            f"{name} needs {error.name}, which is not installed:"
            f" pip install 'sansio-moondream[{error.name}]'",
            name=error.name,
        ) from None
    globals()[name] = value
    return value
