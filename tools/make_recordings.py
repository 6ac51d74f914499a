#!/usr/bin/env python3
"""Make the recordings that ship with the command line from captured responses: python tools/make_recordings.py

The captured responses (tests/data/traces) have the servers' own framing, field names and pauses, and made-up texts. Here the HTTP
framing is taken off, the pauses are stretched to a pace that one can watch, and texts that are long for the sake of strange
characters are cut before those. What the server says of itself in its last message is changed to fit.
"""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import h11

from sansio_moondream import CaptionRequest, DetectRequest, Endpoint, PointRequest, QueryRequest, Request, SegmentRequest, encode_image
from sansio_moondream.recording import Ending, Piece, Recording, RecordingHeader

ROOT = Path(__file__).parent.parent
TRACES = ROOT / "tests" / "data" / "traces"
RECORDINGS = ROOT / "tools" / "moondream_tools" / "recordings"
MOON = encode_image((RECORDINGS / "moon.png").read_bytes())
ENDPOINT = Endpoint(headers={"User-Agent": "sansio-moondream"})

Timed = list[tuple[float, bytes]]  # seconds since the request, and a piece of the body


def read_trace(name: str) -> tuple[int, list[tuple[bytes, bytes]], Timed]:
    """Status, headers, and the pieces of the body with the times at which they came."""
    trace = json.loads((TRACES / f"{name}.json").read_text())
    connection = h11.Connection(h11.CLIENT)
    connection.send(h11.Request(method="POST", target="/", headers=[("host", "localhost")]))
    connection.send(h11.EndOfMessage())
    response: h11.Response | None = None
    pieces: Timed = []
    for milliseconds, chunk in zip(trace["chunk_ms"], trace["response_chunks_b64"], strict=True):
        connection.receive_data(base64.b64decode(chunk))
        while not isinstance(event := connection.next_event(), type(h11.NEED_DATA) | h11.EndOfMessage):
            if isinstance(event, h11.Response):
                response = event
            elif isinstance(event, h11.Data):
                pieces.append((milliseconds / 1000, bytes(event.data)))
    assert response is not None
    return response.status_code, list(response.headers), pieces


def cut_text(pieces: Timed, after: str, last: str) -> Timed:
    """End a text behind the piece `after`, with an end-of-stream message that carries `last`."""
    messages = [json.loads(piece.removeprefix(b"data: ")) for _, piece in pieces]
    count = 1 + [message["chunk"] for message in messages].index(after)
    end = messages[-1] | {"chunk": last}
    whole = "".join(message["chunk"] for message in messages[:count]) + last
    end |= {field: whole for field in ("answer", "caption") if field in end}
    end["metrics"]["output_tokens"] = messages[count]["token_index"] + 1
    return [*pieces[:count], (pieces[count][0], b"data: " + json.dumps(end).encode() + b"\n\n")]


def slow_down(pieces: Timed, seconds: float) -> Timed:
    """Stretch the times so that the last piece comes after `seconds`, and what the last message says of time accordingly."""
    factor = seconds / pieces[-1][0]
    *before, (end, last) = [(when * factor, piece) for when, piece in pieces]
    prefix = b"data: " if last.startswith(b"data: ") else b""
    message = json.loads(last.removeprefix(prefix))
    metrics: dict[str, float] = message["metrics"]
    share = 1000 * seconds / (metrics["ttft_ms"] + metrics["decode_time_ms"])
    message["metrics"] = {name: round(value * share, 1) if name.endswith("_ms") else value for name, value in metrics.items()}
    compact = None if prefix else (",", ":")  # as the server writes each of them
    return [*before, (end, prefix + json.dumps(message, separators=compact).encode() + last[len(last.rstrip()) :])]


def recording(request: Request[Any], status_code: int, headers: list[tuple[bytes, bytes]], pieces: Timed) -> Recording:
    size = str(sum(len(piece) for _, piece in pieces)).encode()
    headers = [(name, size if name == b"content-length" else value) for name, value in headers]
    header = RecordingHeader.of(request.to_http(ENDPOINT), status_code, headers, seconds=pieces[0][0] / 2)
    before = header.seconds
    lines: list[Piece] = []
    for when, piece in pieces:
        lines.append(Piece(round(when - before, 3), piece))
        before = when
    return Recording(header, tuple(lines), Ending(0.001))


def make() -> dict[str, Recording]:
    """All recordings, by the name of their file."""
    made: dict[str, Recording] = {}
    streamed: list[tuple[str, Request[Any], float, tuple[str, str] | None]] = [
        ("query", QueryRequest(image=MOON, question="What is in this image?"), 3.0, (" next to 🌙", " and 👩\u200d🚀.")),
        ("caption", CaptionRequest(image=MOON, length="short"), 2.0, (" 🌒 along its", " lower edge.")),
        ("segment", SegmentRequest(image=MOON, object="moon"), 5.0, None),
        ("detect-whole", DetectRequest(image=MOON, object="moon"), 0.4, None),
        ("point-whole", PointRequest(image=MOON, object="moon"), 0.4, None),
    ]
    for name, request, seconds, cut in streamed:
        status_code, headers, pieces = read_trace(f"engine-{name}")
        if cut is not None:
            pieces = cut_text(pieces, *cut)
        made[request.skill] = recording(request, status_code, headers, slow_down(pieces, seconds))
    return made


if __name__ == "__main__":
    for skill, one in make().items():
        (RECORDINGS / f"{skill}.jsonl").write_bytes(one.encode())
