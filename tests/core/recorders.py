"""Recorders of one exchange."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from sansio_moondream import Endpoint, HTTPRequest
from sansio_moondream.recording import MAX_BODY_BYTES, Recorder, Recording, ending_error
from sansio_moondream.testing import EVENT_STREAM, Outcome, run
from tests.helpers import QUERY

KEY = "md-key-0123456789/abcdef"
HTTP = QUERY.to_http(Endpoint("http://localhost:2020/v1", api_key=KEY))


def recorder(
    secrets: Iterable[str] = (),
    request: HTTPRequest = HTTP,
    max_body_bytes: int = MAX_BODY_BYTES,
) -> Recorder:
    return Recorder(request, [*secrets], now=100, max_body_bytes=max_body_bytes)


def recorded(
    chunks: Iterable[bytes],
    headers: Any = EVENT_STREAM,
    error: BaseException | None = None,
    status_code: int = 200,
) -> Recording:
    """Record one chunk a second, and the end a second later."""
    made = recorder()
    made.receive_response(status_code, headers, 101)
    now = 101
    for now, chunk in enumerate(chunks, 102):
        made.receive_data(chunk, now)
    return made.receive_eof(now + 1) if error is None else made.receive_error(error, now + 1)


def replayed(recording: Recording) -> Outcome:
    chunks = [chunk.data for chunk in recording.chunks]
    header = recording.header
    return run(
        QUERY,
        chunks,
        ending=ending_error(recording.ending),
        status_code=header.status_code or 0,
        headers=header.response_headers,
    )
