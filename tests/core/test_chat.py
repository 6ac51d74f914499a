"""The chat's answer: OpenAI's chunks as several servers write them, what makes a stream of them
whole, and what does not.
"""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sansio_moondream import (
    APIError,
    ChatResult,
    Completed,
    ConnectionLost,
    Dialect,
    Grounding,
    Headers,
    IncompleteStream,
    LimitExceeded,
    Limits,
    Metadata,
    Point,
    RateLimitError,
    Reasoning,
    ReasoningDelta,
    RemoteProtocolError,
    ResponseStream,
    ServerError,
    State,
    TextDelta,
    Unknown,
    Usage,
    encode_events,
)
from sansio_moondream.testing import (
    EVENT_STREAM,
    check_fragmentations,
    each_byte,
    record_ends,
    run,
    strategies,
)
from tests.helpers import CHAT, QUERY, record
from tests.helpers import check_fragmentations as check_framings

JSON = (("content-type", "application/json"),)
LOST = ConnectionLost("gone")
DONE = b"data: [DONE]\n\n"
NO_LANE = Limits(max_record_bytes=60_000)


def chunk(delta: dict[str, Any] | None, finish_reason: str | None = None, **fields: Any) -> bytes:
    """One record, as short as a server may write it: the fragmentations below are many."""
    return record(
        {"id": "7", "choices": [{"delta": delta, "finish_reason": finish_reason}]} | fields
    )


