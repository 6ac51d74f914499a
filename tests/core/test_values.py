"""The JSON form of every value: what it is, that it is read back, and what is refused."""

from __future__ import annotations

import copy
import json
import pickle
from typing import Any

import pytest
from hypothesis import given, settings
from msgspec import Struct, structs

from sansio_moondream import (
    BBox,
    ChatMessage,
    Completed,
    EncodedImage,
    Grounding,
    Headers,
    IdleTimeout,
    Metadata,
    Metrics,
    MoondreamError,
    PathChunk,
    Point,
    QueryRequest,
    QueryResult,
    RateLimitError,
    Reasoning,
    ReasoningDelta,
    SegmentResult,
    Settings,
    Stats,
    TextDelta,
    Unknown,
    Usage,
    Value,
    encode_image,
    from_dict,
    json_schema,
)
from sansio_moondream.testing import run
from sansio_moondream.testing.strategies import values
from tests.helpers import TRACES

KINDS = [reference["$ref"].removeprefix("#/$defs/") for reference in json_schema()["oneOf"]]
each_kind = pytest.mark.parametrize("kind", KINDS)

GIF = encode_image(b"GIF87a")
GIF_URL = "data:image/gif;base64,R0lGODdh"
ENCODED = {name: item for name, item in GIF.to_dict().items() if name not in ("kind", "version")}
NO_METADATA: dict[str, Any] = {
    "request_id": None,
    "finish_reason": None,
    "metrics": None,
    "stats": None,
    "usage": None,
    "deltas_match": None,
    "headers": [],
    "extra": {},
    "tokens": {"input": None, "output": None},
    "timing": {
        "first_token": None,
        "prefill": None,
        "decode": None,
        "total": None,
        "tokens_per_second": None,
    },
}


def key(value: Value) -> object:
    """Return what is equal for equal values. Errors are compared by all that they hold."""
    if isinstance(value, MoondreamError):
        return type(value), str(value), value.args, vars(value)
    return value


class TestRoundTrip:
    @each_kind
    def test_each_kind(self, kind: str):
        @settings(max_examples=5)
        @given(values(kind))
        def check(value: Value):
            form = value.to_dict()
            assert list(form)[:2] == ["kind", "version"]
            assert (form["kind"], form["version"]) == (kind, 1)
            read = from_dict(json.loads(json.dumps(form, allow_nan=False)))
            assert type(read) is type(value)
            assert key(read) == key(value)
            assert read.to_dict() == form
            assert key(type(value).from_dict(form)) == key(value)

        check()

    @pytest.mark.slow
    @given(values())
    def test_any_kind(self, value: Value):
        form = value.to_dict()
        read = from_dict(json.loads(json.dumps(form, allow_nan=False)))
        assert (type(read), key(read)) == (type(value), key(value))

    @given(values())
    @settings(max_examples=20)
    def test_values_are_copied_and_pickled_as_before(self, value: Value):
        for again in (copy.copy(value), pickle.loads(pickle.dumps(value))):
            assert key(again) == key(value)
            assert again.to_dict() == value.to_dict()

    def test_what_captured_responses_decode_to(self):
        kinds: set[str] = set()
        for trace in TRACES:
            seen = run(
                trace.request,
                trace.chunks,
                ending=trace.ending,
                status_code=trace.status_code,
                headers=trace.headers,
            )
            for value in (*seen.events, *([seen.error] if seen.error else []), seen.snapshot):
                if value is not None:
                    form = json.loads(json.dumps(value.to_dict(), allow_nan=False))
                    kinds.add(form["kind"])
                    assert key(from_dict(form)) == key(value)
        assert kinds >= {"text_delta", "path_chunk", "bbox", "completed", "connection_lost"}

    def test_the_strategies_have_every_kind(self):
        assert len(KINDS) == len(set(KINDS)) > 40
        with pytest.raises(ValueError, match=r"^kind should be one of text_delta, .*, not 'moon'$"):
            values("moon")


class Place(Struct, Value, frozen=True):
    place: BBox | Point
    centre: Point | None


