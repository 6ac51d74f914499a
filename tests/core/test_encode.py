"""Events back to bytes: spelled as the servers spell them, and decoding undoes it for all that the
dialect carries.
"""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sansio_moondream import (
    BBox,
    CaptionResult,
    ChatResult,
    Completed,
    DetectResult,
    Dialect,
    Event,
    Grounding,
    Headers,
    Metadata,
    Metrics,
    PathChunk,
    Point,
    PointResult,
    QueryResult,
    Reasoning,
    ReasoningDelta,
    SegmentResult,
    Stats,
    TextDelta,
    Unknown,
    Usage,
    encode_events,
    encode_result,
)
from sansio_moondream.testing import EVENT_STREAM, run, strategies
from tests.helpers import CHAT, PAIRS, REQUESTS, TRACES

BY_NAME = {trace.name: trace for trace in TRACES}
BOX = BBox(0.1, 0.2, 0.3, 0.4)
ENGINE, CLOUD, STATION, DEMO = Dialect.ENGINE, Dialect.CLOUD, Dialect.STATION, Dialect.DEMO
MOONDREAMS = [ENGINE, CLOUD, STATION, DEMO]
ABOUT = Metadata(
    request_id="31",
    finish_reason="stop",
    metrics=Metrics(input_tokens=740, ttft_ms=40.5),
    stats=Stats(tokens=43, duration=0.25),
    headers=Headers({"server": "uvicorn"}),
    extra={"org_id": "7"},
)


def messages(events: list[Event], dialect: Dialect) -> list[Any]:
    records = encode_events(events, dialect).split(b"\n\n")
    assert records.pop() == b""
    return [json.loads(record.removeprefix(b"data: ")) for record in records]


class TestAgainstCapturedStreams:
    """Decoded, and encoded again: the very bytes of the server."""

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
        """Nothing in the events tells that the last text came with the end."""
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
        """Only the box of the last message is written in another order: the coarse one is in it
        again.
        """
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


class TestChat:
    def test_spelling(self):
        def chunk(delta: Any, finish_reason: str | None = None) -> dict[str, Any]:
            return {
                "object": "chat.completion.chunk",
                "choices": [{"index": 0, "delta": delta, "finish_reason": finish_reason}],
            }

        about = Metadata(
            "31", "length", usage=Usage(740, 3), stats=Stats(tokens=43), extra={"model": "m"}
        )
        reasoning = Reasoning("So.", (Grounding(0, 2, (Point(0.5, 0.25),)),))
        events: list[Event] = [
            ReasoningDelta("So."),
            TextDelta("月", 5),
            Unknown({"x": 1}),
            Completed(ChatResult("月", reasoning, about)),
        ]
        data = encode_events(events, Dialect.CHAT)
        assert data.isascii()
        *records, done, nothing = data.split(b"\n\n")
        grounding = {"grounding": [{"start_idx": 0, "end_idx": 2, "points": [[0.5, 0.25]]}]}
        used = {"prompt_tokens": 740, "completion_tokens": 3}
        assert [json.loads(record.removeprefix(b"data: ")) for record in records] == [
            chunk({"reasoning": "So."}),
            chunk({"content": "月"}),
            {"x": 1},
            {"id": "31"} | chunk({"reasoning_details": grounding}, "length"),
            {
                "id": "31",
                "object": "chat.completion.chunk",
                "choices": [],
                "usage": used,
                "model": "m",
            },
        ]
        assert (done, nothing) == (b"data: [DONE]", b"")

    def test_what_is_not_there(self):
        """But the finish reason, without which the stream would not be whole."""
        body = encode_events(
            [Completed(ChatResult("", Reasoning(""), Metadata(extra={"model": "m"})))], Dialect.CHAT
        )
        end = {
            "object": "chat.completion.chunk",
            "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}],
            "model": "m",
        }
        assert body == b"data: " + json.dumps(end).encode() + b"\n\ndata: [DONE]\n\n"
        about = Metadata(finish_reason="stop", headers=Headers(EVENT_STREAM), extra={"model": "m"})
        assert run(CHAT, [body]).snapshot == ChatResult(metadata=about)

    @pytest.mark.parametrize("dialect", MOONDREAMS)
    @pytest.mark.parametrize(
        "event", [ReasoningDelta("x"), Completed(ChatResult())], ids=["reasoning", "end"]
    )
    def test_other_dialects_have_no_chats(self, event: Event, dialect: Dialect):
        with pytest.raises(ValueError, match="of a chat: encode it with Dialect.CHAT"):
            encode_events([event], dialect)

    @pytest.mark.parametrize(
        "event",
        [
            BOX,
            PathChunk("M 0 0"),
            *(Completed(kind()) for kind in (QueryResult, CaptionResult, PointResult)),
        ],
    )
    def test_chats_have_nothing_else(self, event: Event):
        with pytest.raises(
            ValueError,
            match=f"no chat has a {type(event).__name__}.*: encode it with another dialect",
        ):
            encode_events([event], Dialect.CHAT)

    def test_numbers_that_json_does_not_have(self):
        with pytest.raises(ValueError, match="not JSON compliant"):
            encode_events([Unknown({"x": float("nan")})], Dialect.CHAT)


