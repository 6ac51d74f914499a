"""Decode Moondream's answers from raw bytes to typed events, without any I/O.

Start with `ResponseStream`, or with the clients in `moondream_transports`. This library is
unofficial and not affiliated with Moondream.
"""

from typing import TYPE_CHECKING, Any

from ._errors import (
    APIError,
    AuthenticationError,
    BadRequestError,
    ConnectError,
    ConnectionLost,
    ConnectTimeout,
    FirstEventTimeout,
    IdleTimeout,
    IncompleteStream,
    LimitExceeded,
    LocalProtocolError,
    MoondreamError,
    NotFoundError,
    PayloadTooLargeError,
    PaymentRequiredError,
    PermissionDeniedError,
    RateLimitError,
    RemoteProtocolError,
    ServerError,
    TLSError,
    TotalTimeout,
    TransportError,
    TurnTimeout,
)
from ._events import (
    FINISHED,
    NEED_DATA,
    Completed,
    Event,
    PathChunk,
    ReasoningDelta,
    Signal,
    TextDelta,
    Unknown,
)
from ._geometry import BBox, Point
from ._headers import Headers
from ._kinds import from_dict, json_schema
from ._limits import Limits
from ._metadata import Metadata, Metrics, Stats, Timing, Tokens, Usage
from ._requests.base import Request, Settings
from ._requests.chat import ChatMessage, ChatRequest
from ._requests.endpoint import Endpoint
from ._requests.http import HTTPRequest
from ._requests.images import EncodedImage, encode_image
from ._requests.skills import (
    CaptionRequest,
    DetectRequest,
    PointRequest,
    QueryRequest,
    SegmentRequest,
)
from ._results import (
    CaptionResult,
    ChatResult,
    DetectResult,
    Grounding,
    PointResult,
    QueryResult,
    Reasoning,
    Result,
    SegmentResult,
)
from ._server.errors import ErrorResponse, encode_error, encode_stream_error
from ._server.requests import DecodedRequest, decode_request
from ._server.results import decode_result
from ._states import TRANSITIONS, State, Trigger
from ._stream import ResponseStream
from ._value import Value
from ._version import __version__
from ._wire.encode import Dialect, encode_events, encode_result

if TYPE_CHECKING:
    from ._socket_stream import SocketStream
    from ._wire.http11 import HTTP11Exchange
    from ._wire.http11_plain import ResponseHead

__all__ = [
    "FINISHED",
    "NEED_DATA",
    "TRANSITIONS",
    "APIError",
    "AuthenticationError",
    "BBox",
    "BadRequestError",
    "CaptionRequest",
    "CaptionResult",
    "ChatMessage",
    "ChatRequest",
    "ChatResult",
    "Completed",
    "ConnectError",
    "ConnectTimeout",
    "ConnectionLost",
    "DecodedRequest",
    "DetectRequest",
    "DetectResult",
    "Dialect",
    "EncodedImage",
    "Endpoint",
    "ErrorResponse",
    "Event",
    "FirstEventTimeout",
    "Grounding",
    "HTTP11Exchange",
    "HTTPRequest",
    "Headers",
    "IdleTimeout",
    "IncompleteStream",
    "LimitExceeded",
    "Limits",
    "LocalProtocolError",
    "Metadata",
    "Metrics",
    "MoondreamError",
    "NotFoundError",
    "PathChunk",
    "PayloadTooLargeError",
    "PaymentRequiredError",
    "PermissionDeniedError",
    "Point",
    "PointRequest",
    "PointResult",
    "QueryRequest",
    "QueryResult",
    "RateLimitError",
    "Reasoning",
    "ReasoningDelta",
    "RemoteProtocolError",
    "Request",
    "ResponseHead",
    "ResponseStream",
    "Result",
    "SegmentRequest",
    "SegmentResult",
    "ServerError",
    "Settings",
    "Signal",
    "SocketStream",
    "State",
    "Stats",
    "TLSError",
    "TextDelta",
    "Timing",
    "Tokens",
    "TotalTimeout",
    "TransportError",
    "Trigger",
    "TurnTimeout",
    "Unknown",
    "Usage",
    "Value",
    "__version__",
    "decode_request",
    "decode_result",
    "encode_error",
    "encode_events",
    "encode_image",
    "encode_result",
    "encode_stream_error",
    "from_dict",
    "json_schema",
]

_NEED_H11 = {
    "HTTP11Exchange": "_wire.http11",
    "ResponseHead": "_wire.http11_plain",
    "SocketStream": "_socket_stream",
}


def __getattr__(name: str) -> Any:
    """Import what needs h11 at its first use: with an HTTP client it is not needed."""
    if name not in _NEED_H11:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    value = globals()[name] = getattr(import_module(f".{_NEED_H11[name]}", __name__), name)
    return value
