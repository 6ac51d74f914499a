"""Every captured response gives what its server sent."""

from __future__ import annotations

from collections import Counter

import pytest

from sansio_moondream import (
    APIError,
    BadRequestError,
    BBox,
    CaptionResult,
    Completed,
    ConnectionLost,
    DetectResult,
    Metrics,
    NotFoundError,
    PathChunk,
    Point,
    PointResult,
    QueryResult,
    Reasoning,
    SegmentResult,
    Stats,
    TextDelta,
)
from sansio_moondream.testing import run
from tests.core.traces import BY_NAME

TEXT = (
    "The image shows a crescent moon against a black background. The moon is rendered in "
    "shades of gray, appearing as a smooth, "
    "curved shape. A sign reads “月の光” next to 🌙 and 👩\u200d🚀; café naïve, Ω≈1.5 "
    '"C:\\tmp"\u2028Line\u2029two\x85three\x0bfour\x0cfive\ndata: x\n\nEnd\t.\r\n\ufeff.'
)


def outcome(name: str):
    trace = BY_NAME[name]
    return run(
        trace.request,
        trace.chunks,
        status_code=trace.status_code,
        headers=trace.headers,
        ending=trace.ending,
    )


def test_engine_query():
    events, error, _ = outcome("engine-query")
    assert error is None
    assert events[:2] == [TextDelta("The image shows", 2), TextDelta(" a crescent moon", 5)]
    assert events[-2] == TextDelta(".")
    assert isinstance(events[-1], Completed)
    result = events[-1].result
    assert isinstance(result, QueryResult)
    assert (
        result.text
        == TEXT
        == "".join(event.text for event in events if isinstance(event, TextDelta))
    )
    about = result.metadata
    assert (about.request_id, about.finish_reason, about.deltas_match, about.extra) == (
        "31",
        "stop",
        True,
        {},
    )
    assert about.metrics == Metrics(740, 76, 38.25, 189.21998299992993, 40.60319800003708)
    assert about.headers["server"] == "uvicorn"


def test_engine_caption():
    events, error, snapshot = outcome("engine-caption")
    assert error is None
    assert isinstance(snapshot, CaptionResult)
    assert events[-1] == Completed(snapshot)
    assert snapshot.text.startswith(
        "A gray crescent moon hangs in a dark sky — 三日月 — with a soft glow 🌒"
    )
    assert snapshot.metadata.deltas_match is True


def test_damaged_characters_are_mended_by_the_whole_text_and_seen():
    _, error, result = outcome("engine-query-split-utf8")
    assert error is None
    assert result.text == TEXT
    assert result.metadata.deltas_match is False


def test_station_query():
    events, error, result = outcome("station-query")
    assert error is None
    assert events[0] == TextDelta("The ")
    assert result.text == TEXT
    assert result.metadata.stats == Stats(43, 0.18, 245.4)
    assert result.metadata.deltas_match is None


def test_engine_segment():
    events, error, result = outcome("engine-segment")
    assert error is None
    assert Counter(map(type, events)) == {BBox: 1, PathChunk: 200, Completed: 1}
    assert events[0] == BBox(0.09999999999999998, 0.04999999999999999, 0.9, 0.95)
    assert events[1] == PathChunk("M 0.896 0.5", 5)
    assert isinstance(result, SegmentResult)
    assert result.path.startswith("M.941,.500C.954,.500,.954,.507,.954,.514")
    assert result.bbox == BBox(0.1074, 0.0833, 0.8926, 0.9541)
    assert result.metadata.deltas_match is None


def test_engine_segment_whole_is_a_stream_of_one():
    events, error, result = outcome("engine-segment-whole")
    assert error is None
    assert events == [Completed(result)]
    assert result.path == outcome("engine-segment").snapshot.path


def test_engine_segment_parse_error():
    _, error, result = outcome("engine-segment-parse-error")
    assert error is None
    assert (result.path, result.parse_error) == ("", "invalid literal for int() with base 10: '@@'")


@pytest.mark.parametrize(
    "name", ["engine-query-whole", "station-query-whole", "engine-query-reasoning-whole"]
)
def test_whole_query_is_a_stream_of_one(name: str):
    events, error, result = outcome(name)
    assert error is None
    assert events == [TextDelta(TEXT), Completed(result)]
    assert result.text == TEXT


def test_reasoning():
    result = outcome("engine-query-reasoning-whole").snapshot
    assert isinstance(result.reasoning, Reasoning)
    assert result.reasoning.text == "The moon is curved."
    assert result.reasoning.grounding[0].points == (Point(0.5, 0.25),)
    assert result.metadata.extra == {}


def test_station_stats_of_a_whole_answer():
    assert outcome("station-query-whole").snapshot.metadata.stats == Stats(47, 0.16, 287.7)


def test_detect_and_point():
    detected, pointed = (
        outcome("engine-detect-whole").snapshot,
        outcome("engine-point-whole").snapshot,
    )
    assert isinstance(detected, DetectResult)
    assert detected.objects[1] == BBox(0.6499999999999999, 0.44999999999999996, 0.75, 0.75)
    assert isinstance(pointed, PointResult)
    assert pointed.points == (Point(0.3, 0.4), Point(0.7, 0.6))


@pytest.mark.parametrize(
    ("name", "class_", "message", "status_code"),
    [
        ("engine-404", NotFoundError, "Not Found", 404),
        ("engine-query-400", BadRequestError, "Field 'question' must be a string", 400),
        (
            "engine-query-reasoning-stream-refused",
            BadRequestError,
            "Streaming is not supported when reasoning is enabled",
            400,
        ),
        ("station-query-fails-at-start", APIError, "model refused", 200),
        ("station-unknown-function", APIError, "Function 'nope' not available", 200),
    ],
)
def test_errors(name: str, class_: type[APIError], message: str, status_code: int):
    events, error, _ = outcome(name)
    assert events == []
    assert type(error) is class_
    assert isinstance(error, APIError)
    assert (error.message, error.status_code) == (message, status_code)


@pytest.mark.parametrize(
    ("name", "count", "arrived"),
    [
        ("engine-query-dies-midway", 3, "The image shows a crescent moon against a black"),
        ("station-query-dies-midway", 9, "The image shows a crescent moon against a black "),
    ],
)
def test_a_server_that_dies_leaves_what_it_said(name: str, count: int, arrived: str):
    events, error, _ = outcome(name)
    assert len(events) == count
    assert type(error) is ConnectionLost
    assert isinstance(error.partial, QueryResult)
    assert error.partial.text == arrived


def test_a_segmentation_that_dies_leaves_box_and_coarse_path():
    events, error, _ = outcome("engine-segment-dies-midway")
    assert type(error) is ConnectionLost
    assert isinstance(error.partial, SegmentResult)
    assert error.partial.bbox == events[0]
    assert error.partial.path == "".join(
        event.data for event in events if isinstance(event, PathChunk)
    )
