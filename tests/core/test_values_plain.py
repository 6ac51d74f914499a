"""What `to_dict` writes is plain JSON, or refused."""

from __future__ import annotations

import json
import math
from enum import IntEnum, StrEnum
from typing import Any

import pytest

from sansio_moondream import (
    CaptionRequest,
    Completed,
    Grounding,
    Metadata,
    Metrics,
    Point,
    RateLimitError,
    Settings,
    Stats,
    TextDelta,
    Unknown,
    encode_image,
    from_dict,
)

GIF = encode_image(b"GIF87a")
CYCLE: dict[str, Any] = {}
CYCLE["again"] = CYCLE


class Colour(StrEnum):
    RED = "red"


class Count(IntEnum):
    TWO = 2


class Half(float):
    pass


def test_subclasses_of_text_and_numbers_become_plain():
    data: dict[str, Any] = {Colour.RED: [Colour.RED, Count.TWO, Half(0.5), True, None]}
    form = Unknown(data).to_dict()["data"]
    assert form == {"red": ["red", 2, 0.5, True, None]}
    assert [type(item) for item in form["red"]] == [str, int, float, bool, type(None)]
    assert type(*form) is str
    delta = TextDelta(Colour.RED, Count.TWO).to_dict()
    assert (type(delta["text"]), type(delta["token_index"])) == (str, int)
    request = CaptionRequest(image=GIF, length="long", settings=Settings(temperature=Half(0.5)))
    assert type(request.to_dict()["settings"]["temperature"]) is float


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf])
def test_numbers_that_are_not_finite_become_null(number: float):
    metadata = Metadata(
        metrics=Metrics(3, ttft_ms=number),
        stats=Stats(duration=number),
        extra={"a": [number, {"b": number}]},
    )
    form = json.loads(json.dumps(metadata.to_dict(), allow_nan=False))
    assert from_dict(form) == Metadata(
        metrics=Metrics(3), stats=Stats(), extra={"a": [None, {"b": None}]}
    )
    assert Unknown({"a": number}).to_dict()["data"] == {"a": None}
    assert RateLimitError(retry_after=number).to_dict()["retry_after"] is None


def test_no_part_of_the_value_is_shared():
    data = {"a": [1], "b": {"c": (2,)}}
    form = Unknown(data).to_dict()
    assert form["data"] == {"a": [1], "b": {"c": [2]}}
    read = Unknown.from_dict(form)
    form["data"]["a"].append(2)
    assert (read.data["a"], data["a"]) == ([1], [1])


RESULTS = (
    "a query_result or a caption_result or a segment_result or a detect_result or a point_result "
    "or a chat_result"
)


@pytest.mark.parametrize(
    ("class_", "arguments", "words"),
    [
        (TextDelta, (7,), "TextDelta.text should be text, not int"),
        (
            TextDelta,
            ("A", True),
            "TextDelta.token_index should be a whole number or null, not bool",
        ),
        (Grounding, (0, 1, [3]), "Grounding.points should be an array, not list"),
        (Grounding, (0, 1, 3), "Grounding.points should be an array, not int"),
        (Unknown, ({"a": b""},), "JSON has no bytes"),
        (Unknown, ({3: ""},), "the names of a JSON object should be text"),
        (Unknown, (CYCLE,), "the value nests too deep"),
        (Unknown, ([],), "Unknown.data should be an object, not list"),
        (Completed, (TextDelta("A"),), f"Completed.result should be {RESULTS}, not TextDelta"),
        (
            Metadata,
            (None, None, None, None, None, None, []),
            "Metadata.headers should be an array of [name, value], not list",
        ),
    ],
    ids=lambda item: item if isinstance(item, str) else "",
)
def test_what_no_annotation_allows_is_refused(class_: Any, arguments: tuple[Any], words: str):
    with pytest.raises(TypeError) as caught:
        class_(*arguments).to_dict()
    assert str(caught.value) == words


def test_a_list_in_place_of_a_tuple_is_written():
    points: Any = [Point(0, 1)]
    form = Grounding(0, 1, points).to_dict()
    assert from_dict(form) == Grounding(0, 1, (Point(0, 1),))
