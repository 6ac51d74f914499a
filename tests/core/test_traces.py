"""Every captured response, in every fragmentation, comes to what the server meant."""

from __future__ import annotations

import re
from collections import Counter
from typing import Any

import pytest

from sansio_moondream import (
    APIError,
    BadRequestError,
    BBox,
    CaptionResult,
    Completed,
    ConnectionLost,
    DetectResult,
    IncompleteStream,
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
from sansio_moondream.testing import BreakAt, at_offsets, each_byte, record_ends, run
from tests.helpers import TRACES, Trace, check_fragmentations, run_socket

TEXT = (
    "The image shows a crescent moon against a black background. The moon is rendered in shades of gray, appearing as a smooth, "
    "curved shape. A sign reads “月の光” next to 🌙 and 👩\u200d🚀; café naïve, Ω≈1.5 "
    '"C:\\tmp"\u2028Line\u2029two\x85three\x0bfour\x0cfive\ndata: x\n\nEnd\t.\r\n\ufeff.'
)
BY_NAME = {trace.name: trace for trace in TRACES}
STREAMS = [
    trace.name
    for trace in TRACES
    if trace.status_code == 200 and trace.ending is None and b"data: " in trace.body[:6]
]


def short(body: bytes) -> bytes:
    """A long stream without most of its records, for tests that take time with the square of the
    length.
    """
    records = body.split(b"\n\n")
    return body if len(records) < 20 else b"\n\n".join([*records[:8], *records[-4:]])


def fine(data: bytes) -> list[bytes]:
    """Byte by byte; long data in small fragments instead."""
    return each_byte(data) if len(data) < 4000 else at_offsets(data, range(0, len(data), 61))


def outcome(name: str):
    trace = BY_NAME[name]
    return run(
        trace.request,
        trace.chunks,
        status_code=trace.status_code,
        headers=trace.headers,
        ending=trace.ending,
    )


@pytest.mark.parametrize("trace", TRACES, ids=lambda trace: trace.name)
def test_every_fragmentation(trace: Trace):
    about: dict[str, Any] = {
        "status_code": trace.status_code,
        "headers": trace.headers,
        "ending": trace.ending,
    }
    check_fragmentations(trace.request, short(trace.body), **about)
    whole = run(trace.request, [trace.body], **about)
    borders = [end + shift for end in record_ends(trace.body) for shift in (-2, -1, 0, 1)]
    for chunks in (trace.chunks, fine(trace.body), at_offsets(trace.body, borders)):
        assert run(trace.request, chunks, **about).key == whole.key


@pytest.mark.parametrize("trace", TRACES, ids=lambda trace: trace.name)
def test_every_cutting_of_the_socket_bytes(trace: Trace):
    raw = b"".join(trace.raw)
    lost = (
        ConnectionLost("the server closed the connection before the end of the body")
        if trace.ending
        else None
    )
    expected = run(
        trace.request,
        [trace.body],
        status_code=trace.status_code,
        headers=trace.headers,
        ending=lost,
    ).key
    end_of_head = raw.index(b"\r\n\r\n") + 4
    borders = [
        border + shift for border in chunk_borders(raw, end_of_head) for shift in (-2, -1, 0, 1, 2)
    ]
    offsets = sorted(
        {*range(1, end_of_head + 3, 1 if len(raw) < 4000 else 13), *borders[:30], *borders[-30:]}
    )
    for chunks in [
        [raw],
        trace.raw,
        fine(raw),
        at_offsets(raw, borders),
        *(at_offsets(raw, [at]) for at in offsets),
    ]:
        assert run_socket(trace.request, chunks).key == expected
    if trace.ending is None:  # then nobody has to wait for the connection to close
        for chunks in ([raw], trace.raw, fine(raw)):
            assert run_socket(trace.request, chunks, eof=False).key == expected


def chunk_borders(raw: bytes, start: int) -> list[int]:
    """Where lines of the chunked framing end, and some more line ends."""
    return [start, *(found.end() for found in re.finditer(rb"\r\n", raw) if found.end() > start)]


@pytest.mark.parametrize("trace", TRACES, ids=lambda trace: trace.name)
def test_socket_bytes_that_end_anywhere_are_a_lost_connection_or_the_answer(trace: Trace):
    raw = b"".join(trace.raw)
    end_of_head = raw.index(b"\r\n\r\n") + 4
    whole = run_socket(trace.request, [raw])
    for offset in sorted(
        {*range(0, end_of_head + 1, 7), *range(0, len(raw), max(len(raw) // 15, 1))}
    ):
        cut = run_socket(trace.request, [raw[:offset]])
        assert (
            cut.key
            == run_socket(
                trace.request, at_offsets(raw[:offset], range(0, offset, max(3, offset // 300)))
            ).key
        )
        assert cut.events == whole.events[: len(cut.events)]
        if offset < end_of_head:
            assert type(cut.error) is ConnectionLost
            assert cut.snapshot is None
        elif (
            trace.status_code == 200 and cut.error is not None and type(whole.error) is not APIError
        ):
            assert type(cut.error) is ConnectionLost
            assert cut.error.partial == cut.snapshot
        elif trace.status_code != 200:
            assert type(cut.error) is type(whole.error)


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


@pytest.mark.parametrize("name", STREAMS)
def test_cut_anywhere_it_is_incomplete_until_the_last_byte_of_its_last_payload(name: str):
    trace = BY_NAME[name]
    body = short(trace.body)
    whole = run(trace.request, [body], headers=trace.headers)
    assert whole.error is None
    needed = len(body.rstrip(b"\n"))
    stats = name.startswith(
        "station"
    )  # its next to last record, the only one that ends in two braces, makes no event
    ends = {end + shift for end in record_ends(body) for shift in (-3, -2, -1, 0)}
    for offset in sorted({*ends, *range(0, len(body), 5)} - {len(body)}):
        data, ending = BreakAt(None, after_bytes=offset).apply(body)
        events, error, partial = run(trace.request, [data], headers=trace.headers, ending=ending)
        if offset >= needed:
            assert (events, error) == (whole.events, None)
            continue
        assert type(error) is IncompleteStream
        assert events == whole.events[: len(events)]
        assert error.partial == partial
        chunks = [
            event.text if isinstance(event, TextDelta) else event.data
            for event in events
            if isinstance(event, TextDelta | PathChunk)
        ]
        assert (partial.path if isinstance(partial, SegmentResult) else partial.text) == "".join(
            chunks
        )
        # Nothing that arrived is missing: a record counts as soon as the last byte of its payload
        # is there.
        assert (
            len(events)
            == sum(end - 2 <= offset for end in record_ends(body))
            - body[: offset + 2].count(b"}}\n\n") * stats
        )


def test_a_cut_stream_is_the_same_in_every_cutting_too():
    trace = BY_NAME["station-caption"]
    for offset in range(0, len(trace.body), 31):
        whole = run(trace.request, [trace.body[:offset]], headers=trace.headers)
        assert (
            run(trace.request, each_byte(trace.body[:offset]), headers=trace.headers).key
            == whole.key
        )