class TestForm:
    @pytest.mark.parametrize(
        ("value", "form"),
        [
            (TextDelta("A", 0), {"kind": "text_delta", "text": "A", "token_index": 0}),
            (PathChunk("M"), {"kind": "path_chunk", "data": "M", "token_index": None}),
            (ReasoningDelta("So"), {"kind": "reasoning_delta", "text": "So"}),
            (
                BBox(0, 0.5, 1, 0.75),
                {"kind": "bbox", "x_min": 0, "y_min": 0.5, "x_max": 1, "y_max": 0.75},
            ),
            (Unknown({"a": [1]}), {"kind": "unknown", "data": {"a": [1]}}),
            (
                Completed(QueryResult("A")),
                {
                    "kind": "completed",
                    "result": {
                        "kind": "query_result",
                        "text": "A",
                        "reasoning": None,
                        "metadata": NO_METADATA,
                        "partial": False,
                    },
                },
            ),
            (
                SegmentResult("M0 0", BBox(0, 0, 1, 1), metadata=Metadata(deltas_match=False)),
                {
                    "kind": "segment_result",
                    "path": "M0 0",
                    "bbox": {"x_min": 0, "y_min": 0, "x_max": 1, "y_max": 1},
                    "parse_error": None,
                    "metadata": NO_METADATA | {"deltas_match": False},
                    "partial": False,
                },
            ),
            (
                Reasoning("A", (Grounding(0, 1, (Point(0.5, 1),)),)),
                {
                    "kind": "reasoning",
                    "text": "A",
                    "grounding": [{"start_idx": 0, "end_idx": 1, "points": [{"x": 0.5, "y": 1}]}],
                },
            ),
            (
                Metadata(
                    metrics=Metrics(1, 2, 3.5),
                    stats=Stats(4),
                    usage=Usage(5, 6, 7),
                    headers=Headers([("Set-Cookie", "a"), ("Set-Cookie", "b")]),
                    extra={"org_id": "7"},
                ),
                NO_METADATA
                | {
                    "kind": "metadata",
                    "metrics": {
                        "input_tokens": 1,
                        "output_tokens": 2,
                        "prefill_time_ms": 3.5,
                        "decode_time_ms": None,
                        "ttft_ms": None,
                    },
                    "stats": {"tokens": 4, "duration": None, "tokens_per_sec": None},
                    "usage": {"prompt_tokens": 5, "completion_tokens": 6, "total_tokens": 7},
                    "headers": [["set-cookie", "a"], ["set-cookie", "b"]],
                    "extra": {"org_id": "7"},
                    "tokens": {"input": 1, "output": 2},
                    "timing": NO_METADATA["timing"] | {"prefill": 0.0035},
                },
            ),
            (
                QueryRequest(
                    question="What?",
                    image=GIF,
                    spatial_refs=[Point(0, 1), (0.1, 0.2, 0.3, 0.4)],
                    settings=Settings(temperature=0),
                ),
                {
                    "kind": "query_request",
                    "settings": {
                        "temperature": 0,
                        "top_p": None,
                        "max_tokens": None,
                        "max_objects": None,
                    },
                    "model": None,
                    "question": "What?",
                    "image": ENCODED,
                    "reasoning": None,
                    "spatial_refs": [[0, 1], [0.1, 0.2, 0.3, 0.4]],
                },
            ),
            (
                ChatMessage("user", ["What?", EncodedImage(GIF_URL, "low")]),
                {
                    "kind": "chat_message",
                    "role": "user",
                    "content": ["What?", ENCODED | {"detail": "low"}],
                },
            ),
        ],
        ids=lambda item: type(item).__name__ if isinstance(item, Value) else "",
    )
    def test_examples(self, value: Value, form: dict[str, Any]):
        assert value.to_dict() == form | {"version": 1}
        assert from_dict(form | {"version": 1}) == value

    def test_an_error_has_what_it_holds_and_what_arrived(self):
        error = RateLimitError(
            "slow down",
            status_code=429,
            retry_after=7.5,
            headers=Headers([("Retry-After", "7.5")]),
            partial=QueryResult("A", partial=True),
        )
        form = error.to_dict()
        assert (
            form.items()
            >= {
                "kind": "rate_limit_error",
                "version": 1,
                "message": "slow down",
                "request_id": None,
                "status_code": 429,
                "type": None,
                "retry_after": 7.5,
                "headers": [["retry-after", "7.5"]],
                "body": "",
            }.items()
        )
        assert form["partial"] == Completed(QueryResult("A", partial=True)).to_dict()["result"]

    def test_kinds_are_class_names_in_snake_case(self):
        assert {"bbox", "tls_error", "api_error", "first_event_timeout", "unknown"} <= {*KINDS}
        assert {*KINDS} == {kind.lower() for kind in KINDS}

    def test_a_class_of_a_user(self):
        """A part has a kind if it may be of two classes, and none if of one."""
        for place, kind in ((BBox(0, 0, 1, 1), "bbox"), (Point(0, 1), "point")):
            form = Place(place, Point(1, 1)).to_dict()
            assert form == {
                "kind": "place",
                "version": 1,
                "place": {"kind": kind} | structs.asdict(place),
                "centre": {"x": 1, "y": 1},
            }
            assert Place.from_dict(form) == Place(place, Point(1, 1))

    def test_a_subclass_has_a_kind_of_its_own(self):
        class MyTimeout(IdleTimeout):
            """Of a user."""

        form = MyTimeout("late").to_dict()
        assert form["kind"] == "my_timeout"
        assert type(MyTimeout.from_dict(form)) is MyTimeout
        with pytest.raises(ValueError, match=r"^kind should be one that .* has, not 'my_timeout'$"):
            from_dict(form)
