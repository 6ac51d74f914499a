"""Events to bytes: as the servers spell them."""

from __future__ import annotations

import json
from typing import Any

import pytest

from sansio_moondream import (
    BBox,
    CaptionResult,
    Completed,
    DetectResult,
    Dialect,
    Event,
    Grounding,
    PathChunk,
    Point,
    PointResult,
    QueryResult,
    Reasoning,
    SegmentResult,
    TextDelta,
    Unknown,
    encode_events,
)
from sansio_moondream.testing import run
from tests.core.encode import ABOUT, BOX, BY_NAME, CLOUD, DEMO, ENGINE, MOONDREAMS, STATION
from tests.helpers import TRACES


def messages(events: list[Event], dialect: Dialect) -> list[Any]:
    records = encode_events(events, dialect).split(b"\n\n")
    assert records.pop() == b""
    return [json.loads(record.removeprefix(b"data: ")) for record in records]


class TestAgainstCapturedStreams:
    """Decoding and encoding give the bytes of the server."""

    @pytest.mark.parametrize(
        ("name", "dialect"),
        [
            ("engine-caption", ENGINE),
            ("engine-segment", ENGINE),
            ("station-query", STATION),
            ("station-caption", STATION),
        ],
    )
    def test_whole_streams(self, name: str, dialect: Dialect):
        trace = BY_NAME[name]
        events = run(trace.request, [trace.body], headers=trace.headers).events
        assert encode_events(events, dialect) == trace.body

    @pytest.mark.parametrize("name", ["engine-query", "engine-query-split-utf8"])
    def test_a_last_message_with_text_becomes_two(self, name: str):
        """The events do not say that the last text came with the end."""
        trace = BY_NAME[name]
        *events, last, end = run(trace.request, [trace.body], headers=trace.headers).events
        *ordinary, final, nothing = trace.body.split(b"\n\n")
        assert nothing == b""
        assert encode_events(events) == b"".join(record + b"\n\n" for record in ordinary)
        assert isinstance(last, TextDelta)
        assert final == (
            encode_events([end])
            .replace(b'"chunk": ""', b'"chunk": ' + json.dumps(last.text).encode())
            .removesuffix(b"\n\n")
        )

    def test_a_refined_outline_that_failed(self):
        """Only the last message differs: it repeats the coarse box in another order."""
        trace = BY_NAME["engine-segment-parse-error"]
        events = run(trace.request, [trace.body], headers=trace.headers).events
        *records, final = encode_events(events).removesuffix(b"\n\n").split(b"\n\n")
        *captured, captured_final = trace.body.removesuffix(b"\n\n").split(b"\n\n")
        assert records == captured
        assert json.loads(final[6:]) == json.loads(captured_final[6:])
        assert list(json.loads(final[6:])) == list(json.loads(captured_final[6:]))

    @pytest.mark.parametrize(
        "trace",
        [trace for trace in TRACES if trace.status_code == 200],
        ids=lambda trace: trace.name,
    )
    def test_decoded_again_they_say_the_same(self, trace: Any):
        first = run(trace.request, [trace.body], headers=trace.headers)
        headers = [("content-type", "text/event-stream")]
        again = run(
            trace.request,
            [encode_events(first.events, STATION if "station" in trace.name else ENGINE)],
            headers=headers,
        )
        assert again.events[:-1] == first.events[: len(again.events) - 1]
        if first.error is None and "split" not in trace.name:
            for field in first.snapshot.__struct_fields__:
                if field != "metadata":
                    assert getattr(again.snapshot, field) == getattr(first.snapshot, field)
            about, expected = again.snapshot.metadata, first.snapshot.metadata
            assert (about.request_id, about.finish_reason, about.metrics) == (
                expected.request_id,
                expected.finish_reason,
                expected.metrics,
            )
            assert (about.extra, about.stats) == (expected.extra, expected.stats)


