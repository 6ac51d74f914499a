"""Strategies for cases of `ResponseStream`: a response, the limits, and how it ends."""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Sequence
from itertools import pairwise, product
from typing import Any, NamedTuple

from hypothesis import strategies as st

import sansio_moondream as sm
from fuzz.reference.json_text import scan
from fuzz.reference.records import lines_of, records_of
from fuzz.reference.response import Expected, expect
from sansio_moondream.testing import EVENT_STREAM, Response, record_ends, strategies

from .mutations import insert, mutated

Head = tuple[tuple[str, str], ...]


class Case(NamedTuple):
    """A response. `ending` is the error that breaks the transport, or None for a proper end."""

    request: sm.Request[Any]
    status_code: int
    headers: Head
    wire: bytes
    ending: Exception | None
    limits: sm.Limits

    def expected(self) -> Expected:
        """Compute what the reference makes of it."""
        ending = type(self.ending) if self.ending else None
        if ending and not issubclass(ending, sm.MoondreamError):
            ending = sm.ConnectionLost
        return expect(
            self.request.skill,  # type: ignore[arg-type]
            self.status_code,
            sm.Headers(self.headers),
            self.wire,
            ending,  # type: ignore[arg-type]
            self.limits,
        )


_IMAGE = sm.encode_image(b"\x89PNG\r\n\x1a\n")
_BOX = sm.BBox(0.1, 0.2, 0.3, 0.4)
_REQUESTS: list[sm.Request[Any]] = [
    sm.QueryRequest(question="?"),
    sm.CaptionRequest(image=_IMAGE),
    sm.SegmentRequest(image=_IMAGE, object="moon"),
    sm.DetectRequest(image=_IMAGE, object="moon"),
    sm.ChatRequest(messages=[sm.ChatMessage("user", "?")]),
]
_RESULTS: dict[str, sm.Result] = {
    "query": sm.QueryResult("A moon and a star"),
    "caption": sm.CaptionResult("A moon and a star"),
    "segment": sm.SegmentResult("M0,0z", _BOX),
    "detect": sm.DetectResult((_BOX,)),
    "chat": sm.ChatResult("A moon and a star"),
}


def _ordinary_answers() -> Iterator[Response]:
    """Encode an ordinary answer in each dialect of each skill: cheap to draw, and to mutate."""
    # The fast path takes only text that surely fits, so one word is longer than most records.
    words = ("A", " moon" * 30, " and", " a", " star")
    dialects = (*sm.Dialect, *[sm.Dialect.CHAT] * 4)  # the only one of a chat
    for request, dialect in product(_REQUESTS, dialects):
        skill = request.skill
        if (skill == "chat") is (dialect is sm.Dialect.CHAT):
            events: list[sm.Event] = [sm.TextDelta(word) for word in words]
            if skill == "chat":
                events = [sm.ReasoningDelta("So"), *events]
            elif skill == "segment":
                events = [_BOX, *(sm.PathChunk(word) for word in words)]
            elif skill == "detect":
                events = []
            data = sm.encode_events([*events, sm.Completed(_RESULTS[skill])], dialect)
            if dialect is sm.Dialect.CLOUD:
                data = data.replace(b"false}", b'false, "request_id": "r"}')
            yield Response(request, 200, EVENT_STREAM, data, [])
    for request in _REQUESTS:
        dialect = sm.Dialect.CHAT if request.skill == "chat" else sm.Dialect.ENGINE
        data = sm.encode_result(_RESULTS[request.skill], dialect)
        for headers in ((("content-type", "application/json"),), EVENT_STREAM, ()):
            yield Response(request, 200, headers, data, [])


_ORDINARY = st.sampled_from([*_ordinary_answers()])
_RESPONSES = (
    strategies.streams()
    | strategies.streams()
    | strategies.whole_answers()
    | strategies.error_answers()
)
_BYTES = st.tuples(
    strategies.requests(),
    st.binary(max_size=80) | st.text('dat:a {}\n\r"1[]evnro', max_size=40).map(str.encode),
).map(lambda drawn: Response(drawn[0], 200, EVENT_STREAM, drawn[1], []))
_STATUSES = st.sampled_from([201, 204, 307, 400, 404, 418, 429, 500, 503])
_CONTENT_TYPES = st.sampled_from(
    [
        *("text/event-stream", "Text/Event-Stream; charset=iso-8859-1", "application/json"),
        *("application/problem+json", "application/octet-stream", "", "", "text/html", "a/x+json"),
    ]
)
_CODINGS = st.sampled_from(
    [
        *("gzip", "deflate", "x-gzip", "GZIP ", "identity", "br"),
        *("none", "UTF-8", "identity, none", "identity, gzip", "gzip, gzip"),
    ]
)
_rarely = st.integers(0, 7).map(lambda drawn: drawn == 7)
_booleans = st.booleans()


