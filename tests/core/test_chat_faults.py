"""A chat that contradicts the protocol, splits a character, or is too large."""

from __future__ import annotations

import json
from typing import Any

import pytest

from sansio_moondream import (
    APIError,
    ChatResult,
    Headers,
    LimitExceeded,
    Limits,
    Metadata,
    RateLimitError,
    Reasoning,
    ReasoningDelta,
    RemoteProtocolError,
    ServerError,
    TextDelta,
    Unknown,
)
from sansio_moondream.testing import EVENT_STREAM, check_fragmentations, run
from tests.core.chats import DONE, JSON, START, STOP, chunk, text
from tests.helpers import CHAT, record


class TestContradictions:
    @pytest.mark.parametrize(
        ("message", "words"),
        [
            ({"choices": {}}, '"choices" should be an array, not an object'),
            ({"choices": "none"}, '"choices" should be an array, not text'),
            ({"choices": [None]}, '"choices" should hold objects, not null'),
            ({"choices": [{"delta": "A"}]}, '"delta" should be an object, not text'),
            ({"choices": [{"delta": {"content": 7}}]}, '"content" should be text, not a number'),
            (
                {"choices": [{"delta": {"content": [{"type": "text"}], "reasoning": "x"}}]},
                '"content" should be text, not an array',
            ),
        ],
    )
    def test_messages(self, message: dict[str, Any], words: str):
        outcome = check_fragmentations(CHAT, text("A") + record(message) + STOP + DONE)
        assert type(outcome.error) is RemoteProtocolError
        assert words in str(outcome.error)
        assert outcome.events == [TextDelta("A")]
        assert outcome.snapshot == ChatResult(
            "A", None, Metadata("7", headers=Headers(EVENT_STREAM)), partial=True
        )

    @pytest.mark.parametrize(
        ("error", "class_"),
        [
            (
                {
                    "error": {
                        "message": "slow down",
                        "type": "rate_limit_error",
                        "param": None,
                        "code": "rate_limit_exceeded",
                    }
                },
                RateLimitError,
            ),
            ({"error": {"message": "slow down", "type": "server_error", "code": 500}}, ServerError),
            (
                {
                    "error": {"code": "x", "message": "slow down"},
                    "choices": [{"delta": {"content": ""}, "finish_reason": "error"}],
                },
                APIError,
            ),
        ],
    )
    def test_errors_in_the_stream(self, error: dict[str, Any], class_: type[APIError]):
        for body in (text("A") + record(error) + DONE, text("A") + STOP + record(error) + DONE):
            outcome = check_fragmentations(CHAT, body)
            assert type(outcome.error) is class_
            assert outcome.error.message == "slow down"
            assert isinstance(outcome.error.partial, ChatResult)
            assert outcome.error.partial.text == "A"
            assert outcome.error.request_id == "7"


class TestSurrogates:
    """Some servers split text by UTF-16 units."""

    @pytest.mark.parametrize("name", ["content", "reasoning"])
    def test_they_are_joined(self, name: str):
        outcome = check_fragmentations(
            CHAT, chunk({name: "A\ud83c"}) + START + chunk({name: "\udf19B"}) + STOP + DONE
        )
        kind = TextDelta if name == "content" else ReasoningDelta
        assert outcome.events[:-1] == [kind("A"), kind("🌙B")]

    def test_text_and_reasoning_do_not_mix(self):
        body = (
            chunk({"reasoning": "\ud83c"})
            + chunk({"content": "\udf19"})
            + chunk({"reasoning": "\udf19"})
            + STOP
            + DONE
        )
        outcome = check_fragmentations(CHAT, body)
        assert outcome.events[:-1] == [TextDelta("\ufffd"), ReasoningDelta("🌙")]

    @pytest.mark.parametrize("end", [DONE, b""])
    def test_one_that_stays_alone(self, end: bytes):
        outcome = check_fragmentations(
            CHAT, chunk({"reasoning": "x\ud83c"}) + text("A\ud83c") + STOP + end
        )
        assert outcome.events[:-1] == [
            ReasoningDelta("x"),
            TextDelta("A"),
            ReasoningDelta("\ufffd"),
            TextDelta("\ufffd"),
        ]
        assert outcome.snapshot.text == "A\ufffd"

    def test_elsewhere_none_comes_out(self):
        odd = chunk({"tool_calls": ["\ud83c"]}) + chunk({}, "st\ud83c", model="\udf19")
        outcome = check_fragmentations(CHAT, text("A") + odd + DONE)
        assert isinstance(outcome.events[1], Unknown)
        assert outcome.events[1].data["choices"][0]["delta"] == {"tool_calls": ["\ufffd"]}
        assert (
            outcome.snapshot.metadata.finish_reason,
            outcome.snapshot.metadata.extra["model"],
        ) == ("st\ufffd", "\ufffd")
        body = json.dumps(
            {
                "choices": [
                    {"message": {"content": "\ud83c", "refusal": "\udf19"}, "finish_reason": "stop"}
                ]
            }
        ).encode()
        whole = run(CHAT, [body], headers=JSON).snapshot
        assert (whole.text, whole.metadata.extra) == ("\ufffd", {"refusal": "\ufffd"})


class TestLimits:
    def test_of_text_and_of_reasoning(self):
        body = chunk({"reasoning": "abcd"}) + text("abc") + text("d") + STOP + DONE
        assert check_fragmentations(CHAT, body, limits=Limits(max_text_bytes=4)).error is None
        for more in ({"content": "e"}, {"reasoning": "e"}):
            outcome = check_fragmentations(
                CHAT, body.replace(STOP, chunk(more)), limits=Limits(max_text_bytes=4)
            )
            assert type(outcome.error) is LimitExceeded
            assert (outcome.snapshot.text, outcome.snapshot.reasoning) == (
                "abcd",
                Reasoning("abcd"),
            )

    @pytest.mark.parametrize("depth", [1, 2, 3, 4, 5])
    def test_of_depth(self, depth: int):
        """A usual chunk is four deep. The fast path never decodes what the limit forbids."""
        outcome = check_fragmentations(
            CHAT, text("A") * 3 + STOP + DONE, limits=Limits(max_json_depth=depth)
        )
        assert (type(outcome.error) is LimitExceeded) == (depth < 4)
        assert len(outcome.events) == (0 if depth < 4 else 4)

    def test_of_depth_after_a_shallow_first_message(self):
        """The fast path is in use by then, as the id of the answer is known."""
        body = record({"id": "c-1", "choices": []}) + chunk({"content": "A"}, id="c-1") * 3
        outcome = check_fragmentations(CHAT, body, limits=Limits(max_json_depth=3))
        assert type(outcome.error) is LimitExceeded
        assert outcome.events == []
