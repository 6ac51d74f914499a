"""Recordings of any answer, right and wrong, in any chunks, and what a trace of each should be."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from hypothesis import strategies as st

from moondream_tools.trace import Trace
from moondream_tools.trace._fault import fault_of
from sansio_moondream import MoondreamError, Request, ResponseStream
from sansio_moondream.recording import (
    LEFT,
    OMITTED,
    Chunk,
    Ending,
    Recording,
    RecordingHeader,
    ending_error,
)
from sansio_moondream.testing import Outcome, run, strategies
from tests.core.fragments import fragments
from tests.core.recordings import ENDING_ERRORS
from tests.helpers import REQUESTS

PATHS = {
    skill: f"/v1/{'chat/completions' if skill == 'chat' else skill}" for skill in (*REQUESTS, "moo")
}
CONTENT_TYPES: list[tuple[tuple[str, str], ...]] = [
    (("content-type", "text/event-stream; charset=utf-8"),),
    (("content-type", "application/json"),),
    (),
    (("content-type", "text/html"),),
]
CODINGS = ["gzip", "deflate", "br", "identity"]
ENDED = Ending(0.5)
ENDINGS = [
    ENDED,
    Ending(0.5, LEFT),
    Ending(0.5, OMITTED, "7 bytes"),
    Ending(0.5, "TimeoutError"),
    *(Ending(0.5, kind.__name__, "broken") for kind in ENDING_ERRORS),
]
bodies = st.one_of(
    st.lists(fragments, max_size=12).map(b"".join),
    strategies.streams().map(lambda response: response.data),
    strategies.whole_answers().map(lambda response: response.data),
    strategies.error_answers().map(lambda response: response.data),
    st.binary(max_size=100),
)


@st.composite
def recordings(draw: st.DrawFn) -> Recording:
    """Generate a recording of any skill, head, body, coding and ending, in up to 13 chunks."""
    if draw(st.booleans()):
        response = draw(strategies.streams() | strategies.whole_answers())
        skill, headers, body = response.request.skill, list(response.headers), response.data
        status_code = 200
    else:
        skill = draw(st.sampled_from(sorted(PATHS)))
        headers = list(draw(st.sampled_from(CONTENT_TYPES)))
        body = draw(bodies)
        status_code = draw(st.sampled_from([200, 200, 200, 204, 302, 404, 500]))
    coding = draw(st.none() | st.sampled_from(CODINGS))
    if coding is not None:
        headers.append(("content-encoding", coding))
        body = draw(st.sampled_from(compressed(coding, body)))
    header = RecordingHeader("POST", PATHS[skill], (), {}, status_code, tuple(headers), 0.25)
    return recorded(header, draw(strategies.fragmentations(body)), draw(st.sampled_from(ENDINGS)))


def compressed(coding: str, body: bytes) -> list[bytes]:
    """Compress a body: right, not at all, cut short, and damaged."""
    packed = {"gzip": gzip.compress(body, mtime=0), "deflate": zlib.compress(body)}.get(coding)
    if packed is None:
        return [body]
    middle = len(packed) // 2
    damaged = packed[:middle] + bytes((packed[middle] ^ 0xFF,)) + packed[middle + 1 :]
    return [packed, body, packed[:-9], damaged]


def recorded(header: RecordingHeader, chunks: Sequence[bytes], ending: Ending = ENDED) -> Recording:
    """Record chunks at intervals that differ."""
    made = (Chunk(index % 3 / 10, data) for index, data in enumerate(chunks) if data)
    return Recording(header, tuple(made), ending)


def expected(recording: Recording, request: Request[Any]) -> Outcome:
    """Decode the body of a recording as one chunk. A silence ends it at the client's deadline."""
    body = b"".join(chunk.data for chunk in recording.chunks)
    status_code, headers = recording.header.status_code or 0, recording.header.response_headers
    ending: Exception | None = ending_error(recording.ending)
    if recording.ending.fault == "TimeoutError":
        stream = ResponseStream(request)
        stream.receive_response(status_code, headers)
        stream.receive_data(body)
        has_event = False
        with suppress(MoondreamError):
            has_event = next(iter(stream.events()), None) is not None
        ending = fault_of(recording.ending, 0.0, has_event=has_event, timeouts=None)
    return run(request, [body], ending=ending, status_code=status_code, headers=headers)


def content(trace: Trace) -> dict[str, Any]:
    """Return what a trace has in any chunks of the same bytes."""
    return {
        "body": trace.body,
        "decoded": trace.decoded,
        "records": [(item.start, item.end, item.event, item.message) for item in trace.records],
        "messages": trace.messages,
        "events": [(item.record, item.value) for item in trace.events],
        "states": [(item.state, item.trigger) for item in trace.states],
        "error": trace.error,
        "result": trace.result,
    }