@st.composite
def cases(draw: st.DrawFn) -> Case:
    """Generate a response of a server with mutations, or any bytes."""
    kind = draw(st.integers(0, 7))
    response = draw(_ORDINARY if kind < 5 else _RESPONSES if kind < 7 else _BYTES)
    body = mutated(draw, response.data)
    status_code, headers = response.status_code, response.headers
    if draw(_rarely):
        status_code = draw(_STATUSES)
    if draw(_rarely) or draw(_rarely):
        headers = (("content-type", draw(_CONTENT_TYPES)),)
    if draw(_rarely):
        headers += (("content-type", draw(_CONTENT_TYPES)),)
    if draw(_booleans):
        headers += (("X-Request-Id", "h1"),)
    ending = None
    if draw(_rarely) or draw(_rarely):
        body, ending = draw(strategies.breaks(body)).apply(body)
    wire = body
    if draw(_rarely):
        coding = draw(_CODINGS)
        headers += (("content-encoding", coding),)
        if "gzip" in coding.lower() or coding == "deflate":
            wire = _compressed(draw, coding, body)
    case = Case(response.request, status_code, headers, wire, ending, sm.Limits())
    return case._replace(limits=_limits(draw, case)) if draw(_booleans) else case


def _compressed(draw: st.DrawFn, coding: str, body: bytes) -> bytes:
    """Compress a body, and perhaps damage it."""
    wbits = draw(st.sampled_from([15 if coding == "deflate" else 31] * 6 + [-15]))
    if draw(_rarely):
        body = b":" + b" " * draw(st.integers(1_040_000, 3_000_000)) + b"\n" + body
    engine = zlib.compressobj(wbits=wbits)
    flushed = draw(_booleans)
    parts = []
    for start, end in pairwise([0, *record_ends(body), len(body)]):
        parts.append(engine.compress(body[start:end]))
        if flushed:
            parts.append(engine.flush(zlib.Z_SYNC_FLUSH))
    wire = b"".join(parts) + engine.flush()
    match draw(st.integers(0, 7)):
        case 4:  # another member, and junk
            return wire + zlib.compress(body, wbits=31) + b"junk"
        case 5:  # cut short
            return wire[: draw(st.integers(0, len(wire)))]
        case 6:
            return insert(wire, draw(st.integers(0, len(wire))), draw(st.binary(max_size=2)))
        case 7:  # inflated before
            return body
        case _:
            return wire


def _limits(draw: st.DrawFn, case: Case) -> sm.Limits:
    """Generate small limits, or one that the response just keeps or just exceeds."""
    expected = case.expected()
    records = [record.data for record in records_of(expected.body, 1 << 40).whole]
    lines = [len(line.text) for line in lines_of(expected.body)]
    sizes: dict[str, Sequence[int]] = {
        "max_record_bytes": [*lines, *map(len, records)] or [len(expected.body)],
        "max_text_bytes": _text_sizes(expected),
        "max_json_depth": [scan(record[:999])[0] for record in [expected.body, *records]],
        "max_error_body_bytes": [len(expected.body)],
        "max_inflate_ratio": [1, 4, 200],
    }
    name = draw(st.sampled_from(["", *sizes, *["max_record_bytes"] * 3, "max_text_bytes"]))
    if not name:
        return draw(strategies.limits(90))
    size = draw(st.sampled_from(sorted({*sizes[name]})[-3:])) - draw(st.integers(0, 1))
    return sm.Limits(**{name: max(1, size)})


def _text_sizes(expected: Expected) -> list[int]:
    """Compute the sizes of the text, of the reasoning, and of their first deltas."""
    sizes = [0]
    for kinds in ((sm.TextDelta, sm.PathChunk), (sm.ReasoningDelta,)):
        size = 0
        for event in expected.events:
            if isinstance(event, kinds):
                text = event.data if isinstance(event, sm.PathChunk) else event.text
                size += len(text.encode())
                sizes.append(size)
    return sizes


def fine(data: bytes) -> list[bytes]:
    """Split data byte by byte, or in 640 chunks if it is long."""
    step = 1 + len(data) // 640
    return [data[at : at + step] for at in range(0, len(data), step)]


@st.composite
def chunks(draw: st.DrawFn, data: bytes) -> list[bytes]:
    """Split data at any offsets, in steps, or near the ends of lines."""
    match draw(st.integers(0, 3)):
        case 0 | 1:
            return draw(strategies.fragmentations(data))
        case 2:
            step = draw(st.integers(1, 64)) + len(data) // 640
            return [data[at : at + step] for at in range(0, len(data), step)]
        case _:
            ends = [at + 1 for at, byte in enumerate(data[:4096]) if byte in b"\r\n"] or [1]
            shifts = st.lists(st.integers(-2, 1), min_size=4, max_size=4)
            picked = draw(shifts)
            cut = sorted({*(end + picked[at % 4] for at, end in enumerate(ends))} - {0})
            inside = [offset for offset in cut if 0 < offset < len(data)]
            return [data[start:end] for start, end in pairwise([0, *inside, len(data)])]