class TestWholeAnswers:
    """`encode_result`: an answer that was not streamed."""

    @pytest.mark.parametrize(
        ("name", "dialect"),
        [
            ("engine-query-whole", ENGINE),
            ("engine-detect-whole", ENGINE),
            ("engine-point-whole", ENGINE),
            ("station-query-whole", STATION),
        ],
    )
    def test_the_very_bytes_of_the_server(self, name: str, dialect: Dialect):
        trace = BY_NAME[name]
        result = run(trace.request, [trace.body], headers=trace.headers).snapshot
        assert encode_result(result, dialect) == trace.body

    @pytest.mark.parametrize("name", ["engine-segment-whole", "engine-query-reasoning-whole"])
    def test_the_same_in_another_order(self, name: str):
        trace = BY_NAME[name]
        result = run(trace.request, [trace.body], headers=trace.headers).snapshot
        assert json.loads(encode_result(result)) == json.loads(trace.body)

    def test_what_a_dialect_says_beside_the_answer(self):
        told = {
            dialect: json.loads(encode_result(CaptionResult("A moon.", ABOUT), dialect))
            for dialect in MOONDREAMS
        }
        engine = {
            "request_id": "31",
            "finish_reason": "stop",
            "metrics": {"input_tokens": 740, "ttft_ms": 40.5},
        }
        station = {"_stats": {"tokens": 43, "duration": 0.25}}
        both = {"caption": "A moon.", "org_id": "7"}
        assert told == {
            ENGINE: engine | both,
            CLOUD: engine | both,
            STATION: station | both,
            DEMO: station | both,
        }

    @pytest.mark.parametrize("dialect", MOONDREAMS)
    def test_what_is_not_there_is_not_written(self, dialect: Dialect):
        assert json.loads(encode_result(CaptionResult("x"), dialect)) == {"caption": "x"}
        failed = encode_result(SegmentResult("", None, "no path"), dialect)
        assert json.loads(failed) == {"path": "", "bbox": None, "parse_error": "no path"}

    @pytest.mark.parametrize(("skill", "dialect"), PAIRS)
    @settings(max_examples=20)
    @given(data=st.data())
    def test_decoding_undoes_it(self, skill: str, dialect: Dialect, data: st.DataObject):
        *_, last = data.draw(strategies.events(skill, Dialect.CHAT if skill == "chat" else ENGINE))
        assert isinstance(last, Completed)
        body = encode_result(last.result, dialect)
        decoded = run(
            REQUESTS[skill], [body], headers={"content-type": "application/json"}
        ).snapshot
        assert encode_result(decoded, dialect) == body
        for name in ("text", "reasoning", "path", "bbox", "parse_error", "objects", "points"):
            assert getattr(decoded, name, None) == getattr(last.result, name, None)

    def test_a_chat(self):
        about = Metadata(
            "31", "length", usage=Usage(740, 3), stats=Stats(tokens=43), extra={"model": "m"}
        )
        reasoning = Reasoning("So.", (Grounding(0, 2, (Point(0.5, 0.25),)),))
        assert json.loads(encode_result(ChatResult("A moon.", reasoning, about), Dialect.CHAT)) == {
            "id": "31",
            "object": "chat.completion",
            "choices": [
                {
                    "index": 0,
                    "message": {
                        "role": "assistant",
                        "content": "A moon.",
                        "reasoning": "So.",
                        "reasoning_details": {
                            "grounding": [{"start_idx": 0, "end_idx": 2, "points": [[0.5, 0.25]]}]
                        },
                    },
                    "finish_reason": "length",
                }
            ],
            "usage": {"prompt_tokens": 740, "completion_tokens": 3},
            "model": "m",
        }
        with pytest.raises(ValueError, match=r"no chat has a CaptionResult"):
            encode_result(CaptionResult("x"), Dialect.CHAT)
        with pytest.raises(ValueError, match="encode it with Dialect.CHAT"):
            encode_result(ChatResult("x"), ENGINE)

    def test_numbers_that_json_does_not_have(self):
        with pytest.raises(ValueError, match="not JSON compliant"):
            encode_result(DetectResult((BBox(0, float("nan"), 1, 1),)))


class TestUndone:
    """What is seldom drawn; test_properties.py undoes the rest."""

    @pytest.mark.parametrize("dialect", [STATION, DEMO])
    def test_stats_without_a_number(self, dialect: Dialect):
        events: list[Event] = [
            Completed(CaptionResult("", Metadata(stats=Stats(), headers=Headers(EVENT_STREAM))))
        ]
        assert run(REQUESTS["caption"], [encode_events(events, dialect)]).events == events

    @pytest.mark.parametrize("extra", [{"reasoning": 7}, {"answer2": [None]}, {"text2": "x"}])
    def test_fields_that_nobody_knows(self, extra: dict[str, Any]):
        about = Metadata(extra=extra, deltas_match=True, headers=Headers(EVENT_STREAM))
        events: list[Event] = [Completed(QueryResult("", metadata=about))]
        assert run(REQUESTS["query"], [encode_events(events)]).events == events

    def test_a_text_that_the_deltas_do_not_add_up_to(self):
        about = Metadata(deltas_match=False, headers=Headers(EVENT_STREAM))
        events: list[Event] = [
            TextDelta("caf\ufffd"),
            Completed(QueryResult("café", metadata=about)),
        ]
        assert run(REQUESTS["query"], [encode_events(events)]).events == events
        # The other dialects have no whole text to carry it in.
        for dialect in (CLOUD, STATION, DEMO):
            assert (
                run(REQUESTS["query"], [encode_events(events, dialect)]).snapshot.text
                == "caf\ufffd"
            )
