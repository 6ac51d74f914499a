"""A recording and its file."""

from __future__ import annotations

from sansio_moondream import (
    ConnectError,
    ConnectionLost,
    ConnectTimeout,
    FirstEventTimeout,
    IdleTimeout,
    IncompleteStream,
    MoondreamError,
    RemoteProtocolError,
    TLSError,
    TotalTimeout,
    TransportError,
)
from sansio_moondream.recording import Chunk, Ending, Recording, RecordingHeader

HEADER = RecordingHeader(
    "POST",
    "/v1/query",
    (("accept", "text/event-stream"),),
    {"question": "What?"},
    200,
    (("content-type", "text/event-stream"),),
    0.25,
)
NO_HEAD = RecordingHeader("POST", "/v1/query", (), {})
MOON = Recording(
    HEADER,
    (
        Chunk(0.052, 'data: {"chunk": " 月🌙"}\n\n'.encode()),
        Chunk(0.01, b"\x80\x81"),
        Chunk(0, b"\n"),
    ),
    Ending(0.001),
)
MOON_FILE = """\
{"recording": 1, "request": {"method": "POST", "path": "/v1/query", \
"headers": [["accept", "text/event-stream"]], "body": {"question": "What?"}}, \
"response": {"seconds": 0.25, "status_code": 200, \
"headers": [["content-type", "text/event-stream"]]}}
[0.052, "t", "data: {\\"chunk\\": \\" 月🌙\\"}\\n\\n"]
[0.01, "b", "gIE="]
[0.0, "t", "\\n"]
[0.001, "x", "eof"]
"""
ENDING_ERRORS: list[type[MoondreamError]] = [
    TransportError,
    ConnectError,
    TLSError,
    ConnectTimeout,
    FirstEventTimeout,
    IncompleteStream,
    ConnectionLost,
    IdleTimeout,
    TotalTimeout,
    RemoteProtocolError,
]


KEY = 'k3y-with-"quotes"-and-é'
