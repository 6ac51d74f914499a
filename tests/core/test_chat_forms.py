"""The stream of a chat: text outside of a delta, and messages that are not known, or not whole."""

from __future__ import annotations

import json
from typing import Any

import pytest

from sansio_moondream import (
    Completed,
    IncompleteStream,
    LimitExceeded,
    Limits,
    Reasoning,
    ReasoningDelta,
    TextDelta,
    Unknown,
)
from sansio_moondream.testing import check_fragmentations, run
from tests.core.chats import DONE, STOP, USED, chunk, text
from tests.helpers import CHAT, QUERY, record


class TestTextOutsideOfTheDelta:
    @pytest.mark.parametrize(
        "choice",
        [
            {"message": {"content": "A"}},
            {"message": {"role": "assistant", "content": "A"}, "delta": {"role": "assistant"}},
            {"message": {"content": [{"type": "text", "text": "A"}]}, "delta": None, "text": ""},
            {"text": "A"},
            {"text": "A", "delta": {"content": ""}, "message": {"content": ""}},
            {"delta": {"content": "A"}, "text": "A"},
            {"delta": {"content": "A"}, "message": {"content": "All so far: A"}},
            {"delta": {"content": [{"type": "text", "text": ""}, {"type": "text", "text": "A"}]}},
        ],
        ids=str,
    )
    def test_each_form(self, choice: dict[str, Any]):
        message = record({"id": "7", "choices": [{"index": 0, **choice}]})
        outcome = check_fragmentations(CHAT, message + text(" moon.") + STOP + DONE)
        assert outcome.events[:-1] == [TextDelta("A"), TextDelta(" moon.")]
        assert outcome.snapshot.text == "A moon."

    @pytest.mark.parametrize(
        "choice",
        [
            {"delta": {"content": "A"}, "text": "B"},
            {"delta": {"content": "A"}, "message": {"content": "B"}},
            {"delta": {"content": "A"}, "message": {"content": ["A"]}},
            {"text": "A", "delta": {"content": ""}, "message": {"content": "A and more"}},
        ],
        ids=str,
    )
    def test_another_text_beside_the_delta_is_not_lost(self, choice: dict[str, Any]):
        message = {"choices": [{"index": 0, **choice}]}
        outcome = check_fragmentations(CHAT, record(message) + STOP + DONE)
        assert outcome.events[:-1] == [TextDelta("A"), Unknown(message)]

    def test_the_texts_of_the_older_completions_are_deltas(self):
        body = b"".join(record({"choices": [{"text": word}]}) for word in ("A", " moon."))
        outcome = check_fragmentations(CHAT, body + STOP + DONE)
        assert outcome.events[:-1] == [TextDelta("A"), TextDelta(" moon.")]

    def test_a_whole_message_gives_what_did_not_come_before(self):
        message = {"reasoning": "Look.", "reasoning_details": {"grounding": []}, "content": "A"}
        whole = {"choices": [{"index": 0, "message": message, "finish_reason": "stop"}]}
        outcome = check_fragmentations(CHAT, record(whole) + DONE)
        assert outcome.events[:-1] == [ReasoningDelta("Look."), TextDelta("A")]
        after = check_fragmentations(CHAT, chunk({"reasoning": "Look."}) + record(whole) + DONE)
        assert after.events[:-1] == [ReasoningDelta("Look."), TextDelta("A")]
        assert after.snapshot.reasoning == Reasoning("Look.")
        after = check_fragmentations(CHAT, text("A") + record(whole) + DONE)
        assert after.events[:-1] == [TextDelta("A"), ReasoningDelta("Look.")]
        assert after.snapshot.text == "A"


