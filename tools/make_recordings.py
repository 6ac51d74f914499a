#!/usr/bin/env python3
"""Make the recordings of the command line: python tools/make_recordings.py

No model answered. The texts are written here; boxes, points and outlines are those of
`make_scene.py`, which draws the picture. The project's own encoders write the bytes. Their form is
that of the captured responses in tests/data/traces: the heads, three tokens of text or one command
of a path in a message, and pauses in proportion to the tokens, which are longer here so that a
person can follow.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

from make_scene import BOAT, BOATS, FILE, HEIGHT, WIDTH, WINDOWS, bounds, polygons
from sansio_moondream import (
    BBox,
    CaptionRequest,
    CaptionResult,
    ChatMessage,
    ChatRequest,
    ChatResult,
    Completed,
    DetectRequest,
    DetectResult,
    Dialect,
    Endpoint,
    Event,
    Metadata,
    Metrics,
    PathChunk,
    Point,
    PointRequest,
    PointResult,
    QueryRequest,
    QueryResult,
    Request,
    SegmentRequest,
    SegmentResult,
    TextDelta,
    Usage,
    encode_events,
    encode_image,
    encode_result,
)
from sansio_moondream.paths import parse_path
from sansio_moondream.recording import Chunk, Ending, RecordedTimeouts, Recording, RecordingHeader

PICTURE = encode_image(FILE.read_bytes())
ENDPOINT = Endpoint(headers={"User-Agent": "sansio-moondream"})
HEAD = {"date": "Sun, 29 Nov 2026 08:00:00 GMT", "server": "uvicorn"}
STREAM = HEAD | {
    "cache-control": "no-cache",
    "connection": "keep-alive",
    "x-accel-buffering": "no",
    "content-type": "text/event-stream; charset=utf-8",
    "transfer-encoding": "chunked",
}
INPUT_TOKENS = 740
TIMEOUTS = RecordedTimeouts(10, 60, 30, 600)  # the defaults of `Timeouts`

ANSWER = (
    *("The image shows", " a harbour at", " night, under a", " full moon 🌕.", " A sailing boat"),
    *(" with the character", " “月” on its", " sail passes a", " striped lighthouse;"),
    *(" a fishing boat", " and a person", " rowing 🚣 are", " close by."),
)
CAPTION = (
    *(
        "A moonlit harbour:",
        " a sailing boat",
        " with “月” on",
        " its sail passes",
        " a lighthouse",
    ),
    *(" under a full", " moon 🌕, near", " a village."),
)

Timed = list[tuple[float, bytes]]  # seconds since the chunk before, and a chunk of the body
XY = tuple[float, float]


class Speed(NamedTuple):
    """How fast a model answers: seconds to the first token, and from one token to the next."""

    first: float
    token: float

    def metrics(self, tokens: int) -> Metrics:
        return Metrics(
            INPUT_TOKENS,
            tokens,
            prefill_time_ms=round(940 * self.first, 1),
            decode_time_ms=round(1000 * self.token * tokens, 1),
            ttft_ms=round(1000 * self.first, 1),
        )


# --- Texts


def text_events(deltas: Sequence[str]) -> list[Event]:
    return [TextDelta(text=text, token_index=3 * i + 2) for i, text in enumerate(deltas)]


def paced(events: Sequence[Event], speed: Speed, dialect: Dialect = Dialect.ENGINE) -> Timed:
    """Encode each event as one chunk, at the time of its tokens."""
    chunks: Timed = []
    wait, before = speed.first, -1
    for number, event in enumerate(events):
        if isinstance(event, TextDelta | PathChunk) and event.token_index is not None:
            jitter = 1 + 0.12 * math.sin(2.4 * number)
            wait += (event.token_index - before) * speed.token * jitter
            before = event.token_index
        elif isinstance(event, Completed):
            wait = 0.03
        chunks.append((round(wait, 3), encode_events([event], dialect)))
        wait = 0.0
    return chunks


def through_a_gateway(chunks: Timed) -> Timed:
    """Write a stream as a gateway does that decodes JSON, and forwards its buffer when it is full.

    Characters are UTF-8 in place of `\\u` escapes, and some are cut by the end of a chunk.
    """
    forwarded: Timed = []
    kept = b""
    for wait, record in chunks:
        if rb"\u" in record:
            message = json.loads(record.removeprefix(b"data: "))
            record = f"data: {json.dumps(message, ensure_ascii=False)}\n\n".encode()
        data = kept + record
        inside = (i for i in range(len(kept) + 1, len(data)) if data[i] & 0xC0 == 0x80)
        cut = next(inside, len(data))
        forwarded.append((wait, data[:cut]))
        kept = data[cut:]
    return forwarded


# --- The outline


def pieces(length: float) -> Iterator[list[list[XY]]]:
    """Cut each subpath of the boat into lines and curves of at most `length` pixels.

    The first one of a subpath has one point, where it begins; a curve has two handles and its end.
    """
    part: list[list[XY]] = []
    at: XY = (0, 0)
    for command in parse_path(BOAT):
        letter, numbers = command.letter, command.arguments
        points = list(zip(numbers[::2], numbers[1::2], strict=True))
        if letter == "Z":
            yield part
        elif letter == "M":
            part = [points]
        else:
            count = math.ceil(math.dist(at, points[-1]) / length)
            handles = [between(at, points[0], share) for share in (1 / 3, 2 / 3)]
            corners = [at, *(handles if letter == "L" else ()), *points]
            part += [section(corners, i / count, (i + 1) / count) for i in range(count)]
        at = points[-1] if points else at


def between(a: XY, b: XY, share: float) -> XY:
    return a[0] + (b[0] - a[0]) * share, a[1] + (b[1] - a[1]) * share


def section(corners: Sequence[XY], start: float, end: float) -> list[XY]:
    """Return the handles and the end of a part of a cubic curve, by de Casteljau's algorithm."""

    def blossom(*shares: float) -> XY:
        points = list(corners)
        for share in shares:
            points = [between(a, b, share) for a, b in pairwise(points)]
        return points[0]

    return [blossom(start, start, end), blossom(start, end, end), blossom(end, end, end)]


