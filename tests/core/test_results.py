"""Results: plain values, the same class streamed or whole."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import pytest

from sansio_moondream import (
    BBox,
    CaptionResult,
    ChatResult,
    Completed,
    DetectResult,
    Grounding,
    Headers,
    Metadata,
    Metrics,
    Point,
    PointResult,
    QueryResult,
    Reasoning,
    Result,
    SegmentResult,
    Stats,
    Usage,
)

BOX = BBox(0.1, 0.2, 0.3, 0.4)
METADATA = Metadata(
    request_id="31",
    finish_reason="length",
    metrics=Metrics(input_tokens=740, ttft_ms=40.5),
    stats=Stats(tokens=43, duration=0.25),
    usage=Usage(740, 3, 743),
    deltas_match=False,
    headers=Headers({"Set-Cookie": "SECRET"}),
    extra={"org_id": "SECRET", "nested": [{"x": None}]},
)
REASONING = Reasoning(
    "The moon is curved.", (Grounding(0, 8, (Point(0.5, 0.25),)), Grounding(9, 11))
)
HASHABLE = [
    BOX,
    Point(0.5, 0.25),
    METADATA.metrics,
    METADATA.stats,
    METADATA.usage,
    METADATA.tokens,
    METADATA.timing,
    REASONING,
    *REASONING.grounding,
    METADATA.headers,
]
RESULTS: list[Result] = [
    QueryResult("A moon.", REASONING, METADATA, partial=True),
    CaptionResult("A moon.", METADATA, partial=True),
    SegmentResult("M0 0L1 1z", BOX, "no path", METADATA, partial=True),
    DetectResult((BOX, BOX), METADATA, partial=True),
    PointResult((Point(0.5, 0.25),), METADATA, partial=True),
    ChatResult("A moon.", REASONING, METADATA, partial=True),
]


@pytest.mark.parametrize(
    "value", [*HASHABLE, METADATA, *RESULTS], ids=lambda value: type(value).__name__
)
def test_values(value: Any):
    for again in (pickle.loads(pickle.dumps(value)), copy.copy(value), copy.deepcopy(value)):
        assert again == value
        assert type(again) is type(value)
        assert repr(again) == repr(value)
    name = next(iter(getattr(value, "__struct_fields__", ["_items"])))
    with pytest.raises(AttributeError, match="immutable" if name != "_items" else "new"):
        setattr(value, name if name != "_items" else "new", None)
    assert value != "something else"


@pytest.mark.parametrize("value", HASHABLE, ids=lambda value: type(value).__name__)
def test_hashable(value: Any):
    assert len({value, copy.deepcopy(value)}) == 1


@pytest.mark.parametrize("value", [METADATA, *RESULTS], ids=lambda value: type(value).__name__)
def test_what_holds_unknown_fields_is_not_hashable(value: Any):
    with pytest.raises(TypeError, match="unhashable"):
        hash(value)


@pytest.mark.parametrize("result", RESULTS, ids=lambda value: type(value).__name__)
def test_every_field_counts(result: Any):
    empty = type(result)()
    for name in result.__struct_fields__:
        values = {field: getattr(result, field) for field in result.__struct_fields__}
        assert type(result)(**(values | {name: getattr(empty, name)})) != result, name


def test_results_of_two_skills_differ():
    results: list[Result] = [QueryResult("A moon."), CaptionResult("A moon.")]
    assert results[0] != results[1]


@pytest.mark.parametrize(
    ("result", "empty"),
    [
        (QueryResult(), ("", None)),
        (CaptionResult(), ("",)),
        (SegmentResult(), ("", None, None)),
        (DetectResult(), ((),)),
        (PointResult(), ((),)),
        (ChatResult(), ("", None)),
    ],
)
def test_empty_ones(result: Any, empty: tuple[Any, ...]):
    fields = tuple(getattr(result, name) for name in result.__struct_fields__)
    assert fields == (*empty, Metadata(), False)
    about = result.metadata
    assert (
        about.request_id,
        about.finish_reason,
        about.metrics,
        about.stats,
        about.deltas_match,
    ) == (None, None, None, None, None)
    assert (about.headers, about.extra) == (Headers(), {})


def test_empty_ones_share_nothing():
    one, other = QueryResult(), QueryResult()
    one.metadata.extra["x"] = 1
    assert other.metadata.extra == {}


class TestRepr:
    def test_metadata_leaves_out_what_may_be_secret(self):
        assert repr(METADATA) == (
            "Metadata(request_id='31', finish_reason='length', "
            "metrics=Metrics(input_tokens=740, ttft_ms=40.5), "
            "stats=Stats(tokens=43, duration=0.25), usage=Usage(prompt_tokens=740, "
            "completion_tokens=3, total_tokens=743), "
            "deltas_match=False)"
        )
        assert repr(Metadata()) == "Metadata()"
        assert all("SECRET" not in repr(result) for result in RESULTS)

    @pytest.mark.parametrize(
        ("value", "expected"),
        [
            (BOX, "BBox(x_min=0.1, y_min=0.2, x_max=0.3, y_max=0.4)"),
            (Point(0.5, 0.25), "Point(x=0.5, y=0.25)"),
            (Metrics(), "Metrics()"),
            (Stats(), "Stats()"),
            (Usage(), "Usage()"),
            (CaptionResult("A moon."), "CaptionResult(text='A moon.', metadata=Metadata())"),
            (
                QueryResult("A", partial=True),
                "QueryResult(text='A', metadata=Metadata(), partial=True)",
            ),
            (DetectResult((BOX,)), f"DetectResult(objects=({BOX!r},), metadata=Metadata())"),
        ],
    )
    def test_others(self, value: Any, expected: str):
        assert repr(value) == expected

    def test_a_long_path_is_shortened(self):
        path = "M 0 0" + " L 1 1" * 50_000
        assert repr(SegmentResult(path)) == (
            f"SegmentResult(path={path[:60] + '… (300005 characters)'!r}, bbox=None, "
            "parse_error=None, metadata=Metadata())"
        )
        assert repr(SegmentResult(path[:60], BOX, "why")) == (
            f"SegmentResult(path={path[:60]!r}, bbox={BOX!r}, parse_error='why', "
            "metadata=Metadata())"
        )
        assert repr(SegmentResult("M 0", partial=True)) == (
            "SegmentResult(path='M 0', bbox=None, parse_error=None, metadata=Metadata(), "
            "partial=True)"
        )


def test_matchable():
    def about(result: Result) -> object:
        match result:
            case QueryResult(text, Reasoning(thought, (Grounding(0, end), *_))) | ChatResult(
                text, Reasoning(thought, (Grounding(0, end), *_))
            ):
                return text, thought, end
            case CaptionResult(text, Metadata(finish_reason="length")):
                return text
            case SegmentResult(path, BBox(x_min), parse_error=why):
                return path, x_min, why
            case DetectResult((BBox(x_max=right), *rest)):
                return right, len(rest)
            case PointResult((Point(x, y),)):
                return x, y
            case _:
                return None

    assert [about(result) for result in RESULTS] == [
        ("A moon.", "The moon is curved.", 8),
        "A moon.",
        ("M0 0L1 1z", 0.1, "no path"),
        (0.3, 1),
        (0.5, 0.25),
        ("A moon.", "The moon is curved.", 8),
    ]
    assert about(QueryResult()) is None


def test_a_union_for_isinstance():
    assert all(isinstance(result, Result) for result in RESULTS)
    assert not isinstance(Completed(RESULTS[0]), Result)
