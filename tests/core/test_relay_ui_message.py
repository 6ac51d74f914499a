"""The UI message stream of the AI SDK, read back by a reader of our own.

tests/test_ai_sdk.py lets the SDK read the same streams.
"""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from sansio_moondream import (
    BBox,
    CaptionResult,
    ChatResult,
    Completed,
    ConnectError,
    DetectResult,
    Dialect,
    Event,
    Metadata,
    PathChunk,
    QueryResult,
    RateLimitError,
    Reasoning,
    ReasoningDelta,
    Result,
    SegmentResult,
    TextDelta,
    Unknown,
    from_dict,
)
from sansio_moondream.relay import (
    SSE_HEADERS,
    Format,
    UIMessageEncoder,
    open_encoder,
    to_public,
)
from sansio_moondream.testing import strategies
from tests.core.relays import (
    ADDRESS,
    BOX,
    END_OF_DETECT,
    END_OF_SEGMENT,
    END_OF_TEXT,
    METADATA,
    REFINED,
    TEXT,
    encoded,
    fewer,
    records,
)
from tests.core.ui_messages import part, path, read
from tests.helpers import REQUESTS

ABOUT = {
    "request_id": "31",
    "tokens": {"input": 740, "output": 3},
    "timing": {
        "first_token": 0.13,
        "prefill": None,
        "decode": 0.03,
        "total": None,
        "tokens_per_second": 100.0,
    },
}


def known(result: Result) -> Any:
    """Return the form of a result in this format."""
    return to_public(replace(result, metadata=replace(result.metadata, extra={}))).to_dict()


def sent(*events: Event) -> list[Any]:
    return records(encoded(UIMessageEncoder(), events))


def joined(events: list[Event], class_: type[Any]) -> str:
    return "".join(event.text for event in events if isinstance(event, class_))


@fewer
@given(data=st.data(), skill=st.sampled_from(sorted(REQUESTS)))
def test_each_stream_reads_back(data: st.DataObject, skill: str):
    dialect = Dialect.CHAT if skill == "chat" else Dialect.ENGINE
    events = data.draw(strategies.events(skill, dialect))
    result: Any = events[-1].result  # type: ignore[union-attr]
    seen = read(encoded(open_encoder(Format.UI_MESSAGE, REQUESTS[skill]), events))
    texts = {
        kind: "".join(part["text"] for part in seen["parts"] if part["type"] == kind)
        for kind in ("text", "reasoning")
    }
    reasoning = getattr(result, "reasoning", None)
    assert texts == {
        "text": joined(events, TextDelta) or getattr(result, "text", ""),
        "reasoning": joined(events, ReasoningDelta) or (reasoning.text if reasoning else ""),
    }
    parts = {part["type"]: part["data"] for part in seen["parts"] if "data" in part}
    assert parts.pop("data-result") == known(result)
    box = getattr(result, "bbox", None) or next((e for e in events if isinstance(e, BBox)), None)
    assert parts.pop("data-bbox", None) == (box and box.to_dict())
    last = parts.pop("data-path", {"path": "", "partial": False})
    assert last == {"path": getattr(result, "path", ""), "partial": False}
    assert not parts
    assert seen["metadata"]["request_id"] == result.metadata.request_id
    assert seen["finishReason"] == result.metadata.finish_reason


