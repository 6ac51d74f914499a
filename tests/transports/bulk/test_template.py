"""The template of a bulk run."""

from __future__ import annotations

import base64
import hashlib
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moondream_transports.bulk import Item, Template
from sansio_moondream import (
    CaptionRequest,
    CaptionResult,
    DetectRequest,
    DetectResult,
    Point,
    PointRequest,
    PointResult,
    QueryRequest,
    QueryResult,
    SegmentRequest,
    SegmentResult,
    Settings,
)
from tests.helpers import PIXEL

GIF = base64.b64decode("R0lGODlhAQABAIAAAP///////yH5BAEKAAEALAAAAAABAAEAAAICTAEAOw==")
OBJECTS = ("segment", "detect", "point")


def item(**fields: Any) -> Item:
    return Item("7", GIF, fields)


def asked(template: Template, item: Item) -> Any:
    """Return the request, of any skill."""
    return template.request(item)


def test_each_skill_has_its_request_and_its_result():
    settings = Settings(temperature=0.5)
    shared: dict[str, Any] = {"image": PIXEL, "settings": settings, "model": "m"}
    made = {
        "query": QueryRequest(question="What?", reasoning=True, **shared),
        "caption": CaptionRequest(length="short", **shared),
        "segment": SegmentRequest(object="cat", spatial_refs=[(0.1, 0.2)], **shared),
        "detect": DetectRequest(object="cat", **shared),
        "point": PointRequest(object="cat", **shared),
    }
    fields: dict[str, dict[str, Any]] = {
        "query": {"question": "What?", "reasoning": True},
        "caption": {"length": "short"},
        "segment": {"object": "cat", "spatial_refs": iter([Point(0.1, 0.2)])},
        "detect": {"object": "cat"},
        "point": {"object": "cat"},
    }
    for skill, expected in made.items():
        template = Template(skill, settings=settings, model="m", **fields[skill])
        assert [template.request(item()) for _ in range(2)] == [expected] * 2
        assert template.needs_picture == (skill != "query")
    results = [Template(skill, **fields[skill]).result_type for skill in made]
    assert results == [QueryResult, CaptionResult, SegmentResult, DetectResult, PointResult]


def test_a_question_without_a_picture():
    request = asked(Template("query", question="Who are you?"), Item("1"))
    assert request == QueryRequest(question="Who are you?")


def test_other_skills_need_a_picture():
    with pytest.raises(ValueError, match="no picture, and the skill caption needs one"):
        Template("caption").request(Item("1"))


@pytest.mark.parametrize(
    ("text", "filled"),
    [
        ("Is it a {kind}?", "Is it a cat?"),
        ("{kind}{kind} {n}", "catcat 3"),
        ("{share} {yes} {id}", "0.5 true 7"),
        ("{{kind}} {{{kind}}}", "{kind} {cat}"),
        ("{a b.c[0]!r}", "odd"),
        ("{braces}", "{kind} and {{"),
    ],
)
def test_placeholders(text: str, filled: str):
    fields = {"kind": "cat", "n": 3, "share": 0.5, "yes": True, "a b.c[0]!r": "odd"}
    fields["braces"] = "{kind} and {{"
    template = Template("query", question=text)
    template.check_columns(list(fields))
    assert asked(template, item(**fields)).question == filled
    for skill in OBJECTS:
        assert asked(Template(skill, object=text), item(**fields)).object == filled


def test_a_length_may_be_in_a_column_of_another_name():
    template = Template("caption", length="{size}")
    assert asked(template, item(size="long")).length == "long"
    with pytest.raises(ValueError, match="length should be .*, not 'huge'"):
        template.request(item(size="huge"))


@pytest.mark.parametrize(
    "text",
    ["{id.__class__}", "{id.__class__.__init__.__globals__}", "{id[0]}", "{id!r}", "{id:>9}"],
)
def test_a_placeholder_reaches_nothing_but_columns(text: str):
    template = Template("query", question=text)
    name = re.escape(repr(text[1:-1]))
    with pytest.raises(ValueError, match=f"uses the column {name}, which .* columns: 'kind'"):
        template.check_columns(["kind"])
    with pytest.raises(ValueError, match=f"uses the column {name}.* columns: 'id', 'kind'"):
        template.request(item(kind="cat"))


