"""What `from_dict` refuses, and in which words. What the schema refuses is in `test_schema.py`."""

from __future__ import annotations

import math
from types import MappingProxyType
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sansio_moondream import (
    APIError,
    BBox,
    CaptionRequest,
    ChatMessage,
    ChatRequest,
    ChatResult,
    Completed,
    EncodedImage,
    IdleTimeout,
    Metadata,
    Point,
    QueryRequest,
    Reasoning,
    Request,
    Settings,
    Stats,
    TextDelta,
    Unknown,
    Usage,
    Value,
    encode_image,
    from_dict,
)

POINT = Point(0.5, 1)
DELTA = TextDelta("A")
UNKNOWN = Unknown({})
METADATA = Metadata()
COMPLETED = Completed(ChatResult())
CAPTION = CaptionRequest(image=encode_image(b"GIF87a"))
CHAT = ChatRequest(messages=[ChatMessage("user", "?")])
RESULTS = (
    "a query_result or a caption_result or a segment_result or a detect_result or a point_result "
    "or a chat_result"
)
COUNT = "a whole number or null"
NO_COUNT = "should be a whole number of at least 1, not int with too many digits"
PAIRS = "an array of [name, value]"
NO_REF = "a point (x, y) or a box (x_min, y_min, x_max, y_max) in [0, 1]"
NO_MESSAGES = "a list of ChatMessages, or of mappings in OpenAI's form, and not empty"
NEWER = (
    "the value has version 2 of the JSON form, and this release of sansio-moondream reads version "
    "1: install a newer one"
)
NESTED: dict[str, Any] = {"a": []}
for _ in range(10_000):
    NESTED = {"a": NESTED}


@pytest.mark.parametrize(
    ("value", "changed", "words"),
    [
        (POINT, {"x": "0"}, "point.x should be a number, not '0'"),
        (POINT, {"x": None}, "point.x should be a number, not null"),
        (POINT, {"x": True}, "point.x should be a number, not true"),
        (POINT, {"x": math.nan}, "point.x should be a number, not nan"),
        (POINT, {"x": math.inf}, "point.x should be a number, not inf"),
        (POINT, {"x": []}, "point.x should be a number, not an array"),
        (POINT, {"x": {}}, "point.x should be a number, not an object"),
        (POINT, {"x": {"kind": "usage"}}, "point.x should be a number, not a usage"),
        (POINT, {"x": {"kind": "k" * 41}}, f"point.x should be a number, not a {'k' * 40}"),
        (POINT, {"x": {"kind": 7}}, "point.x should be a number, not an object"),
        (POINT, {"x": "0" * 40}, f"point.x should be a number, not '{'0' * 40}'"),
        (POINT, {"x": "0" * 41}, f"point.x should be a number, not '{'0' * 40}'…"),
        (POINT, {"z": 1}, "point should have exactly its fields (unknown: z)"),
        (POINT, {7: 1}, "point should have exactly its fields (unknown: 7)"),
        (POINT, {"z" * 50: 1}, f"point should have exactly its fields (unknown: {'z' * 40})"),
        (DELTA, {"text": 7}, "text_delta.text should be text, not 7"),
        (DELTA, {"text": 10**40}, f"text_delta.text should be text, not 1{'0' * 39}…"),
        (DELTA, {"text": 10**39}, f"text_delta.text should be text, not 1{'0' * 39}"),
        (DELTA, {"text": 10**5000}, "text_delta.text should be text, not int with too many digits"),
        (
            Settings(),
            {"max_tokens": 10**5000},
            f"settings: max_tokens {NO_COUNT}",
        ),
        (
            POINT,
            {"version": 10**5000},
            NEWER.replace("version 2", "version int with too many digits"),
        ),
        (DELTA, {"token_index": 1.5}, f"text_delta.token_index should be {COUNT}, not 1.5"),
        (DELTA, {"token_index": math.inf}, f"text_delta.token_index should be {COUNT}, not inf"),
        (DELTA, {"completed": 1}, "text_delta should have exactly its fields (unknown: completed)"),
        (Stats(4), {"tokens": False}, f"stats.tokens should be {COUNT}, not false"),
        (UNKNOWN, {"data": []}, "unknown.data should be an object, not an array"),
        (UNKNOWN, {"data": NESTED}, "unknown.data: the value nests too deep"),
        (UNKNOWN, {"data": {"a": b""}}, "unknown.data: JSON has no bytes"),
        (METADATA, {"headers": {}}, f"metadata.headers should be {PAIRS}, not an object"),
        (METADATA, {"headers": [1]}, "metadata.headers[0] should be an array, not 1"),
        (METADATA, {"headers": [["a", 1]]}, "metadata.headers[0][1] should be text, not 1"),
        (
            METADATA,
            {"headers": [["a", "b"], ["c"]]},
            "metadata.headers[1] should be [name, value], not 1 texts",
        ),
        (METADATA, {"usage": 3}, "metadata.usage should be a usage or null, not 3"),
        (
            METADATA,
            {"usage": Usage().to_dict()},
            "metadata.usage should have exactly its fields (unknown: kind, version)",
        ),
        (
            METADATA,
            {"deltas_match": 0},
            "metadata.deltas_match should be true or false or null, not 0",
        ),
        (
            COMPLETED,
            {"result": ChatResult().to_dict()},
            "completed.result should have exactly its fields (unknown: version)",
        ),
        (
            COMPLETED,
            {"result": {"text": ""}},
            f"completed.result should be {RESULTS}, not an object",
        ),
        (
            COMPLETED,
            {"result": POINT.to_dict()},
            f"completed.result should be {RESULTS}, not a point",
        ),
        (
            Settings(),
            {"top_p": 7},
            "settings: top_p should be a number above 0 and at most 1, not 7",
        ),
        (
            CAPTION,
            {"length": "tiny"},
            'caption_request.length should be "short" or "normal" or "long" or null, not \'tiny\'',
        ),
        (CAPTION, {"image": 3}, "caption_request.image should be an encoded_image, not 3"),
        (CAPTION, {"image": []}, "caption_request.image should be an encoded_image, not an array"),
        (
            QueryRequest(question="?"),
            {"spatial_refs": [[1]]},
            f"query_request: spatial_refs[0] should be {NO_REF}, not (1,)",
        ),
        (CHAT, {"messages": []}, f"chat_request: messages should be {NO_MESSAGES}, not ()"),
        (
            Reasoning("A"),
            {"grounding": [{"start_idx": 0, "end_idx": 1}]},
            "reasoning.grounding[0] should have exactly its fields (missing: points)",
        ),
        (POINT, {"version": 2}, NEWER),
        (POINT, {"version": 0}, "version should be 1, not 0"),
        (POINT, {"version": True}, "version should be 1, not true"),
        (POINT, {"version": "2"}, "version should be 1, not '2'"),
        (POINT, {"version": None}, "version should be 1, not null"),
    ],
    ids=lambda item: item if isinstance(item, str) else "",
)
def test_what_is_not_of_the_form(value: Value, changed: dict[str, Any], words: str):
    form = value.to_dict() | changed
    for read in (from_dict, type(value).from_dict):
        with pytest.raises(ValueError) as caught:  # noqa: PT011
            read(form)
        assert str(caught.value) == words


