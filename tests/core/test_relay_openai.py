"""OpenAI's chunks as a format of a relay, read back by our decoder of chats."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from sansio_moondream import (
    CaptionRequest,
    CaptionResult,
    ChatMessage,
    ChatRequest,
    ChatResult,
    Completed,
    ConnectError,
    Dialect,
    Event,
    Headers,
    Metadata,
    Metrics,
    PathChunk,
    QueryRequest,
    QueryResult,
    Reasoning,
    ReasoningDelta,
    Request,
    Result,
    ServerError,
    TextDelta,
    Unknown,
    Usage,
    encode_stream_error,
)
from sansio_moondream.relay import SSE_HEADERS, Format, OpenAIEncoder, open_encoder
from sansio_moondream.testing import run, strategies
from tests.core.relays import (
    ADDRESS,
    BOX,
    END_OF_DETECT,
    END_OF_SEGMENT,
    END_OF_TEXT,
    REASONING,
    TEXT,
    encoded,
    fewer,
    records,
)
from tests.helpers import CHAT, PIXEL, REQUESTS

TEXTS = ("query", "caption", "chat")
OBJECT = {"object": "chat.completion.chunk", "model": ""}


def chunk(delta: dict[str, Any], finish_reason: str | None = None, id_: str = "") -> dict[str, Any]:
    return {
        "id": id_,
        **OBJECT,
        "choices": [{"index": 0, "delta": delta, "finish_reason": finish_reason}],
    }


def end(*events: Event) -> list[Any]:
    return records(encoded(OpenAIEncoder(), events))


def as_chat(event: Event) -> list[Event]:
    """Return what our decoder of chats makes of an event in this format."""
    match event:
        case Unknown():
            return []
        case TextDelta(text=text):
            return [TextDelta(text)]
        case Completed(result):
            return [Completed(chat_of(result))]
        case _:
            return [event]


def chat_of(result: Any) -> ChatResult:
    about = result.metadata
    tokens, total = about.tokens, about.usage and about.usage.total_tokens
    usage = None
    if tokens.input is not None and tokens.output is not None:
        total = tokens.input + tokens.output if total is None else total
        usage = Usage(tokens.input, tokens.output, total)
    reasoning = None if isinstance(result, CaptionResult) else result.reasoning
    metadata = Metadata(
        request_id=about.request_id,
        finish_reason=about.finish_reason or "stop",
        usage=usage,
        headers=Headers(SSE_HEADERS),
        extra={"model": ""},
    )
    if reasoning == Reasoning(""):
        reasoning = None
    return ChatResult(result.text, reasoning, metadata)


@fewer
@given(data=st.data(), skill=st.sampled_from(TEXTS))
def test_each_stream_reads_back_as_a_chat(data: st.DataObject, skill: str):
    dialect = Dialect.CHAT if skill == "chat" else Dialect.CLOUD
    events = data.draw(strategies.events(skill, dialect, SSE_HEADERS))
    body = encoded(open_encoder(Format.OPENAI, REQUESTS[skill]), events)
    outcome = run(CHAT, data.draw(strategies.fragmentations(body)), headers=SSE_HEADERS)
    assert outcome.error is None
    *deltas, last = [read for event in events for read in as_chat(event)]
    # A query's reasoning comes with its end, and so its delta is before the last event.
    reasoning = [] if skill == "chat" else reasoning_delta(last)
    assert outcome.events == [*deltas, *reasoning, last]


def reasoning_delta(last: Any) -> list[ReasoningDelta]:
    reasoning = last.result.reasoning
    return [ReasoningDelta(reasoning.text)] if reasoning and reasoning.text else []


class TestBytes:
    def test_of_a_chat(self):
        metadata = Metadata("31", "stop", usage=Usage(740, 3, 800))
        deltas: list[Event] = [TextDelta("A m", 1), TextDelta("ö\n\ud83c", 2)]
        done = Completed(ChatResult("A mö\n\ud83c", Reasoning("It is"), metadata))
        encoder = OpenAIEncoder(model="moondream3", id="chatcmpl-7", created=1_700_000_000)
        head = (
            b'data: {"id":"chatcmpl-7","object":"chat.completion.chunk","model":"moondream3",'
            b'"created":1700000000,"choices":['
        )
        choice, empty = b'{"index":0,"delta":{', b'},"finish_reason":null}]}\n\n'
        assert [encoder.encode(event) for event in [ReasoningDelta("It is"), *deltas, done]] == [
            head + choice + b'"role":"assistant","reasoning":"It is"' + empty,
            head + choice + b'"content":"A m"' + empty,
            head + choice + b'"content":"\\u00f6\\n\\ud83c"' + empty,
            head
            + choice
            + b'},"finish_reason":"stop"}]}\n\n'
            + head
            + b'],"usage":{"prompt_tokens":740,"completion_tokens":3,"total_tokens":800}}\n\n'
            + b"data: [DONE]\n\n",
        ]

    def test_the_model_is_that_of_the_request(self):
        messages = [ChatMessage("user", "?")]
        requests: list[Request[Any]] = [
            QueryRequest(question="?", model="m"),
            CaptionRequest(image=PIXEL, model="m"),
            ChatRequest(messages=messages, model="m"),
        ]
        for request in requests:
            encoder = open_encoder(Format.OPENAI, request, created=7)
            (first,) = records(encoder.encode(TextDelta("a")))
            assert (first["model"], first["created"]) == ("m", 7)
        for unnamed in [None, QueryRequest(question="?")]:
            (first,) = records(open_encoder(Format.OPENAI, unnamed).encode(TextDelta("a")))
            assert first == chunk({"role": "assistant", "content": "a"})

    def test_headers(self):
        assert OpenAIEncoder().headers == SSE_HEADERS


class TestEnd:
    def test_of_a_query_with_everything(self):
        *deltas, last, billed, done = end(*TEXT, END_OF_TEXT)
        assert [part["choices"][0]["delta"] for part in deltas] == [
            {"role": "assistant", "content": "A m"},
            {"content": "ö\ud83c"},
            {"reasoning": "It is round."},
        ]
        points = {"grounding": [{"start_idx": 0, "end_idx": 2, "points": [[0.5, 0.25]]}]}
        assert last == chunk({"reasoning_details": points}, "length", "31")
        assert billed == {
            "id": "31",
            **OBJECT,
            "choices": [],
            "usage": {"prompt_tokens": 740, "completion_tokens": 3, "total_tokens": 743},
        }
        assert done == "[DONE]"

    def test_of_an_empty_answer(self):
        results: list[Result] = [QueryResult(), CaptionResult(), ChatResult()]
        for result in results:
            assert end(Completed(result)) == [chunk({"role": "assistant"}, "stop"), "[DONE]"]

    def test_a_text_without_deltas_is_one(self):
        reasoning, text, last, done = end(Completed(ChatResult("A.", Reasoning("It"))))
        assert reasoning == chunk({"role": "assistant", "reasoning": "It"})
        assert text == chunk({"content": "A."})
        assert (last, done) == (chunk({}, "stop"), "[DONE]")

    def test_a_text_that_differs_from_its_deltas_is_left_out(self):
        result = ChatResult("Moon", Reasoning("Round"))
        assert end(TextDelta("Mo?n"), ReasoningDelta("R?"), Completed(result)) == [
            chunk({"role": "assistant", "content": "Mo?n"}),
            chunk({"reasoning": "R?"}),
            chunk({}, "stop"),
            "[DONE]",
        ]

    @pytest.mark.parametrize(
        ("metadata", "usage"),
        [
            (Metadata(usage=Usage(1, 2, None)), (1, 2, 3)),
            (Metadata(usage=Usage(1, 2, 4)), (1, 2, 4)),
            (Metadata(usage=Usage(0, 0, 0)), (0, 0, 0)),
            (Metadata(usage=Usage(None, 2, 4)), None),
            (Metadata(usage=Usage(1, None, 4)), None),
            (Metadata(metrics=Metrics(1, 2)), (1, 2, 3)),
            (Metadata(), None),
        ],
    )
    def test_the_usage_if_it_is_known(self, metadata: Metadata, usage: tuple[int, ...] | None):
        *_, last, _done = end(Completed(ChatResult("A", metadata=metadata)))
        names = ("prompt_tokens", "completion_tokens", "total_tokens")
        assert last.get("usage") == (usage and dict(zip(names, usage, strict=True)))

    def test_has_nothing_of_the_server_that_nobody_knows(self):
        sent = OpenAIEncoder().encode(END_OF_TEXT)
        assert b"note" not in sent
        assert b"set-cookie" not in sent
        assert OpenAIEncoder().encode(Unknown({"error": "a"})) == b""


class TestRefused:
    @pytest.mark.parametrize("skill", ["segment", "detect", "point"])
    def test_at_the_request(self, skill: str):
        with pytest.raises(ValueError, match=f"OpenAI's chunks have no place for a {skill}, only"):
            open_encoder(Format.OPENAI, REQUESTS[skill])

    @pytest.mark.parametrize(
        ("event", "name"),
        [
            (BOX, "BBox"),
            (PathChunk("M"), "PathChunk"),
            (END_OF_SEGMENT, "SegmentResult"),
            (END_OF_DETECT, "DetectResult"),
        ],
    )
    def test_at_the_event_if_no_request_is_known(self, event: Event, name: str):
        words = f"OpenAI's chunks have no place for a {name}, only for text: use Format.EVENTS"
        with pytest.raises(ValueError, match=words):
            open_encoder(Format.OPENAI).encode(event)


def test_an_error_ends_the_stream():
    error = ConnectError(ADDRESS, url=ADDRESS)
    encoder = OpenAIEncoder()
    body = encoded(encoder, [TextDelta("A")], error)
    assert body.endswith(encode_stream_error(error))
    assert json.loads(body.split(b"data: ")[-1]) == {
        "error": {
            "message": "the upstream server cannot be reached",
            "type": "server_error",
            "param": None,
            "code": "502",
        }
    }
    outcome = run(CHAT, [body])
    assert outcome.events == [TextDelta("A")]
    assert type(outcome.error) is ServerError


def test_grounding_without_a_text_is_kept():
    reasoning = replace(REASONING, text="")
    last, _done = end(Completed(ChatResult("", reasoning)))
    assert last["choices"][0]["delta"].keys() == {"role", "reasoning_details"}