class TestUnknown:
    @pytest.mark.parametrize(
        "message",
        [
            {"type": "ping"},
            {"choices": [{"index": 1, "delta": {"content": "other"}}]},
            {"choices": [{}]},
            {
                "choices": [
                    {"index": 0, "delta": {"tool_calls": [{"index": 0, "function": {"name": "f"}}]}}
                ]
            },
            {"choices": [{"index": 0, "delta": {"content": None, "refusal": "No."}}]},
            {"chunk": " moon", "completed": True},
        ],
    )
    def test_messages(self, message: dict[str, Any]):
        outcome = check_fragmentations(CHAT, text("A") + record(message) + STOP + DONE)
        assert outcome.events[:-1] == [TextDelta("A"), Unknown(message)]

    @pytest.mark.parametrize(
        "nothing",
        [{"refusal": None}, {"tool_calls": []}, {"role": "assistant"}, {"content": ""}, {}],
    )
    def test_what_says_nothing_is_none(self, nothing: dict[str, Any]):
        assert run(CHAT, [chunk(nothing), STOP, DONE]).events[:-1] == []

    def test_the_first_choice_among_others(self):
        """The message is Unknown as well, as the text of the other would be lost."""
        choices = [
            {"index": 1, "delta": {"content": "other"}},
            {"index": 0, "delta": {"content": "A"}, "finish_reason": "stop"},
        ]
        outcome = run(CHAT, [record({"choices": choices}), DONE])
        assert outcome.events == [
            TextDelta("A"),
            Unknown({"choices": choices}),
            Completed(outcome.snapshot),
        ]

    @pytest.mark.parametrize("other", [{"delta": {}}, {"delta": {"role": "assistant"}}, {}])
    def test_another_choice_that_says_nothing(self, other: dict[str, Any]):
        choices = [
            {"index": 0, "delta": {"content": "A"}, "finish_reason": "stop"},
            {"index": 1, "finish_reason": "stop", "logprobs": {"content": []}, **other},
        ]
        outcome = run(CHAT, [record({"choices": choices}), DONE])
        assert outcome.events == [TextDelta("A"), Completed(outcome.snapshot)]

    @pytest.mark.parametrize(
        "part",
        [
            {"tool_calls": [{"index": 0}]},
            {"function_call": {"name": "f"}},
            {"refusal": "No."},
        ],
        ids=str,
    )
    def test_another_part_of_the_answer_beside_its_text(self, part: dict[str, Any]):
        message = {"choices": [{"index": 0, "delta": {"content": "A"} | part}]}
        outcome = check_fragmentations(CHAT, record(message) + STOP + DONE)
        assert outcome.events[:-1] == [TextDelta("A"), Unknown(message)]

    @pytest.mark.parametrize(
        "message",
        [
            {"choices": None, "note": "x"},
            {"choices": [], "note": "x"},
            {"choices": [{"index": 0, "delta": {}, "content": "x"}]},
            {"choices": [{"index": 0, "content": "x", "finish_reason": "stop"}]},
            {"choices": [{"index": 0, "text": 7}]},
            {"choices": [{"index": 0, "message": "x"}]},
            {"choices": [{"index": 0, "message": {"content": "x"}}]},  # it may repeat what came
        ],
        ids=str,
    )
    def test_a_message_that_gives_no_event(self, message: dict[str, Any]):
        outcome = check_fragmentations(CHAT, text("A") + record(message) + STOP + DONE)
        assert outcome.events[:-1] == [TextDelta("A"), Unknown(message)]

    @pytest.mark.parametrize(
        "message",
        [
            {"choices": None, "note": ""},
            {"choices": [], "model": "m", "created": 5, "object": "x", "id": "7"},
            {"choices": [], "usage": {}, "note": "x"},
            {"choices": None, "usage": USED, "note": "x"},
            {
                "choices": [
                    {
                        "index": 0,
                        "delta": {"role": "assistant", "content": ""},
                        "message": {"role": "assistant", "content": ""},
                        "text": "",
                        "logprobs": {"content": []},
                        "native_finish_reason": "stop",
                    }
                ]
            },
        ],
        ids=str,
    )
    def test_a_message_that_says_nothing_more(self, message: dict[str, Any]):
        outcome = check_fragmentations(CHAT, text("A") + record(message) + STOP + DONE)
        assert outcome.events[:-1] == [TextDelta("A")]

    def test_chunks_are_unknown_to_a_query(self):
        assert run(QUERY, [text("A")]).events == [Unknown(json.loads(text("A")[6:]))]


@pytest.mark.parametrize(
    "name",
    [
        *("object", "created", "model", "service_tier", "system_fingerprint", "provider"),
        *("obfuscation", "prompt_filter_results"),
    ],
)
def test_metadata_alone_gives_no_event(name: str):
    assert run(CHAT, [record({"choices": [], name: "x"})]).events == []


@pytest.mark.parametrize(
    "name",
    [
        *("native_finish_reason", "stop_reason", "matched_stop"),
        *("logprobs", "token_ids", "content_filter_results"),
    ],
)
def test_metadata_of_a_choice_alone_gives_no_event(name: str):
    assert run(CHAT, [record({"choices": [{name: "x", "delta": {}}]})]).events == []


def test_groundings_up_to_their_limit():
    def chunk_with(points: int) -> bytes:
        grounding = {"start_idx": 0, "end_idx": 1, "points": [[0.1, 0.2]] * points}
        delta = {"reasoning": {"text": "x", "grounding": [grounding]}}
        return record({"choices": [{"index": 0, "delta": delta}]})

    limits = Limits(max_json_values=60)  # a grounding counts as one, and so does each point
    within = [chunk_with(points=4)] * 12
    assert type(run(CHAT, within, limits=limits).error) is IncompleteStream
    assert type(run(CHAT, [*within, chunk_with(points=0)], limits=limits).error) is LimitExceeded


def test_text_of_a_choice_that_ends_in_half_a_character_is_known():
    outcome = run(CHAT, [record({"choices": [{"index": 0, "text": "\ud83c"}]})])
    assert outcome.events == []