@pytest.mark.parametrize(
    ("text", "at"),
    [("{", "{ alone (character 1 of"), ("a } b", "} alone (character 3"), ("{a{b}}", "{ alone")],
)
def test_a_brace_that_is_no_placeholder_is_refused_at_once(text: str, at: str):
    with pytest.raises(ValueError, match=re.escape(at)):
        Template("query", question=text)


def test_empty_braces_are_no_placeholder():
    with pytest.raises(ValueError, match=re.escape("not {} alone (character 6 of 'Is a {}?')")):
        Template("detect", object="Is a {}?")


@pytest.mark.parametrize("value", [None, "", "  \t"])
def test_a_placeholder_whose_column_is_empty(value: str | None):
    with pytest.raises(ValueError, match="the column 'kind' is empty"):
        Template("detect", object="a {kind}").request(item(kind=value))


@pytest.mark.parametrize("value", [[1], {"a": 1}])
def test_a_placeholder_whose_column_is_no_text(value: object):
    with pytest.raises(TypeError, match="'kind' should have text or a number.*not (list|dict)"):
        Template("detect", object="a {kind}").request(item(kind=value))


def test_columns_with_the_names_of_fields_replace_the_templates_own():
    query = Template("query", question="own {x}", reasoning=False)
    request = asked(query, item(question="{not} filled", reasoning=True, object="ignored"))
    assert (request.question, request.reasoning) == ("{not} filled", True)
    assert asked(Template("caption", length="long"), item(length="short")).length == "short"
    for skill in OBJECTS:
        assert asked(Template(skill, object="dog"), item(object="cat")).object == "cat"
        assert asked(Template(skill), item(object="cat")).object == "cat"


@pytest.mark.parametrize("empty", [None, ""])
def test_an_empty_cell_replaces_nothing(empty: str | None):
    template = Template("query", question="own", reasoning=True)
    request = asked(template, item(question=empty, reasoning=empty))
    assert (request.question, request.reasoning) == ("own", True)
    with pytest.raises(ValueError, match="the skill query needs question: give it"):
        Template("query").request(item(question=empty))


@pytest.mark.parametrize(
    ("written", "read"), [("true", True), ("True", True), ("FALSE", False), (True, True)]
)
def test_reasoning_in_a_csv_is_a_text(written: object, read: bool):
    request = asked(Template("query", question="?"), item(reasoning=written))
    assert request.reasoning is read


@pytest.mark.parametrize("written", ["[[0.5, 0.25]]", [[0.5, 0.25]]])
def test_references_of_each_item(written: object):
    template = Template("segment", object="cat")
    request = asked(template, item(spatial_refs=written))
    assert request.spatial_refs == ((0.5, 0.25),)
    assert template.digest(item(spatial_refs=written)) == template.digest(
        item(spatial_refs=[(0.5, 0.25)])
    )


@pytest.mark.parametrize(
    ("skill", "fields", "error"),
    [
        ("query", {"question": 5}, ValueError),
        ("query", {"question": "?", "reasoning": "perhaps"}, ValueError),
        ("query", {"question": "?", "reasoning": "[" * 20}, ValueError),
        ("query", {"question": "?", "reasoning": "\ud800"}, ValueError),
        ("query", {"question": "a \ud800"}, ValueError),
        ("caption", {"length": "huge"}, ValueError),
        ("detect", {"object": ["cat"]}, TypeError),
        ("segment", {"object": "cat", "spatial_refs": [[2, 0]]}, ValueError),
    ],
)
def test_values_of_columns_are_checked_by_the_request(
    skill: str, fields: dict[str, Any], error: type[Exception]
):
    template = Template(skill)
    with pytest.raises(error, match=f"^{list(fields)[-1]}.* should be"):
        template.request(item(**fields))
    assert template.digest(item(**fields)) == ""


