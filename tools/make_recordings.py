#!/usr/bin/env python3
"""Make the recordings of the command line from captured responses: python tools/make_recordings.py

The captured responses (tests/data/traces) have the framing, the field names and the pauses of the
servers, and made-up texts. We remove the HTTP framing, and stretch the pauses so that a person can
follow. Texts end before their test characters. The outline gets the coordinates of the moon in the
picture, number by number. The metadata of the last message is changed to fit.

There is no captured chat. Ours is the caption's text, in the form that the service documents.
"""

from __future__ import annotations

import base64
import json
import math
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h11

from sansio_moondream import (
    CaptionRequest,
    CaptionResult,
    ChatMessage,
    ChatRequest,
    ChatResult,
    Completed,
    DetectRequest,
    Dialect,
    Endpoint,
    Event,
    Metadata,
    PointRequest,
    QueryRequest,
    Request,
    ResponseStream,
    SegmentRequest,
    Usage,
    encode_events,
    encode_image,
)
from sansio_moondream.recording import Chunk, Ending, Recording, RecordingHeader

ROOT = Path(__file__).parent.parent
TRACES = ROOT / "tests" / "data" / "traces"
RECORDINGS = ROOT / "tools" / "moondream_tools" / "recordings"
MOON = encode_image((RECORDINGS / "moon.png").read_bytes())
ENDPOINT = Endpoint(headers={"User-Agent": "sansio-moondream"})

# The moon in moon.png is a disc without another disc. Each has x and y of its centre and a radius,
# in pixels.
MOON_SIZE = 96
DISC, SHADOW = (48.1, 46.1, 36.1), (66.9, 35.2, 33.5)

Timed = list[tuple[float, bytes]]  # seconds since the request, and a chunk of the body


def read_trace(name: str) -> tuple[int, list[tuple[bytes, bytes]], Timed]:
    """Return the status, the headers, and the chunks of the body with their times."""
    trace = json.loads((TRACES / f"{name}.json").read_text("utf-8"))
    connection = h11.Connection(h11.CLIENT)
    connection.send(h11.Request(method="POST", target="/", headers=[("host", "localhost")]))
    connection.send(h11.EndOfMessage())
    response: h11.Response | None = None
    chunks: Timed = []
    for milliseconds, chunk in zip(trace["chunk_ms"], trace["response_chunks_b64"], strict=True):
        connection.receive_data(base64.b64decode(chunk))
        while not isinstance(
            event := connection.next_event(), type(h11.NEED_DATA) | h11.EndOfMessage
        ):
            if isinstance(event, h11.Response):
                response = event
            elif isinstance(event, h11.Data):
                chunks.append((milliseconds / 1000, bytes(event.data)))
    assert response is not None
    return response.status_code, list(response.headers), chunks


def shorten_text(chunks: Timed, after: str, last: str) -> Timed:
    """End a text after the chunk `after`, with an end-of-stream message that has `last`."""
    messages = [json.loads(chunk.removeprefix(b"data: ")) for _, chunk in chunks]
    count = 1 + [message["chunk"] for message in messages].index(after)
    end = messages[-1] | {"chunk": last}
    whole = "".join(message["chunk"] for message in messages[:count]) + last
    end |= {field: whole for field in ("answer", "caption") if field in end}
    end["metrics"]["output_tokens"] = messages[count]["token_index"] + 1
    return [*chunks[:count], (chunks[count][0], b"data: " + json.dumps(end).encode() + b"\n\n")]


def around_the_moon(share: float) -> tuple[float, float]:
    """Return a point of the moon's outline, in fractions of the picture.

    The outline goes from one horn along the disc to the other horn, and back along the shadow.
    `share` is the position on this way, from 0 to 1.
    """
    (x, y, r), (sx, sy, sr) = DISC, SHADOW
    between = math.dist((x, y), (sx, sy))
    towards = math.atan2(sy - y, sx - x)
    # The angles between the line of the centres and a horn, at the disc and at the shadow.
    wide = math.acos((between**2 + r**2 - sr**2) / (2 * between * r))
    narrow = math.acos((between**2 + sr**2 - r**2) / (2 * between * sr))
    if share < 0.6:
        angle, radius = towards + wide + (math.tau - 2 * wide) * share / 0.6, r
    else:
        angle, x, y, radius = (
            towards + math.pi + narrow - 2 * narrow * (share - 0.6) / 0.4,
            sx,
            sy,
            sr,
        )
    return (x + radius * math.cos(angle)) / MOON_SIZE, (y + radius * math.sin(angle)) / MOON_SIZE


def bend(path: str, box: dict[str, float], decimals: int, number: str) -> str:
    """Return a path with the same commands, with coordinates around the moon.

    Args:
        path: the captured path.
        box: the box that the coordinates are relative to.
        decimals: of the coordinates.
        number: the format of a coordinate.
    """
    coordinates = re.findall(r"[0-9.]+", path)
    count = len(coordinates) // 2
    width, height = box["x_max"] - box["x_min"], box["y_max"] - box["y_min"]

    def bent() -> Iterator[str]:
        for i in range(count):
            x, y = around_the_moon(i / (count - 1))
            for value in ((x - box["x_min"]) / width, (y - box["y_min"]) / height):
                yield number.format(round(min(max(value, 0), 1), decimals))

    numbers = bent()
    return re.sub(r"[0-9.]+", lambda _: next(numbers), path)


