"""A chat that is answered with one JSON object."""

from __future__ import annotations

import json
from typing import Any

import pytest

from sansio_moondream import (
    APIError,
    ChatResult,
    Completed,
    Grounding,
    Headers,
    IncompleteStream,
    Metadata,
    RateLimitError,
    Reasoning,
    ReasoningDelta,
    RemoteProtocolError,
    TextDelta,
    Unknown,
)
from sansio_moondream.testing import check_fragmentations, run
from tests.core.chats import BILL, DONE, JSON, STOP, USAGE, USED, text
from tests.helpers import CHAT


class TestWhole:
    def answer(self, message: Any, **fields: Any) -> bytes:
        choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": "stop"}
        return json.dumps(
            {
                "id": "7",
                "object": "chat.completion",
                "model": "m",
                "choices": [choice],
                "usage": USED,
            }
            | fields
        ).encode()

    @pytest.mark.parametrize("headers", [JSON, ()])
    def test_a_stream_of_two(self, headers: Any):
        details = {"grounding": [{"start_idx": 0, "end_idx": 4, "points": []}]}
        message = {
            "role": "assistant",
            "content": "A moon 🌙",
            "reasoning": "Look.",
            "reasoning_details": details,
        }
        outcome = check_fragmentations(CHAT, self.answer(message), headers=headers)
        metadata = Metadata(
            "7", "stop", usage=USAGE, headers=Headers(headers), extra={"model": "m"}
        )
        assert outcome.snapshot == ChatResult(
            "A moon 🌙", Reasoning("Look.", (Grounding(0, 4),)), metadata
        )
        assert outcome.events == [
            ReasoningDelta("Look."),
            TextDelta("A moon 🌙"),
            Completed(outcome.snapshot),
        ]

    def test_an_answer_to_a_stream_may_be_one(self):
        """The outcome is that of a body with its `[DONE]`."""
        whole = run(
            CHAT, [self.answer({"role": "assistant", "content": "A"})], headers=JSON
        ).snapshot
        streamed = run(CHAT, [text("A") + STOP + BILL + DONE]).snapshot
        assert (whole.text, whole.metadata.finish_reason, whole.metadata.usage) == (
            "A",
            "stop",
            USAGE,
        )
        assert (streamed.text, streamed.metadata.finish_reason, streamed.metadata.usage) == (
            "A",
            "stop",
            USAGE,
        )

    @pytest.mark.parametrize("content", [{"content": None}, {}, {"content": ""}])
    def test_no_text(self, content: dict[str, Any]):
        calls = [{"id": "call_1", "type": "function"}]
        message = {
            "role": "assistant",
            "tool_calls": calls,
            "refusal": None,
            "annotations": [],
        } | content
        outcome = run(CHAT, [self.answer(message)], headers=JSON)
        assert outcome.events == [Completed(outcome.snapshot)]
        assert outcome.snapshot.text == ""
        assert outcome.snapshot.metadata.extra == {"tool_calls": calls, "model": "m"}

    def test_no_finish_reason(self):
        """One complete JSON object cannot have been truncated."""
        body = json.dumps({"choices": [{"message": {"content": "A"}}]}).encode()
        assert run(CHAT, [body], headers=JSON).snapshot == ChatResult(
            "A", None, Metadata(headers=Headers(JSON))
        )

    @pytest.mark.parametrize(
        "choice",
        [
            {"text": "A"},
            {"text": "A", "message": {}},
            {"text": "A", "message": {"content": "A"}},
            {"message": {"content": [{"type": "text", "text": "A"}]}},
        ],
        ids=str,
    )
    def test_other_forms_of_the_text(self, choice: dict[str, Any]):
        body = json.dumps({"choices": [choice]}).encode()
        outcome = check_fragmentations(CHAT, body, headers=JSON)
        assert outcome.events == [TextDelta("A"), Completed(outcome.snapshot)]

    def test_an_empty_text_is_an_answer(self):
        outcome = run(CHAT, [b'{"choices": [{"text": ""}]}'], headers=JSON)
        assert outcome.events == [Completed(outcome.snapshot)]

    @pytest.mark.parametrize(
        "choices",
        [
            [{"message": {"content": "A"}}, {"index": 1, "message": {"content": "B"}}],
            [{"message": {"content": "A"}, "text": "B"}],
            [{"message": {"content": "A"}, "delta": {"content": "B"}}],
        ],
        ids=str,
    )
    def test_what_is_not_read_is_not_lost(self, choices: list[Any]):
        body = {"choices": choices}
        outcome = check_fragmentations(CHAT, json.dumps(body).encode(), headers=JSON)
        assert outcome.events == [TextDelta("A"), Unknown(body), Completed(outcome.snapshot)]

    @pytest.mark.parametrize("choices", [b"null", b"[]", b'[{"message": {}}]'])
    def test_a_body_without_an_answer_that_says_why(self, choices: bytes):
        body = b'{"choices": ' + choices + b', "message": "no credits"}'
        error = check_fragmentations(CHAT, body, headers=JSON).error
        assert isinstance(error, APIError)
        assert error.message == "no credits"

    @pytest.mark.parametrize(
        "body",
        [
            b"{}",
            b'{"choices": null}',
            b'{"choices": []}',
            b'{"choices": [{"index": 1, "message": {"content": "A"}}]}',
            b'{"choices": [{"message": null}]}',
            b'{"choices": [{"message": {}}]}',
            b'{"choices": [{"message": "A"}]}',
            b'{"choices": [{"delta": {"content": "A"}}]}',
            b'{"choices": [{"message": {"content": ["A"]}}]}',
            b'{"choices": [{"message": {"content": "A"}, "finish_reason": "error"}]}',
            b'{"answer": "A"}',
        ],
    )
    def test_no_answer(self, body: bytes):
        outcome = check_fragmentations(CHAT, body, headers=JSON)
        assert type(outcome.error) is RemoteProtocolError
        assert outcome.events == []

    @pytest.mark.parametrize("status_code", [200, 429])
    def test_errors(self, status_code: int):
        body = (
            b'{"error": {"message": "No.", "type": "rate_limit_error", "param": "messages", '
            b'"code": "slow"}}'
        )
        error = check_fragmentations(CHAT, body, headers=JSON, status_code=status_code).error
        assert type(error) is RateLimitError
        assert (error.message, error.type, error.param, error.code) == (
            "No.",
            "rate_limit_error",
            "messages",
            "slow",
        )

    def test_a_chunk_of_a_stream_as_the_whole_body(self):
        assert (
            type(run(CHAT, [self.answer({"content": "A"})[:-1]], headers=JSON).error)
            is IncompleteStream
        )
