"""docs/reference/values.md, the JSON Schema and `from_dict` agree on every field of every kind.

The page is written by hand, and so it is the witness: what it does not allow, the other two refuse.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from copy import deepcopy
from functools import cache
from typing import Any, NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sansio_moondream import Value, from_dict, json_schema
from sansio_moondream.testing.strategies import values
from tests.guides import ROOT

PAGE = (ROOT / "docs" / "reference" / "values.md").read_text()
ROW = re.compile(r"^\| `(\w+)` \| ([^|]+) \|", re.MULTILINE)
CODE = re.compile(r"`(\w+)`")
KINDS = [reference["$ref"].removeprefix("#/$defs/") for reference in json_schema()["oneOf"]]
EXAMPLES: dict[str, list[Any]] = {
    "null": [None],
    "boolean": [True],
    "integer": [1],
    "number": [0.5],
    "string": ["x"],
    "array": [["x"], [1]],
    "object": [{}, {"kind": "point"}],
}
each_kind = pytest.mark.parametrize("kind", KINDS)


class Field(NamedTuple):
    """What the page says about a field: its types in JSON, and the kinds and texts in it."""

    types: set[str]
    names: set[str]


def headings() -> list[list[str]]:
    """Return the kinds that share a table, table by table."""
    sections = PAGE.split("\n### ")[1:]
    return [kinds for section in sections if (kinds := CODE.findall(section.partition("\n")[0]))]


def fields_of_page() -> Iterator[tuple[str, dict[str, Field]]]:
    for section in PAGE.split("\n### ")[1:]:
        heading, _, rest = section.partition("\n")
        fields = {name: _field(cell) for name, cell in ROW.findall(rest.partition("\n## ")[0])}
        for kind in CODE.findall(heading):
            yield kind, fields


def _field(cell: str) -> Field:
    types = {option.split()[0] for option in re.sub(r"\(.*?\)", "", cell).split(" or ")}
    assert types <= EXAMPLES.keys(), cell
    return Field(types | ({"integer"} if "number" in types else set()), {*CODE.findall(cell)})


FIELDS = dict(fields_of_page())


@cache
def draft() -> Any:
    """Return the validator's class. Its import takes seconds where all its formats are installed,
    so the other workers of pytest, which collect this module, do without it."""
    from jsonschema import Draft202012Validator  # type: ignore[import-untyped]

    return Draft202012Validator


@cache
def validator(kind: str | None = None) -> Any:
    return draft()(json_schema(kind))


def is_read(form: Any) -> bool:
    try:
        from_dict(form)
    except ValueError:
        return False
    return True


def form_of(value: Value) -> Any:
    return json.loads(json.dumps(value.to_dict()))


def test_the_schema_is_one():
    from jsonschema import SchemaError

    draft().check_schema(json_schema())
    with pytest.raises(SchemaError):
        draft().check_schema(json_schema() | {"$defs": []})


def test_the_page_has_every_kind():
    assert sorted(FIELDS) == sorted(KINDS)


@each_kind
def test_the_page_has_every_field_in_its_order(kind: str):
    properties = json_schema(kind)["$defs"][kind]["properties"]
    assert list(FIELDS[kind]) == list(properties)[2:]
    for name, field in FIELDS[kind].items():
        assert field.names == set(_names(properties[name])), name


def _names(schema: Any) -> Iterator[str]:
    """Yield the kinds and the texts that the schema of a field names."""
    if isinstance(schema, dict):
        yield from schema.get("enum", ())
        if "$ref" in schema:
            yield re.sub(r"#/\$defs/(nested_|tagged_)?", "", schema["$ref"])
        for part in schema.values():
            yield from _names(part)
    elif isinstance(schema, list):
        for part in schema:
            yield from _names(part)


FIRST = [kinds[0] for kinds in headings()]


@pytest.mark.parametrize(
    "kind", [pytest.param(kind, marks=[pytest.mark.slow] * (kind not in FIRST)) for kind in KINDS]
)
def test_changed_fields_are_refused(kind: str):
    @settings(max_examples=1)
    @given(values(kind))
    def check(value: Value):
        form = form_of(value)
        assert validator().is_valid(form)
        changed = {name: [*changes(form, name)] for name in form}
        assert min(map(len, changed.values())) >= 5
        for name, forms in changed.items():
            for other in forms:
                assert not validator(kind).is_valid(other), (name, other)
                assert not is_read(other), (name, other)
        for name, field in FIELDS[kind].items():
            if "null" in field.types:
                empty = form | {name: None}
                assert validator(kind).is_valid(empty)
                assert is_read(empty)

    check()


def changes(form: dict[str, Any], name: str) -> Iterator[dict[str, Any]]:
    """Yield a form without the field, with its name misspelt, and with values of other types."""
    without = {key: item for key, item in form.items() if key != name}
    yield without
    yield without | {name.upper(): form[name]}
    yield without | {f"{name}s": form[name]}
    field = FIELDS[form["kind"]].get(name)
    allowed = field.types if field else set()
    for type_, examples in EXAMPLES.items():
        if type_ not in allowed and (name, type_) != ("version", "integer"):
            for example in examples:
                yield form | {name: example}


def paths(form: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    yield path
    items = form.items() if isinstance(form, dict) else enumerate(form)
    for name, item in items:
        if isinstance(item, dict | list):
            yield from paths(item, (*path, name))
        else:
            yield (*path, name)


@st.composite
def changed_anywhere(draw: st.DrawFn) -> Any:
    """Change one part of the form of a value, however deep it is."""
    form = form_of(draw(values()))
    *way, last = draw(st.sampled_from([path for path in paths(form) if path]))
    parent = form
    for step in way:
        parent = parent[step]
    change = draw(st.sampled_from(["remove", "misspell", *EXAMPLES]))
    if change in EXAMPLES:
        type_of_now = type(parent[last])
        parent[last] = draw(st.sampled_from(EXAMPLES[change]))
        if type(parent[last]) is type_of_now:  # it may be refused for its value
            parent[last] = None
    elif isinstance(parent, list):
        parent.insert(last, None)
    else:
        item = parent.pop(last)
        if change == "misspell":
            parent[last.upper()] = item
    return form


def check_agreement(form: Any) -> None:
    before = deepcopy(form)
    kind = form.get("kind")
    is_valid = kind in KINDS and validator(kind).is_valid(form)
    assert is_valid == is_read(form)
    assert form == before


# The schema has types only, and a count of objects is refused in a chat whatever it is.
OF_TYPES_ONLY = changed_anywhere().filter(lambda form: '"max_objects": 1' not in json.dumps(form))


@given(OF_TYPES_ONLY)
@settings(max_examples=25)
def test_schema_and_reader_agree(form: Any):
    check_agreement(form)


@pytest.mark.slow
@given(OF_TYPES_ONLY)
@settings(max_examples=400)
def test_schema_and_reader_agree_on_many(form: Any):
    check_agreement(form)


@pytest.mark.slow
@given(values())
@settings(max_examples=200)
def test_the_schema_accepts_any_value(value: Value):
    """The schema of all kinds tries each of them, and takes ten times as long as that of one."""
    validator().validate(form_of(value))


@given(values("chat_request") | values("encoded_image") | values("caption_request"))
@settings(max_examples=20)
def test_the_schema_accepts_forms_without_pictures(value: Any):
    form = value.to_dict(images=False)
    assert validator(form["kind"]).is_valid(form)
    assert is_read(form) == ("omitted" not in json.dumps(form))