def edges_of(path: str) -> BBox:
    edges = zip(bounds(polygons(path)), (WIDTH, HEIGHT) * 2, strict=True)
    return BBox(*(round(edge / size, 4) for edge, size in edges))


def around(box: BBox) -> BBox:
    """Return the first box of a model: a middle and a size of few digits, somewhat too large."""
    x, y = round((box.x_min + box.x_max) / 2, 2), round((box.y_min + box.y_max) / 2, 2)
    width, height = round(box.x_max - box.x_min + 0.03, 2), round(box.y_max - box.y_min + 0.03, 2)
    return BBox(x - width / 2, y - height / 2, x + width / 2, y + height / 2)


def within(box: BBox, point: XY) -> XY:
    """Return a point of the picture, in pixels, in fractions of the box."""
    x, y = point[0] / WIDTH - box.x_min, point[1] / HEIGHT - box.y_min
    return x / (box.x_max - box.x_min), y / (box.y_max - box.y_min)


def coarse_path(box: BBox) -> Iterator[PathChunk]:
    """Draw the outline as a model does at first: few digits, and some pixels beside the edge."""
    token = 2
    for part in pieces(20):
        for i, points in enumerate(part):
            letter = "L" if i % 3 else "C" if i else "M"
            shown = points if letter == "C" else points[-1:]
            token += 1 + 2 * len(shown)
            moved = [(x + 2.5 * math.sin(y / 17), y + 2.5 * math.sin(x / 19)) for x, y in shown]
            values = [round(min(max(value, 0), 1), 2) for xy in moved for value in within(box, xy)]
            data = " ".join(f"{value:g}" for value in values)
            yield PathChunk(data=f"{' ' * (token > 5)}{letter} {data}", token_index=token)
        token += 1
        yield PathChunk(data=" z", token_index=token)


