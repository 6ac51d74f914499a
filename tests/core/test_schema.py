"""The JSON Schema of values. `tests/test_values_page.py` holds it against a validator."""

from __future__ import annotations

from typing import Any

import pytest

from sansio_moondream import json_schema

KINDS = [reference["$ref"].removeprefix("#/$defs/") for reference in json_schema()["oneOf"]]


def test_one_kind():
    schema = json_schema("completed")
    assert schema["$ref"] == "#/$defs/completed"
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert schema["title"] == "completed, version 1"
    assert "text_delta" not in schema["$defs"]
    assert "oneOf" not in schema


def test_all_kinds():
    schema = json_schema()
    assert schema["title"] == "Values of sansio-moondream, version 1"
    assert len(KINDS) == len(set(KINDS)) > 40
    for kind in KINDS:
        assert schema["$defs"].items() >= json_schema(kind)["$defs"].items()


def test_an_unknown_kind():
    with pytest.raises(ValueError, match=r"^kind should be one of text_delta, .*, not 'moon'$"):
        json_schema("moon")


def test_what_each_type_becomes():
    definitions = json_schema()["$defs"]

    def field(kind: str, name: str) -> Any:
        return definitions[kind]["properties"][name]

    null = {"type": "null"}
    assert field("text_delta", "kind") == {"const": "text_delta"}
    assert field("text_delta", "version") == {"const": 1}
    assert field("text_delta", "text") == {"type": "string"}
    assert field("text_delta", "token_index") == {"anyOf": [{"type": "integer"}, null]}
    assert field("point", "x") == {"type": "number"}
    assert field("query_result", "partial") == {"type": "boolean"}
    assert field("unknown", "data") == {"type": "object"}
    assert field("chat_message", "role") == {"enum": ["system", "user", "assistant"]}
    assert field("query_result", "metadata") == {"$ref": "#/$defs/nested_metadata"}
    assert field("detect_result", "objects") == {
        "type": "array",
        "items": {"$ref": "#/$defs/nested_bbox"},
    }
    pair = {"type": "array", "items": {"type": "string"}, "minItems": 2, "maxItems": 2}
    assert field("metadata", "headers") == {"type": "array", "items": pair}
    results = field("completed", "result")["anyOf"]
    assert {"$ref": "#/$defs/tagged_chat_result"} in results
    assert len(results) == 6
    assert field("idle_timeout", "partial")["anyOf"] == [*results, null]


def test_parts_have_no_version_and_a_kind_only_where_it_is_needed():
    definitions = json_schema()["$defs"]
    assert list(definitions["bbox"]["properties"])[:2] == ["kind", "version"]
    assert list(definitions["nested_bbox"]["properties"])[:2] == ["x_min", "y_min"]
    assert list(definitions["tagged_chat_result"]["properties"])[:2] == ["kind", "text"]


def test_all_fields_are_required_and_no_other_is_allowed():
    for definition in json_schema()["$defs"].values():
        assert definition["required"] == list(definition["properties"])
        assert definition["additionalProperties"] is False
        assert definition["type"] == "object"


def test_descriptions_are_the_first_sentences_of_the_classes():
    definitions = json_schema()["$defs"]
    about = "A point in fractions of the image: (0, 0) is its top left corner."
    assert definitions["point"]["description"] == about
    about = "The next part of a chat's reasoning, which usually comes before its text; never empty."
    assert definitions["reasoning_delta"]["description"] == about
    about = "The next part of the coarse SVG path of a segmentation; never empty."
    assert definitions["path_chunk"]["description"] == about