class TestText:
    def test_of_a_query_with_everything(self):
        assert sent(*TEXT, END_OF_TEXT) == [
            part("start"),
            part("text-start", id="1"),
            part("text-delta", id="1", delta="A m"),
            part("text-delta", id="1", delta="ö\ud83c"),
            part("text-end", id="1"),
            part("reasoning-start", id="2"),
            part("reasoning-delta", id="2", delta="It is round."),
            part("reasoning-end", id="2"),
            part("data-result", id="result", data=known(END_OF_TEXT.result)),
            part("finish", finishReason="length", messageMetadata=ABOUT),
            "[DONE]",
        ]

    def test_reasoning_and_text_take_turns(self):
        events: list[Event] = [
            ReasoningDelta("a"),
            ReasoningDelta("b"),
            TextDelta("c"),
            ReasoningDelta("d"),
            Completed(ChatResult("c", Reasoning("abd"))),
        ]
        assert sent(*events)[:-3] == [
            part("start"),
            part("reasoning-start", id="1"),
            part("reasoning-delta", id="1", delta="a"),
            part("reasoning-delta", id="1", delta="b"),
            part("reasoning-end", id="1"),
            part("text-start", id="2"),
            part("text-delta", id="2", delta="c"),
            part("text-end", id="2"),
            part("reasoning-start", id="3"),
            part("reasoning-delta", id="3", delta="d"),
            part("reasoning-end", id="3"),
        ]

    def test_a_text_without_deltas_is_sent_whole(self):
        seen = read(encoded(UIMessageEncoder(), [Completed(ChatResult("A.", Reasoning("It")))]))
        assert seen["parts"][:-1] == [
            part("reasoning", text="It", state="done"),
            part("text", text="A.", state="done"),
        ]

    def test_a_text_that_differs_from_its_deltas_is_in_the_result(self):
        events: list[Event] = [TextDelta("Mo?n"), Completed(CaptionResult("Moon"))]
        text, result = read(encoded(UIMessageEncoder(), events))["parts"]
        assert (text["text"], result["data"]["text"]) == ("Mo?n", "Moon")

    @pytest.mark.parametrize("result", [QueryResult(), CaptionResult(), ChatResult()])
    def test_of_an_empty_answer(self, result: Result):
        seen = read(encoded(UIMessageEncoder(), [Completed(result)]))
        assert seen["parts"] == [part("data-result", id="result", data=result.to_dict())]
        assert seen["finishReason"] is None

    def test_the_bytes_of_a_delta(self):
        encoder = UIMessageEncoder()
        assert encoder.encode(TextDelta("a", 1)) == (
            b'data: {"type":"start"}\n\n'
            b'data: {"type":"text-start","id":"1"}\n\n'
            b'data: {"type":"text-delta","id":"1","delta":"a"}\n\n'
        )
        assert encoder.encode(TextDelta('"\n', 2)) == (
            b'data: {"type":"text-delta","id":"1","delta":"\\"\\n"}\n\n'
        )


class TestSegment:
    def test_box_and_path_and_the_refined_ones(self):
        assert sent(BOX, PathChunk("M 0 0", 1), PathChunk(" L 1 1", 2), END_OF_SEGMENT) == [
            part("start"),
            part("data-bbox", id="bbox", data=BOX.to_dict()),
            path("M 0 0"),
            path("M 0 0 L 1 1"),
            part("data-bbox", id="bbox", data=REFINED.to_dict()),
            path("M 0 0 L 1 1 z", partial=False),
            part("data-result", id="result", data=known(END_OF_SEGMENT.result)),
            part("finish", finishReason="length", messageMetadata=ABOUT),
            "[DONE]",
        ]

    def test_a_path_is_sent_again_when_it_has_grown_by_an_eighth(self):
        encoder = UIMessageEncoder()
        first = encoder.encode(PathChunk("M 0 0 L "))
        assert records(first) == [part("start"), path("M 0 0 L ")]
        assert records(encoder.encode(PathChunk("1"))) == [path("M 0 0 L 1")]
        assert encoder.encode(PathChunk(" ")) == b""  # 10, of 9 and an eighth: 10.125
        assert records(encoder.encode(PathChunk("1"))) == [path("M 0 0 L 1 1")]

    def test_all_paths_together_are_at_most_ten_times_the_last(self):
        encoder = UIMessageEncoder()
        chunks = [PathChunk(f"L {n} ") for n in range(1000, 2000)]
        whole = "".join(chunk.data for chunk in chunks)
        events: list[Event] = [*chunks, Completed(SegmentResult(whole))]
        paths = [
            chunk["data"]["path"]
            for chunk in records(encoded(encoder, events))[:-1]
            if chunk["type"] == "data-path"
        ]
        assert paths[-1] == whole
        assert sum(map(len, paths)) <= 10 * len(whole)
        assert len(paths) > 40

    def test_a_path_that_is_none_is_removed(self):
        result = SegmentResult(parse_error="no path", metadata=Metadata(extra={"a": 1}))
        seen = sent(PathChunk("M 0"), Completed(result))
        assert seen[2] == path("", partial=False)
        assert sent(Completed(result))[1] == part("data-result", id="result", data=known(result))

    def test_an_equal_box_is_not_sent_again(self):
        seen = sent(BOX, Completed(SegmentResult("M 0 0", BOX)))
        assert [chunk["type"] for chunk in seen[:-1]] == [
            *("start", "data-bbox", "data-path", "data-result", "finish"),
        ]

    def test_a_partial_result_has_a_partial_path(self):
        assert path("M 0") in sent(Completed(SegmentResult("M 0", partial=True)))