def refined_path(box: BBox) -> str:
    """Write the outline as the service's refined paths are written."""
    path = ""
    for part in pieces(10):
        for i, points in enumerate(part):
            values = [value for point in points for value in within(box, point)]
            path += "C" if i else "M"
            path += ",".join(f"{abs(value):.3f}".removeprefix("0") for value in values)
        path += "z"
    return path


# --- Answers


def segmentation(speed: Speed) -> list[Event]:
    box = edges_of(BOAT)
    coarse_box = around(box)
    coarse = list(coarse_path(coarse_box))
    about = Metadata("37", "stop", speed.metrics((coarse[-1].token_index or 0) + 1))
    result = SegmentResult(refined_path(box), box, metadata=about)
    return [coarse_box, *coarse, Completed(result)]


def recording(request: Request[Any], head: dict[str, str], chunks: Timed) -> Recording:
    (wait, first), *rest = chunks
    times: Any = {"seconds": round(wait / 2, 3), "connected": 0.031, "timeouts": TIMEOUTS}
    header = RecordingHeader.of(request.to_http(ENDPOINT), 200, head, **times)
    lines = [Chunk(round(wait - header.seconds, 3), first), *(Chunk(*chunk) for chunk in rest)]
    return Recording(header, tuple(lines), Ending(0.001))


def whole(request: Request[Any], result: DetectResult | PointResult) -> Recording:
    body = encode_result(result)
    about = {"content-length": str(len(body)), "content-type": "application/json"}
    return recording(request, HEAD | about | {"connection": "close"}, [(0.4, body)])


def streams(slow: Speed, fast: Speed) -> Iterator[tuple[Request[Any], Timed]]:
    """Make the streamed answers: requests, and their chunks."""
    text, tokens = "".join(ANSWER), 3 * len(ANSWER)
    answer = QueryResult(text, metadata=Metadata("31", "stop", slow.metrics(tokens)))
    question = QueryRequest(image=PICTURE, question="What is in this image?")
    yield question, paced([*text_events(ANSWER), Completed(answer)], slow)
    text, tokens = "".join(CAPTION), 3 * len(CAPTION)
    caption = CaptionResult(text, Metadata("35", "stop", slow.metrics(tokens)))
    short = CaptionRequest(image=PICTURE, length="short")
    yield short, paced([*text_events(CAPTION), Completed(caption)], slow)
    usage = Usage(INPUT_TOKENS, tokens, INPUT_TOKENS + tokens)
    message = ChatResult(text, None, Metadata("chatcmpl-1", "stop", usage=usage))
    chat = ChatRequest(messages=[ChatMessage("user", [PICTURE, "Describe this picture."])])
    events = [*text_events(CAPTION), Completed(message)]
    yield chat, through_a_gateway(paced(events, slow, Dialect.CHAT))
    yield SegmentRequest(image=PICTURE, object="sailboat"), paced(segmentation(fast), fast)


def make() -> dict[str, Recording]:
    """Return all recordings, by the names of their files."""
    slow, fast = Speed(0.5, 0.065), Speed(0.3, 0.008)
    boats = tuple(map(edges_of, BOATS))
    windows = tuple(Point(round(x / WIDTH, 4), round(y / HEIGHT, 4)) for x, y in WINDOWS)
    return {
        request.skill: recording(request, STREAM, chunks) for request, chunks in streams(slow, fast)
    } | {
        "detect": whole(
            DetectRequest(image=PICTURE, object="boat"),
            DetectResult(boats, Metadata("19", "stop", fast.metrics(4 * len(boats)))),
        ),
        "point": whole(
            PointRequest(image=PICTURE, object="window"),
            PointResult(windows, Metadata("20", "stop", fast.metrics(2 * len(windows)))),
        ),
    }


if __name__ == "__main__":
    for skill, one in make().items():
        (FILE.parent / f"{skill}.jsonl").write_bytes(one.encode())
