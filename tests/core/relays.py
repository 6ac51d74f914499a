"""What the tests of several formats need."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from hypothesis import settings

from sansio_moondream import (
    BBox,
    Completed,
    DetectResult,
    Event,
    Grounding,
    Headers,
    Metadata,
    Metrics,
    MoondreamError,
    Point,
    QueryResult,
    Reasoning,
    SegmentResult,
    TextDelta,
    Unknown,
)
from sansio_moondream.relay import StreamEncoder

fewer = settings(max_examples=settings().max_examples // 3)
"""A third of the examples of the profile, in the suite and in the long one."""

COOKIE = Headers({"set-cookie": "secret=1"})
ADDRESS = "http://10.0.0.7:2020/v1/query"
METADATA = Metadata(
    request_id="31",
    finish_reason="length",
    metrics=Metrics(740, 3, float("inf"), 30.0, 130.0),
    headers=COOKIE,
    extra={"note": float("nan"), "__proto__": {"a": 1}},
)
REASONING = Reasoning("It is round.", (Grounding(0, 2, (Point(0.5, 0.25),)),))
TEXT = (TextDelta("A m", 1), TextDelta("ö\ud83c"), Unknown({"mood": 1.5}))
END_OF_TEXT = Completed(QueryResult("A moon.", REASONING, METADATA))
BOX = BBox(0.1, 0.2, 0.3, 0.4)
REFINED = BBox(0.15, 0.2, 0.3, 0.4)
END_OF_SEGMENT = Completed(SegmentResult("M 0 0 L 1 1 z", REFINED, metadata=METADATA))
END_OF_DETECT = Completed(DetectResult((BOX, REFINED), METADATA))


def encoded(
    encoder: StreamEncoder, events: Iterable[Event], error: MoondreamError | None = None
) -> bytes:
    """Return a whole stream, with heartbeats before each record."""
    parts = [encoder.heartbeat + encoder.encode(event) for event in events]
    return b"".join([*parts, b"" if error is None else encoder.encode_error(error)])


def records(body: bytes) -> list[Any]:
    """Return the messages of a stream of records without ids."""
    *found, rest = body.split(b"\n\n")
    assert not rest
    return [
        "[DONE]" if line == b"data: [DONE]" else json.loads(line.removeprefix(b"data: "))
        for line in found
        if line != b":"
    ]
