"""A recording of a short answer, and the same one broken off."""

from __future__ import annotations

from sansio_moondream.recording import Chunk, Ending, Recording, RecordingHeader

FIRST, SECOND, END = (
    'data: {"chunk": "a 月"}\n\n'.encode(),
    b'data: {"chunk": " rises"}\n\n',
    b'data: {"completed": true}\n\n',
)
BODY = FIRST + SECOND + END
HEAD = (
    ("content-type", "text/event-stream"),
    ("transfer-encoding", "chunked"),
    ("x-request-id", "7"),
)
MOON = Recording(
    RecordingHeader("POST", "/v1/query", status_code=200, response_headers=HEAD),
    tuple(Chunk(0.01, data) for data in (FIRST, SECOND, END)),
    Ending(0.01),
)
BROKEN = Recording(MOON.header, MOON.chunks[:2], Ending(0.01, "ConnectionLost", "reset"))