def openai(delta: dict[str, Any], finish_reason: str | None = None, **fields: Any) -> bytes:
    """One record with all that OpenAI's own servers write."""
    about: dict[str, Any] = {
        "object": "chat.completion.chunk",
        "created": 1786000000,
        "model": "m",
        "service_tier": "default",
        "system_fingerprint": None,
    }
    choices = [{"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish_reason}]
    return chunk({}, **about, choices=choices, usage=None, obfuscation="aB3", **fields)


def text(content: str) -> bytes:
    return chunk({"content": content})


USED = {"prompt_tokens": 740, "completion_tokens": 3, "total_tokens": 743}
USAGE = Usage(740, 3, 743)
START, STOP, BILL = (
    chunk({"role": "assistant", "content": ""}),
    chunk({}, "stop"),
    chunk(None, choices=[], usage=USED),
)

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


def about(**fields: Any) -> Metadata:
    return Metadata(request_id="7", finish_reason="stop", headers=Headers(EVENT_STREAM), **fields)


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
        """It is let go beside a reasoning, as that is an event; alone it is Unknown, and in a whole
        answer it is kept.
        """
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
        """As Azure's content filters send them, before, between and behind."""
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
        "seen", [{}, [], "many", {"prompt_tokens": "740", "completion_tokens": 1.5}]
    )
    def test_usage_in_another_form_is_let_go(self, seen: Any):
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


class TestEnd:
    """What makes a stream whole: the finish reason, and then `[DONE]` or the end of the body."""

    @pytest.mark.parametrize(
        "end",
        [
            DONE,
            DONE[:-1],
            DONE[:-2],
            b"data:[DONE]",
            b"data: [DONE] \r\n\r\n",
            b"event: message\ndata: [DONE]\n\n",
            BILL + DONE,
            DONE + b"data: nonsense\n\n",
            DONE + record({"error": "late"}),
        ],
    )
    def test_done_after_a_finish_reason(self, end: bytes):
        for ending in (None, LOST):
            outcome = check_fragmentations(CHAT, text("A") + STOP + end, ending=ending)
            assert outcome.error is None
            assert outcome.events == [TextDelta("A"), Completed(outcome.snapshot)]

    def test_done_is_the_end_at_once(self):
        stream = ResponseStream(CHAT)
        stream.receive_response(200, EVENT_STREAM)
        stream.receive_data(text("A") + STOP + b"data: [DONE]\n")
        assert list(stream.events()) == [TextDelta("A")]
        stream.receive_data(b"\n")
        assert stream.result().text == "A"
        assert stream.state is State.COMPLETED

    @pytest.mark.parametrize("end", [b"", BILL, BILL[:-2], b": ping\n\n", b"\n", b"data: \n\n"])
    def test_the_end_of_the_body_after_a_finish_reason(self, end: bytes):
        """Several servers never send `[DONE]`."""
        outcome = check_fragmentations(CHAT, text("A") + STOP + end)
        assert outcome.error is None
        assert outcome.snapshot.metadata.usage == (USAGE if end.startswith(b"data: {") else None)
        assert outcome.events == [TextDelta("A"), Completed(outcome.snapshot)]

    def test_a_finish_reason_without_its_blank_line(self):
        assert check_fragmentations(CHAT, text("A") + STOP.strip()).error is None

    @pytest.mark.parametrize("end", [b"", BILL, b"data: [DON"])
    def test_a_lost_connection_after_a_finish_reason_is_a_fault(self, end: bytes):
        """The server had not ended the stream.

        All that came is in the partial, the finish reason too.
        """
        outcome = check_fragmentations(CHAT, text("A") + STOP + end, ending=LOST)
        assert type(outcome.error) is ConnectionLost
        assert (outcome.snapshot.text, outcome.snapshot.metadata.finish_reason) == ("A", "stop")

    @pytest.mark.parametrize("rest", [b"d", b"data: [DON", b"data: {", b"data: [DON\n", b": pi"])
    def test_what_stops_in_the_middle_of_a_record_is_incomplete(self, rest: bytes):
        outcome = check_fragmentations(CHAT, text("A") + STOP + rest)
        assert type(outcome.error) is IncompleteStream
        assert outcome.error.partial == outcome.snapshot

    @pytest.mark.parametrize(
        "before", [b"", START, text("A"), text("A") + BILL, text("A") + chunk({}, "")]
    )
    def test_done_without_a_finish_reason_is_incomplete(self, before: bytes):
        """A gateway says so, too, when the server behind it has died."""
        for end in (DONE, DONE.strip(), DONE + STOP):
            outcome = check_fragmentations(CHAT, before + end, ending=LOST)
            assert type(outcome.error) is IncompleteStream
            assert "before the answer had its end" in str(outcome.error)
        assert type(check_fragmentations(CHAT, before).error) is IncompleteStream

    @pytest.mark.parametrize("reason", [None, "", 7, ["stop"], {}])
    def test_what_is_no_finish_reason(self, reason: Any):
        assert type(run(CHAT, [text("A"), chunk({}, reason), DONE]).error) is IncompleteStream

    def test_an_error_for_a_finish_reason(self):
        body = record(
            {
                "choices": [
                    {
                        "delta": {"content": "B"},
                        "finish_reason": "error",
                        "error": {"message": "worker died"},
                    }
                ]
            }
        )
        outcome = check_fragmentations(CHAT, text("A") + body + DONE)
        assert type(outcome.error) is RemoteProtocolError
        assert "worker died" in str(outcome.error)
        assert outcome.events == [TextDelta("A")]

    def test_an_empty_stream(self):
        assert type(check_fragmentations(CHAT, b"").error) is IncompleteStream

    def test_done_in_front_of_an_error_event(self):
        assert type(run(CHAT, [text("A") + STOP + b"event: error\n" + DONE]).error) is APIError

    @pytest.mark.parametrize("ending", [None, LOST])
    def test_cut_at_every_byte(self, ending: Any):
        """Whole only where the stream ended: behind `[DONE]`, or behind a record that the finish
        reason or the usage ends.
        """
        before = START + chunk({"reasoning": "Look."}) + text("A") + text(" moon.")
        body = before + STOP + BILL + DONE
        whole = run(CHAT, [body])
        clean = {len(before + STOP), len(before + STOP) - 1, len(before + STOP) - 2}
        clean |= {at + len(BILL) for at in clean}
        for at in range(len(body)):
            outcome = run(CHAT, [body[:at]], ending=ending)
            if at % 5 == 0 or at in clean:
                assert outcome.key == run(CHAT, each_byte(body[:at]), ending=ending).key
            texts = [event for event in outcome.events if not isinstance(event, Completed)]
            assert texts == whole.events[: len(texts)]
            if at >= len(body) - 2 or (ending is None and at in clean):
                assert outcome.error is None, at
                assert (outcome.snapshot.text, outcome.snapshot.reasoning) == (
                    "A moon.",
                    Reasoning("Look."),
                )
            else:
                assert type(outcome.error) is (
                    IncompleteStream if ending is None else ConnectionLost
                ), at
                assert outcome.error.partial == outcome.snapshot


@settings(max_examples=50)
@given(st.data(), strategies.events("chat", Dialect.CHAT))
def test_a_stream_cut_anywhere_is_whole_or_says_that_it_is_not(
    data: st.DataObject, events: list[Any]
):
    encoded = encode_events(events, Dialect.CHAT)
    body, ending = data.draw(strategies.breaks(encoded, [LOST])).apply(encoded)
    outcome = run(CHAT, [body], ending=ending)
    assert run(CHAT, data.draw(strategies.fragmentations(body)), ending=ending).key == outcome.key
    if len(body) >= len(encoded) - 2:
        assert (outcome.error, outcome.events) == (None, events)
    elif outcome.error is None:
        # Only where a server without `[DONE]` would end: nothing but usage and unknown fields can
        # be missing.
        finish = encode_events(events[:-1], Dialect.CHAT) + record({})[:-2]
        assert ending is None
        assert len(body) >= len(finish)
        assert outcome.events[:-1] == events[:-1]
        assert outcome.snapshot.text == events[-1].result.text
        assert any(len(body) in (end, end - 1, end - 2) for end in record_ends(encoded))
    else:
        assert isinstance(outcome.error, IncompleteStream)
        assert outcome.events == events[: len(outcome.events)]


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
        choices = [
            {"index": 1, "delta": {"content": "other"}},
            {"index": 0, "delta": {"content": "A"}, "finish_reason": "stop"},
        ]
        outcome = run(CHAT, [record({"choices": choices}), DONE])
        assert outcome.events == [TextDelta("A"), Completed(outcome.snapshot)]

    def test_chunks_are_unknown_to_a_query(self):
        assert run(QUERY, [text("A")]).events == [Unknown(json.loads(text("A")[6:]))]


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
        """And the same as one with its `[DONE]`."""
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
        """One JSON object that is whole cannot have been cut."""
        body = json.dumps({"choices": [{"message": {"content": "A"}}]}).encode()
        assert run(CHAT, [body], headers=JSON).snapshot == ChatResult(
            "A", None, Metadata(headers=Headers(JSON))
        )

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
        body = b'{"error": {"message": "No.", "type": "rate_limit_error", "param": "messages", "code": "slow"}}'
        error = check_fragmentations(CHAT, body, headers=JSON, status_code=status_code).error
        assert type(error) is RateLimitError
        assert (error.message, error.type, error.param, error.code) == (
            "No.",
            "rate_limit_error",
            "messages",
            "slow",
        )

    def test_a_chunk_where_a_stream_was_cut_to_json(self):
        assert (
            type(run(CHAT, [self.answer({"content": "A"})[:-1]], headers=JSON).error)
            is IncompleteStream
        )


class TestHalves:
    """Of characters: servers cut text by UTF-16 units."""

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
        """An ordinary chunk is four deep; the fast lane never decodes what the limit forbids."""
        outcome = check_fragmentations(
            CHAT, text("A") * 3 + STOP + DONE, limits=Limits(max_json_depth=depth)
        )
        assert (type(outcome.error) is LimitExceeded) == (depth < 4)
        assert len(outcome.events) == (0 if depth < 4 else 4)

    def test_of_depth_after_a_shallow_first_message(self):
        """The fast lane is open by then, as the id of the answer is known."""
        body = record({"id": "c-1", "choices": []}) + chunk({"content": "A"}, id="c-1") * 3
        outcome = check_fragmentations(CHAT, body, limits=Limits(max_json_depth=3))
        assert type(outcome.error) is LimitExceeded
        assert outcome.events == []


ODD = [
    openai({"content": ""}),
    openai({"content": "x", "role": "assistant"}),
    openai({"content": "x", "role": 7}),
    openai({"content": "x", "reasoning": "y"}),
    openai({"content": "x", "reasoning_content": "y"}),
    openai(
        {
            "content": "x",
            "refusal": None,
            "tool_calls": None,
            "function_call": None,
            "reasoning": None,
        }
    ),
    openai({"content": "x", "tool_calls": [1]}),
    openai({"content": "x\ud83c"}),
    openai({"content": "\udf19x"}),
    openai({"content": "x"}, "length"),
    openai({"content": "x"}, ""),
    chunk({"content": "x"}, usage={"prompt_tokens": 1}),
    openai({"content": "x"}),
    openai({"content": "x"}, more={"deep": [[[[[]]]]]}),
    chunk({"content": "x"}, id="another"),
    chunk({"content": "x"}, id=None),
    chunk({"content": "x"}, id=5),
    chunk({"content": "x"}, created="today"),
    openai({"content": "x"}, type="error"),
    openai({"content": "x"}, error="boom"),
    openai({"content": "x"}, error=None),
    openai({"content": "x"}, completed=True),
    chunk({"content": 5}),
    chunk(None),
    chunk(None, choices=[{"delta": {"content": "x"}}]),
    chunk(None, choices=[{"index": None, "delta": {"content": "x"}}]),
    chunk(None, choices=[{"index": 1, "delta": {"content": "x"}}]),
    chunk(
        None,
        choices=[{"index": 0, "delta": {"content": "x"}}, {"index": 1, "delta": {"content": "y"}}],
    ),
    chunk(None, choices=[]),
    b'data: {"choices": [{"delta": {"content": "x", "content": "y"}}], "choices": [{"delta": {"content": "z"}}]}\n\n',
    b'data: {"choices": [{"delta": {"content": "\xff"}}]}\n\n',
    b'data: {"model": "\xff", "choices": [{"delta": {"content": "x"}}]}\n\n',
    b'data: {"model": "\\ud83c", "choices": [{"delta": {"content": "x"}}]}\n\n',
    b'data: {"created": 1e400, "choices": [{"delta": {"content": "x"}}]}\n\n',
    b'data: {"choices":\ndata: [{"delta": {"content": "x"}}]}\n\n',
    DONE,
]


class TestFastLane:
    """What it takes comes to the same as without it."""

    @pytest.mark.parametrize("odd", ODD, ids=lambda odd: odd[6:90].decode("latin-1"))
    def test_an_odd_record_among_ordinary_ones(self, odd: bytes):
        for body in (text("A") * 3 + odd * 5 + text("B") * 3 + STOP + DONE, odd + text("A") * 2):
            expected = run(CHAT, [body], limits=NO_LANE)
            for chunks in (
                [body],
                [chunk + b"\n\n" for chunk in body.split(b"\n\n")[:-1]],
                each_byte(body),
            ):
                assert run(CHAT, chunks).key == expected.key

    def test_many_records_in_one_chunk(self):
        body = START + text(" moon") * 5000 + STOP + DONE
        outcome = run(CHAT, [body])
        assert len(outcome.events) == 5001
        assert outcome.snapshot.text == " moon" * 5000