class TestSpelling:
    @pytest.mark.parametrize(
        ("dialect", "expected"),
        [
            (ENGINE, b'data: {"chunk": " \\u6708", "completed": false, "token_index": 5}\n\n'),
            (CLOUD, b'data: {"chunk": " \\u6708", "completed": false}\n\n'),
            (STATION, b'data: {"chunk": " \\u6708"}\n\n'),
            (DEMO, b'data: {"text": " \\u6708"}\n\n'),
        ],
    )
    def test_text(self, dialect: Dialect, expected: bytes):
        assert encode_events([TextDelta(" 月", 5)], dialect) == expected
        assert encode_events([TextDelta(" 月")], dialect) == expected.replace(
            b', "token_index": 5', b""
        )

    @pytest.mark.parametrize("dialect", MOONDREAMS)
    def test_segmentations(self, dialect: Dialect):
        path, box, unknown = messages(
            [PathChunk("M 0 0"), BOX, Unknown({"type": "mood", "x": [None]})], dialect
        )
        assert (path["type"], path["chunk"]) == ("path_delta", "M 0 0")
        assert box == {
            "type": "bbox",
            "bbox": {"x_min": 0.1, "y_min": 0.2, "x_max": 0.3, "y_max": 0.4},
        }
        assert unknown == {"type": "mood", "x": [None]}

    @pytest.mark.parametrize(
        ("dialect", "expected"),
        [
            (
                ENGINE,
                [
                    {
                        "chunk": "",
                        "completed": True,
                        "request_id": "31",
                        "finish_reason": "stop",
                        "answer": "A moon.",
                        "metrics": {"input_tokens": 740, "ttft_ms": 40.5},
                        "reasoning": {
                            "text": "It is curved.",
                            "grounding": [{"start_idx": 0, "end_idx": 5, "points": [[0.5, 0.25]]}],
                        },
                        "org_id": "7",
                    }
                ],
            ),
            (CLOUD, [{"chunk": "", "completed": True, "request_id": "31", "org_id": "7"}]),
            (
                STATION,
                [{"stats": {"tokens": 43, "duration": 0.25}}, {"completed": True, "org_id": "7"}],
            ),
            (
                DEMO,
                [{"stats": {"tokens": 43, "duration": 0.25}}, {"completed": True, "org_id": "7"}],
            ),
        ],
    )
    def test_the_end_of_a_query(self, dialect: Dialect, expected: list[Any]):
        reasoning = Reasoning("It is curved.", (Grounding(0, 5, (Point(0.5, 0.25),)),))
        assert messages([Completed(QueryResult("A moon.", reasoning, ABOUT))], dialect) == expected

    @pytest.mark.parametrize("dialect", MOONDREAMS)
    def test_what_is_not_there_is_not_written(self, dialect: Dialect):
        bare = {"completed": True} | ({"chunk": ""} if dialect in (ENGINE, CLOUD) else {})
        assert messages([Completed(CaptionResult("x"))], dialect) == [
            bare | ({"caption": "x"} if dialect is ENGINE else {})
        ]
        assert messages([Completed(SegmentResult("M0 0"))], dialect) == [
            bare | {"type": "final", "path": "M0 0", "bbox": None}
        ]
        assert messages([Completed(DetectResult((BOX,)))], dialect) == [
            {
                "completed": True,
                "objects": [{"x_min": 0.1, "y_min": 0.2, "x_max": 0.3, "y_max": 0.4}],
            }
        ]
        assert messages([Completed(PointResult((Point(0.5, 0.25),)))], dialect) == [
            {"completed": True, "points": [{"x": 0.5, "y": 0.25}]}
        ]

    @pytest.mark.parametrize("dialect", MOONDREAMS)
    def test_an_outline_that_failed(self, dialect: Dialect):
        (end,) = messages([Completed(SegmentResult("", BOX, "no path"))], dialect)
        assert (end["path"], end["bbox"]["y_max"], end["parse_error"]) == ("", 0.4, "no path")

    def test_the_engine_is_the_default(self):
        events: list[Event] = [TextDelta("x", 1), Completed(QueryResult("x", metadata=ABOUT))]
        assert (
            encode_events(events) == encode_events(events, ENGINE) != encode_events(events, CLOUD)
        )

    def test_bytes_are_ascii_and_every_record_one_line(self):
        data = encode_events([TextDelta("月\r\n\u2028\ufeff\x00🌙"), Unknown({"\n": "\r"})])
        assert data.isascii()
        assert [line[:6] for line in data.split(b"\n")] == [b"data: ", b"", b"data: ", b"", b""]
        assert b"\r" not in data

    def test_dialects_have_names(self):
        assert [dialect.value for dialect in Dialect] == [
            "engine",
            "cloud",
            "station",
            "demo",
            "chat",
        ]

    def test_any_iterable(self):
        assert encode_events(iter([TextDelta("x")]), STATION) == b'data: {"chunk": "x"}\n\n'
        assert encode_events([]) == b""

    @pytest.mark.parametrize("number", [float("nan"), float("inf")])
    @pytest.mark.parametrize("dialect", MOONDREAMS)
    def test_numbers_that_json_does_not_have(self, number: float, dialect: Dialect):
        for event in (
            BBox(number, 0, 1, 1),
            Unknown({"x": number}),
            Completed(DetectResult((BBox(0, number, 1, 1),))),
        ):
            with pytest.raises(ValueError, match="not JSON compliant"):
                encode_events([event], dialect)