def fit_to_the_moon(chunks: Timed) -> Timed:
    """Return a segmentation in the same chunks, with the outline of the moon in the picture."""
    messages = [json.loads(chunk.removeprefix(b"data: ")) for _, chunk in chunks]
    first, *deltas, last = messages
    edges = [around_the_moon(i / 1000) for i in range(1001)]
    first["bbox"] |= {"x_min": 0.12, "x_max": 0.83, "y_min": 0.09, "y_max": 0.87}
    last["bbox"] = {
        f"{axis}_{name}": round(edge(point[i] for point in edges), 4)
        for name, edge in (("min", min), ("max", max))
        for i, axis in enumerate("xy")
    }
    bent = bend("|".join(delta["chunk"] for delta in deltas), first["bbox"], 2, "{:g}").split("|")
    for delta, http_chunk in zip(deltas, bent, strict=True):
        delta["chunk"] = http_chunk
    last["path"] = bend(last["path"], last["bbox"], 3, "{:.3f}").replace("0.", ".")
    return [
        (when, b"data: " + json.dumps(message).encode() + b"\n\n")
        for (when, _), message in zip(chunks, messages, strict=True)
    ]


def slow_down(chunks: Timed, seconds: float) -> Timed:
    """Stretch the times so that the last chunk comes after `seconds`.

    The times in the metadata of the last message are stretched too.
    """
    factor = seconds / chunks[-1][0]
    *before, (end, last) = [(when * factor, chunk) for when, chunk in chunks]
    prefix = b"data: " if last.startswith(b"data: ") else b""
    message = json.loads(last.removeprefix(prefix))
    metrics: dict[str, float] = message["metrics"]
    share = 1000 * seconds / (metrics["ttft_ms"] + metrics["decode_time_ms"])
    message["metrics"] = {
        name: round(value * share, 1) if name.endswith("_ms") else value
        for name, value in metrics.items()
    }
    compact = None if prefix else (",", ":")  # as the server writes streams and whole answers
    return [
        *before,
        (
            end,
            prefix + json.dumps(message, separators=compact).encode() + last[len(last.rstrip()) :],
        ),
    ]


def as_chat(chunks: Timed) -> Timed:
    """Return a caption in the form of a chat, chunk by chunk."""
    stream = ResponseStream(CaptionRequest(image=MOON))
    stream.receive_response(200, {"content-type": "text/event-stream"})
    changed: Timed = []
    for when, chunk in chunks:
        stream.receive_data(chunk)
        events = [_of_chat(event) for event in stream.events()]
        changed.append((when, encode_events(events, Dialect.CHAT)))
    return changed


def _of_chat(event: Event) -> Event:
    if not isinstance(event, Completed):
        return event
    assert isinstance(event.result, CaptionResult)
    text, about = event.result.text, event.result.metadata
    assert about.metrics is not None
    usage = Usage(about.metrics.input_tokens, about.metrics.output_tokens)
    return Completed(
        ChatResult(text, None, Metadata("chatcmpl-1", about.finish_reason, usage=usage))
    )


def recording(
    request: Request[Any], status_code: int, headers: list[tuple[bytes, bytes]], chunks: Timed
) -> Recording:
    size = str(sum(len(chunk) for _, chunk in chunks)).encode()
    headers = [(name, size if name == b"content-length" else value) for name, value in headers]
    header = RecordingHeader.of(
        request.to_http(ENDPOINT), status_code, headers, seconds=chunks[0][0] / 2
    )
    before = header.seconds
    lines: list[Chunk] = []
    for when, chunk in chunks:
        lines.append(Chunk(round(when - before, 3), chunk))
        before = when
    return Recording(header, tuple(lines), Ending(0.001))


def make() -> dict[str, Recording]:
    """Return all recordings, by the names of their files."""
    made: dict[str, Recording] = {}
    streamed: list[tuple[str, Request[Any], float, tuple[str, str] | None]] = [
        (
            "query",
            QueryRequest(image=MOON, question="What is in this image?"),
            3.0,
            (" next to 🌙", " and 👩\u200d🚀."),
        ),
        (
            "caption",
            CaptionRequest(image=MOON, length="short"),
            2.0,
            (" 🌒 along its", " lower edge."),
        ),
        ("segment", SegmentRequest(image=MOON, object="moon"), 5.0, None),
        (
            "caption",
            ChatRequest(messages=[ChatMessage("user", [MOON, "Describe this picture."])]),
            2.0,
            (" 🌒 along its", " lower edge."),
        ),
        ("detect-whole", DetectRequest(image=MOON, object="moon"), 0.4, None),
        ("point-whole", PointRequest(image=MOON, object="moon"), 0.4, None),
    ]
    for name, request, seconds, ending in streamed:
        status_code, headers, chunks = read_trace(f"engine-{name}")
        if ending is not None:
            chunks = shorten_text(chunks, *ending)
        if name == "segment":
            chunks = fit_to_the_moon(chunks)
        chunks = slow_down(chunks, seconds)
        if request.skill == "chat":
            chunks = as_chat(chunks)
        made[request.skill] = recording(request, status_code, headers, chunks)
    return made


if __name__ == "__main__":
    for skill, one in make().items():
        (RECORDINGS / f"{skill}.jsonl").write_bytes(one.encode())
