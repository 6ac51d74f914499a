"""Traces of exchanges that the tests make."""

from __future__ import annotations

from moondream_tools.trace import Trace
from sansio_moondream.recording import Ending, RecordingHeader
from tests.tools.trace.hostile import ENDED, recorded

STREAM = (("content-type", "text/event-stream"),)
JSON = (("content-type", "application/json"),)


def traced(
    *chunks: bytes,
    headers: tuple[tuple[str, str], ...] = STREAM,
    path: str = "/v1/query",
    status_code: int | None = 200,
    ending: Ending = ENDED,
) -> Trace:
    """Return the trace of an exchange: the head after 0.25 s, and chunks at 0, 0.1, 0.2, 0 s …"""
    header = RecordingHeader("POST", path, (), {}, status_code, headers, 0.25)
    return Trace.of(recorded(header, chunks, ending))


def texts(trace: Trace) -> list[bytes]:
    """Return the bytes of each record."""
    return [trace.decoded[item.start : item.end] for item in trace.records]
