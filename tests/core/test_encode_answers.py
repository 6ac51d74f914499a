"""Chats and whole answers to bytes, and back."""

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
from tests.core.encode import ABOUT, BOX, BY_NAME, CLOUD, DEMO, ENGINE, MOONDREAMS, STATION
from tests.helpers import CHAT, PAIRS, REQUESTS


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
        """Only the finish reason is written, as the stream is incomplete without it."""
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
    """`encode_result` writes an answer that was not streamed."""

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
        expected = {
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
        assert expected == {
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
    @settings(max_examples=10)
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
    """These events are seldom drawn. test_properties.py decodes all others."""

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