def test_boxes_and_points_are_in_the_result():
    assert sent(END_OF_DETECT) == [
        part("start"),
        part("data-result", id="result", data=known(END_OF_DETECT.result)),
        part("finish", finishReason="length", messageMetadata=ABOUT),
        "[DONE]",
    ]
    read_back: Any = from_dict(known(END_OF_DETECT.result))
    assert read_back == DetectResult((BOX, REFINED), read_back.metadata)


@pytest.mark.parametrize(
    ("of_the_server", "reason"),
    [
        ("stop", "stop"),
        ("length", "length"),
        ("content_filter", "content-filter"),
        ("tool_calls", "tool-calls"),
        ("eos", "other"),
        ("", "other"),
    ],
)
def test_finish_reasons(of_the_server: str, reason: str):
    result = QueryResult("A", metadata=Metadata(finish_reason=of_the_server))
    assert sent(Completed(result))[-2]["finishReason"] == reason


def test_nothing_is_sent_that_nobody_knows():
    assert UIMessageEncoder().encode(Unknown({"__proto__": 1})) == b""
    body = encoded(UIMessageEncoder(), [END_OF_TEXT])
    assert b"__proto__" not in body
    assert b"set-cookie" not in body


class TestError:
    def test_before_anything(self):
        error = RateLimitError("busy", status_code=429, retry_after=2.5, url=ADDRESS)
        assert records(UIMessageEncoder().encode_error(error)) == [
            part("start"),
            part("data-error", transient=True, data=to_public(error).to_dict()),
            part("error", errorText="busy"),
            "[DONE]",
        ]

    def test_in_a_text(self):
        partial = QueryResult("A", metadata=METADATA, partial=True)
        error = ConnectError(ADDRESS, partial=partial, url=ADDRESS)
        body = encoded(UIMessageEncoder(), [TextDelta("A")], error)
        words = "the upstream server cannot be reached"
        public = ConnectError(words, partial=from_dict(known(partial)))  # type: ignore[arg-type]
        seen = read(body)
        assert seen["parts"] == [part("text", text="A", state="done")]
        assert seen["transient"] == [part("data-error", data=public.to_dict())]
        assert seen["error"] == words
        for hidden in (b"10.0.0.7", b"__proto__", b"set-cookie"):
            assert hidden not in body

    def test_in_a_path_that_has_not_been_sent(self):
        events = [PathChunk("M 0 0 L 1 1 "), PathChunk("1")]
        seen = read(encoded(UIMessageEncoder(), events, ConnectError("")))
        assert seen["parts"] == [path("M 0 0 L 1 1 1")]
        *chunks, _done = records(encoded(UIMessageEncoder(), events[:1], ConnectError("")))
        types = ["start", "data-path", "data-error", "error"]
        assert [chunk["type"] for chunk in chunks] == types


def test_headers():
    assert UIMessageEncoder().headers == (*SSE_HEADERS, ("x-vercel-ai-ui-message-stream", "v1"))