def test_names_that_are_missing_or_misspelt():
    form = {"kind": "point", "version": 1, "X": 0, "z": 0, "y": 0}
    words = r"^point should have exactly its fields \(missing: x; unknown: X, z\)$"
    with pytest.raises(ValueError, match=words):
        from_dict(form)
    words = r"^point should have exactly its fields \(missing: x, y\)$"
    with pytest.raises(ValueError, match=words):
        from_dict({"kind": "point", "version": 1})


@pytest.mark.parametrize(
    ("names", "shown"),
    [
        (["A" * 41], "A" * 40),
        (["a\nb", 5], r"'a\nb', 5"),
        ([10**5000], "int with too many digits"),
        (range(10), "0, 1, 2, 3, 4, 5, 6, 7, 8, 9"),
        (range(100_000), "0, 1, 2, 3, 4, 5, 6, 7, 8, 9, and 99990 more"),
    ],
    ids=["long", "no word", "digits", "ten", "many"],
)
def test_unknown_names_are_shortened(names: Any, shown: str):
    with pytest.raises(ValueError) as caught:  # noqa: PT011
        from_dict(POINT.to_dict() | dict.fromkeys(names))
    expected = f"point should have exactly its fields (unknown: {shown})"
    assert str(caught.value) == expected


@pytest.mark.parametrize(
    ("class_", "named"),
    [
        (APIError, "an api_error"),
        (EncodedImage, "an encoded_image"),
        (IdleTimeout, "an idle_timeout"),
        (Unknown, "an unknown"),
        (Usage, "a usage"),
        (BBox, "a bbox"),
    ],
)
def test_kinds_are_named_as_words(class_: type[Value], named: str):
    with pytest.raises(ValueError, match=f"^the value should be {named}, not a point$"):
        class_.from_dict(POINT.to_dict())


def test_another_kind():
    with pytest.raises(ValueError, match="^the value should be a request, not a query_request$"):
        Request.from_dict(QueryRequest(question="?").to_dict())
    with pytest.raises(ValueError, match="^the value should be an unknown, not an object$"):
        Unknown.from_dict({})
    with pytest.raises(ValueError, match="^the value should be a point, not an array$"):
        Point.from_dict([])  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("kind", "shown"), [("moon", "'moon'"), (None, "null"), ([], "an array"), ("Point", "'Point'")]
)
def test_an_unknown_kind(kind: object, shown: str):
    with pytest.raises(ValueError) as caught:  # noqa: PT011
        from_dict({"kind": kind, "version": 1})
    expected = "one that sansio_moondream.json_schema() has"
    assert str(caught.value) == f"kind should be {expected}, not {shown}"


def test_an_unknown_kind_of_a_newer_version_is_said_to_be_newer():
    with pytest.raises(ValueError, match=f"^{NEWER}$"):
        from_dict({"kind": "moon", "version": 2})


@pytest.mark.parametrize(("data", "shown"), [("{}", "'{}'"), ([], "an array"), (None, "null")])
def test_no_object(data: Any, shown: str):
    with pytest.raises(ValueError) as caught:  # noqa: PT011
        from_dict(data)
    expected = "an object with a kind and a version"
    assert str(caught.value) == f"the value should be {expected}, not {shown}"


def test_other_forms_of_the_same_json_are_read():
    """JSON has one type of number, and a decoder may give another mapping."""
    assert from_dict(MappingProxyType(POINT.to_dict())) == POINT
    read = from_dict({"kind": "text_delta", "version": 1.0, "text": "A", "token_index": 3.0})
    assert isinstance(read, TextDelta)
    assert read == TextDelta("A", 3)
    assert type(read.token_index) is int


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=5,
)


@given(JSON)
@settings(max_examples=20)
def test_any_json_is_read_or_refused_with_a_value_error(data: Any):
    for form in (data, POINT.to_dict() | {"x": data}, METADATA.to_dict() | {"headers": data}):
        try:
            read = from_dict(form)
        except ValueError as error:
            assert "should be" in str(error)  # noqa: PT017
        else:
            assert read.to_dict() == form