@pytest.mark.parametrize(
    ("skill", "given", "words"),
    [
        ("chat", {}, "not 'chat'. Chats have no template: ask them with Client.map"),
        ("describe", {}, "skill should be one of query, caption, segment, detect, point, not"),
        ("caption", {"question": "?"}, "the skill caption has no question; it has length"),
        ("detect", {"object": "a", "spatial_refs": [(0, 0)]}, "detect has no spatial_refs"),
        ("caption", {"length": "huge"}, "length should be"),
        ("query", {"question": " "}, "question should be text"),
        ("query", {"question": 5}, "question should be text"),
        ("query", {"reasoning": "yes"}, "reasoning should be"),
        ("segment", {"spatial_refs": [(2, 2)]}, "spatial_refs"),
        ("caption", {"model": ""}, "model should be"),
        ("caption", {"max_side": 0}, "max_side should be"),
    ],
)
def test_a_template_is_checked_before_anything_is_asked(
    skill: str, given: dict[str, Any], words: str
):
    with pytest.raises(ValueError, match=re.escape(words)):
        Template(skill, **given)


def test_settings_of_another_type():
    with pytest.raises(TypeError, match="settings should be a Settings"):
        Template("caption", settings={"temperature": 1})  # type: ignore[arg-type]


def test_the_columns_that_an_input_needs():
    template = Template("query", question="{a} and {b} of {id}")
    assert template.columns == {"a", "b", "id", "question", "reasoning", "spatial_refs"}
    template.check_columns(["b", "a", "c"])
    template.check_columns(["question"])
    with pytest.raises(ValueError, match="uses the column 'a', .* Its columns: none"):
        template.check_columns([])
    with pytest.raises(ValueError, match="uses the column 'b', .* Its columns: 'a', 'c'"):
        template.check_columns(["a", "c"])
    for skill in OBJECTS:
        with pytest.raises(ValueError, match=f"the skill {skill} needs object: give it"):
            Template(skill).check_columns(["label"])
    Template("caption").check_columns([])


def test_a_problem_of_an_item_is_raised():
    broken = Item("x.csv:7", problem="x.csv, line 7: it is no JSON")
    template = Template("caption")
    with pytest.raises(ValueError, match=r"^x.csv, line 7: it is no JSON$"):
        template.request(broken)
    assert template.digest(broken) == template.digest(Item("x", problem="\ud800")) == ""
    assert Template("query").digest(item()) == ""  # no question


def test_the_digest_stays_the_same_in_later_releases():
    template = Template("query", question="Is it a {kind}?", settings=Settings(max_tokens=9))
    fields, settings = b'{"question":"Is it a cat?"}', b'{"max_tokens":9.0}'
    form = b'{"fields":%b,"settings":%b,"skill":"query"}' % (fields, settings)
    assert template.digest(item(kind="cat")) == hashlib.sha256(form).hexdigest()


def test_the_digest_covers_what_is_asked_and_nothing_else():
    template = Template("query", question="Is it a {kind}?", settings=Settings(temperature=1))
    same = [
        Template("query", question="Is it a {what}?", settings=Settings(temperature=1.0)),
        Template("query", settings=Settings(temperature=1), model="other", max_side=9),
    ]
    digest = template.digest(item(kind="cat"))
    assert len(digest) == 64
    assert template.digest(Item("other", Path("missing.jpg"), {"kind": "cat"})) == digest
    assert same[0].digest(item(what="cat")) == digest
    assert same[1].digest(item(question="Is it a cat?")) == digest
    others = [
        template.digest(item(kind="dog")),
        Template("query", question="Is it a cat?").digest(item()),
        Template("query", question="Is it a cat?", reasoning=True).digest(item()),
        *(Template(skill, object="Is it a cat?").digest(item()) for skill in OBJECTS),
    ]
    assert len({digest, *others}) == len(others) + 1


texts = st.text(st.characters(exclude_categories=["Cs"]), min_size=1).filter(str.strip)
names = st.text(st.characters(exclude_characters="{}")).map("{}.".format)  # no name of a field


@given(texts, names)
def test_any_value_is_filled_in_as_it_is(value: str, name: str):
    """A text in a column stays as it is, whatever braces and backslashes it has."""
    template = Template("query", question=f"a{{{name}}}b")
    assert asked(template, Item("1", None, {name: value})).question == f"a{value}b"


@given(texts)
def test_any_text_can_be_escaped(text: str):
    escaped = text.replace("{", "{{").replace("}", "}}")
    assert asked(Template("query", question=escaped), Item("1")).question == text
