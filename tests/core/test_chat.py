"""The stream of a chat, as several servers write it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from sansio_moondream import (
    ChatResult,
    Completed,
    Grounding,
    Point,
    Reasoning,
    ReasoningDelta,
    ResponseStream,
    TextDelta,
    Unknown,
    Usage,
)
from sansio_moondream.testing import EVENT_STREAM, check_fragmentations, run
from tests.core.chats import DONE, JSON, START, STOP, USAGE, USED, about, chunk, openai, text
from tests.helpers import CHAT, record
from tests.helpers import check_fragmentations as check_framings

# As each server writes a stream that says the same: first its reasoning, then its text.
DIALECTS = {
    "moondream, vllm, openrouter": chunk({"reasoning": "Look: "})
    + chunk({"content": "", "reasoning": "round."}),
    "deepseek, llama.cpp": chunk({"content": None, "reasoning_content": "Look: "})
    + chunk({"reasoning_content": "round."}),
    "both names": chunk({"reasoning": "Look: round.", "reasoning_content": "Look: round."}),
    "both names, one empty": chunk({"reasoning": "Look: ", "reasoning_content": ""})
    + chunk({"reasoning": "", "reasoning_content": "round."}),
    "both names, one says nothing": chunk(
        {"reasoning": {"text": "", "grounding": []}, "reasoning_content": "Look: round."}
    ),
    "both names, one in another form": chunk(
        {"reasoning": ["so"], "reasoning_content": "Look: round."}
    ),
    "an object, as in a query": chunk({"reasoning": {"text": "Look: round."}}),
    "with comments and details": b": OPENROUTER PROCESSING\n\n"
    + chunk({"reasoning": "Look: round.", "reasoning_details": [{"type": "x"}]}),
    "with the text": chunk({"reasoning": "Look: "})
    + chunk({"reasoning": "round.", "content": "A"}),
}


class TestStreams:
    def test_as_openai_writes_them(self):
        deltas = (
            openai({"role": "assistant", "content": ""})
            + openai({"content": "A"})
            + openai({"content": " moon."})
        )
        used = USED | {"completion_tokens_details": {"reasoning_tokens": 0}}
        bill = chunk(
            None,
            object="chat.completion.chunk",
            created=1786000000,
            model="m",
            choices=[],
            usage=used,
        )
        outcome = check_framings(CHAT, deltas + openai({}, "stop") + bill + DONE)
        assert outcome.error is None
        assert outcome.snapshot == ChatResult(
            "A moon.", None, about(usage=USAGE, extra={"created": 1786000000, "model": "m"})
        )
        assert outcome.events == [TextDelta("A"), TextDelta(" moon."), Completed(outcome.snapshot)]

    @pytest.mark.parametrize("name", DIALECTS)
    def test_reasoning(self, name: str):
        answer = (text("A") if "text" not in name else b"") + text(" moon.")
        outcome = check_fragmentations(CHAT, START + DIALECTS[name] + answer + STOP + DONE)
        assert outcome.snapshot == ChatResult("A moon.", Reasoning("Look: round."), about())
        thoughts = [event.text for event in outcome.events if isinstance(event, ReasoningDelta)]
        assert "".join(thoughts) == "Look: round."
        assert outcome.events == [
            *map(ReasoningDelta, thoughts),
            TextDelta("A"),
            TextDelta(" moon."),
            Completed(outcome.snapshot),
        ]

    def test_grounded_reasoning(self):
        spots = [{"start_idx": at, "end_idx": at + 5, "points": [[0.5, 0.25]]} for at in (0, 6)]
        details = [
            chunk({"reasoning": "Look", "reasoning_details": {"grounding": [spot]}})
            for spot in spots
        ]
        expected = tuple(Grounding(at, at + 5, (Point(0.5, 0.25),)) for at in (0, 6))
        assert run(CHAT, [*details, STOP, DONE]).snapshot.reasoning == Reasoning(
            "LookLook", expected
        )

    def test_grounding_is_not_lost_to_an_empty_text(self):
        spot = {"start_idx": 0, "end_idx": 4, "points": [[0.5, 0.25]]}
        reasonings = {"reasoning": {"text": "", "grounding": [spot]}, "reasoning_content": ""}
        outcome = run(CHAT, [chunk({"reasoning": "Look"}), chunk(reasonings), STOP, DONE])
        assert outcome.snapshot.reasoning == Reasoning(
            "Look", (Grounding(0, 4, (Point(0.5, 0.25),)),)
        )

    @pytest.mark.parametrize(
        "details", [7, ["x"], {"grounding": 5}, {"grounding": [{}]}, {"grounding": None}]
    )
    def test_grounding_in_another_form(self, details: Any):
        """Ignore it beside a reasoning. Alone it is Unknown, and a whole answer keeps it."""
        outcome = run(
            CHAT,
            [
                chunk({"reasoning": "so", "reasoning_details": details}),
                chunk({"reasoning_details": details}),
                STOP,
                DONE,
            ],
        )
        assert outcome.events[0] == ReasoningDelta("so")
        assert isinstance(outcome.events[1], Unknown)
        assert outcome.snapshot.reasoning == Reasoning("so")
        body = json.dumps(
            {
                "choices": [
                    {"message": {"content": "A", "reasoning": "so", "reasoning_details": details}}
                ]
            }
        ).encode()
        assert run(CHAT, [body], headers=JSON).snapshot.metadata.extra == {
            "reasoning_details": details
        }

    @pytest.mark.parametrize("reasoning", [7, ["so"], {"summary": "so"}])
    def test_reasoning_in_another_form(self, reasoning: Any):
        odd = chunk({"reasoning": reasoning})
        outcome = run(CHAT, [odd, text("A"), STOP, DONE])
        assert outcome.snapshot.reasoning is None
        assert outcome.events == [
            Unknown(json.loads(odd[6:])),
            TextDelta("A"),
            Completed(outcome.snapshot),
        ]
        body = json.dumps(
            {"choices": [{"message": {"content": "A", "reasoning": reasoning}}]}
        ).encode()
        assert run(CHAT, [body], headers=JSON).snapshot.metadata.extra == {"reasoning": reasoning}

    def test_choices_without_a_delta_and_messages_without_choices(self):
        """The content filters of Azure send these before, between and after the others."""
        odd = [
            record({"id": "", "choices": [], "prompt_filter_results": [{}]}),
            record({"id": "", "choices": [{"index": 0}], "usage": None}),
        ]
        outcome = check_fragmentations(
            CHAT,
            odd[0]
            + START
            + text("A")
            + odd[1]
            + STOP
            + odd[1]
            + chunk(None, choices=None, usage=USED)
            + DONE,
        )
        assert outcome.snapshot == ChatResult("A", None, about(usage=USAGE))
        assert outcome.events == [TextDelta("A"), Completed(outcome.snapshot)]

    def test_text_with_the_finish_reason(self):
        outcome = check_fragmentations(
            CHAT, text("A") + chunk({"content": " moon."}, "stop") + DONE
        )
        assert outcome.events == [
            TextDelta("A"),
            TextDelta(" moon."),
            Completed(ChatResult("A moon.", None, about())),
        ]

    def test_the_last_message_that_counts_is_kept(self):
        body = (
            chunk({}, "length", model="first", more=1)
            + chunk(None, choices=[], usage={"total_tokens": 743}, model="last", other=[None])
            + chunk({}, model="not this")
            + DONE
        )
        metadata = run(CHAT, [text("A") + body]).snapshot.metadata
        assert (metadata.finish_reason, metadata.usage) == ("length", Usage(total_tokens=743))
        assert metadata.extra == {"model": "last", "other": [None]}

    @pytest.mark.parametrize(
        "late", [{}, [], None, {"prompt_tokens": None, "completion_tokens": "1"}, {"other": 1}]
    )
    def test_usage_that_says_nothing_keeps_the_earlier(self, late: Any):
        body = text("A") + STOP + chunk(None, choices=[], usage=USED)
        body += chunk(None, choices=[], usage=late) + DONE
        assert run(CHAT, [body]).snapshot.metadata.usage == USAGE

    def test_usage_is_the_latest_of_each_number(self):
        body = text("A") + STOP + chunk(None, choices=[], usage=USED)
        body += chunk(None, choices=[], usage={"completion_tokens": 9}) + DONE
        usage = run(CHAT, [body]).snapshot.metadata.usage
        assert usage == Usage(USAGE.prompt_tokens, 9, USAGE.total_tokens)

    @pytest.mark.parametrize(
        "seen", [{}, [], "many", {"prompt_tokens": "740", "completion_tokens": 1.5}]
    )
    def test_usage_in_another_form_is_ignored(self, seen: Any):
        expected = Usage() if isinstance(seen, dict) else None
        assert (
            run(
                CHAT, [text("A"), STOP, chunk(None, choices=[], usage=seen), DONE]
            ).snapshot.metadata.usage
            == expected
        )

    def test_the_id_is_the_bodys_and_else_the_headers(self):
        stream = ResponseStream(CHAT)
        stream.receive_response(200, [*EVENT_STREAM, ("x-request-id", "h1")])
        for seen, expected in (
            (record({"choices": []}), "h1"),
            (text("A"), "7"),
            (chunk({"content": "B"}, id="other"), "other"),
        ):
            stream.receive_data(seen)
            list(stream.events())
            assert stream.request_id == expected
        for id_ in (None, "", 7):
            stream.receive_data(chunk({"content": "C"}, id=id_))
            assert list(stream.events()) == [TextDelta("C")]
            assert stream.request_id == "other"
