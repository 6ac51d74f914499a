"""The strategies: everything that exists is drawn, and can be chosen."""

from __future__ import annotations

import importlib
import re
import sys
from collections.abc import Callable
from functools import cache
from io import BytesIO
from typing import Any

import pytest
from hypothesis import Phase, find, given, settings
from hypothesis import strategies as st
from PIL import Image

from sansio_moondream import (
    APIError,
    BBox,
    Dialect,
    RateLimitError,
    ReasoningDelta,
    Settings,
    TextDelta,
    Unknown,
)
from sansio_moondream.testing import EVENT_STREAM, Response, strategies
from tests.core.strategies import T, each_dialect, each_skill, has, smallest


@pytest.mark.parametrize("media_type", ["image/gif", "image/jpeg", "image/png", "image/webp"])
def test_pictures_are_whole(media_type: str):
    picture = smallest(strategies.images(), lambda image: image.media_type == media_type)
    with Image.open(BytesIO(picture.data)) as image:
        image.load()
        assert image.size == (1, 1)


@cache
def assert_drawn(values: st.SearchStrategy[T], condition: Callable[[T], bool]) -> None:
    """Assert that an example with this condition is drawn.

    The number of tries depends on chance, and on the constants in loaded modules.
    """
    find(
        values,
        condition,
        settings=settings(max_examples=20_000, database=None, phases=[Phase.generate]),
    )


@cache
def drawn(made: Callable[..., st.SearchStrategy[Any]], *skill: str, count: int = 100) -> list[Any]:
    """Return a list of examples."""
    examples: list[Any] = []

    @settings(max_examples=count, database=None, phases=[Phase.generate])
    @given(made(*skill))
    def draw(value: Any) -> None:
        examples.append(value)

    draw()
    return examples


RESPONSES = (strategies.streams, strategies.whole_answers, strategies.error_answers)


@each_skill
def test_each_skill_is_drawn_and_can_be_chosen(skill: str):
    assert_drawn(strategies.requests(), lambda request: request.skill == skill)
    for made in RESPONSES:
        assert_drawn(made(), lambda response: response.request.skill == skill)
        assert smallest(made(skill), lambda response: True).request.skill == skill


@each_dialect
def test_each_dialect_is_drawn_and_can_be_chosen(dialect: Dialect):
    assert_drawn(strategies.streams(), lambda response: response.dialect is dialect)
    assert smallest(strategies.streams(dialect=dialect), lambda response: True).dialect is dialect


@pytest.mark.parametrize(
    "field", ["settings", "model", "image", "length", "reasoning", "spatial_refs"]
)
def test_each_field_of_a_request_is_drawn_and_left_out(field: str):
    skill = "caption" if field == "length" else "query"  # what is drawn differs from run to run
    values = {getattr(request, field) for request in drawn(strategies.requests, skill)}
    assert None in values
    assert len(values) > 2


@pytest.mark.parametrize("field", Settings.__struct_fields__)
def test_each_setting_is_drawn_and_left_out(field: str):
    values = {getattr(made, field) for made in drawn(strategies.settings)}
    assert None in values
    assert len(values) > 2


SIGHTS: dict[str, Callable[[Response], Any]] = {
    "a byte order mark": lambda response: response.data.startswith(b"\xef\xbb\xbf"),
    "a lone CR": lambda response: re.search(rb"\r[^\n]", response.data),
    "a CR LF": lambda response: b"\r\n" in response.data,
    "a comment": lambda response: b": ping" in response.data,
    "another field": lambda response: b"retry: 3000" in response.data,
    "no blank after the colon": lambda response: b"data:{" in response.data,
    "JSON on several lines": lambda response: re.search(rb"data: ?\{[\r\n]+data: ", response.data),
    "escaped letters": lambda response: b"\\u0063\\u0068\\u0075\\u006e\\u006b" in response.data,
    "raw characters": lambda response: re.search(
        rb'data:.*"chunk": ?"[^"]*[\x80-\xff]', response.data
    ),
    "null for nothing": lambda response: b'"metrics": null' in response.data,
    "an id in each message": lambda response: response.data.count(b'"request_id"') > 1,
    "statistics": lambda response: b'"stats": {' in response.data,
    "no content type": lambda response: "content-type" not in dict(response.headers),
    "a message nobody knows": has(Unknown),
    "a coarse box": has(BBox),
    "an error that says nothing": lambda response: b'"error": ""' in response.data,
    "a content type twice": lambda response: len(response.headers) == 2 * len(EVENT_STREAM),
}


@pytest.mark.parametrize("sight", SIGHTS)
@pytest.mark.slow
def test_streams_have_everything(sight: str):
    assert_drawn(strategies.streams(), SIGHTS[sight])


def test_the_last_message_of_an_engine_may_carry_text():
    text, end = rb'"chunk": ?"[^"]+"', rb'"completed": ?true'
    last = re.compile(rb"%b[^{}]*%b|%b[^{}]*%b" % (text, end, end, text))
    assert_drawn(
        strategies.streams("caption", Dialect.ENGINE), lambda response: last.search(response.data)
    )


def test_the_last_message_of_an_engine_may_carry_all_of_the_text():
    last = re.compile(rb'"chunk": ?null')
    assert_drawn(
        strategies.streams("caption", Dialect.ENGINE),
        lambda response: last.search(response.data) and has(TextDelta)(response),
    )


@pytest.mark.parametrize(
    "names",
    [
        pytest.param(["message"], marks=pytest.mark.slow),
        pytest.param(["text"], marks=pytest.mark.slow),
        ["message", "text"],
    ],
    ids=" or ".join,
)
def test_the_text_of_a_chat_may_be_outside_of_a_delta(names: list[str]):
    """The quick test takes either, which is drawn more often than one of them."""
    assert_drawn(
        strategies.streams("chat"),
        lambda response: (
            any(f'"{name}":'.encode() in response.data for name in names)
            and has(TextDelta)(response)
        ),
    )


def test_whole_answers_may_be_labelled_as_streams():
    assert_drawn(strategies.whole_answers(), lambda response: response.headers == EVENT_STREAM)


def test_whole_answers_may_have_statistics():
    assert_drawn(
        strategies.whole_answers("query"),
        lambda response: b'stats": {' in response.data or b'stats":{' in response.data,
    )


def test_whole_answers_of_a_chat_may_have_reasoning():
    assert_drawn(strategies.whole_answers("chat"), has(ReasoningDelta))


ERRORS: dict[str, Callable[[Response], Any]] = {
    "a status": lambda response: (
        response.status_code == 429 and isinstance(response.error, RateLimitError)
    ),
    "a type in a 200": lambda response: (
        response.status_code == 200 and type(response.error) is not APIError
    ),
    "a type that nobody knows": lambda response: (
        type(response.error) is APIError and response.error.type
    ),
    "a page of a proxy": lambda response: response.data.startswith(b"<html>"),
    "no body": lambda response: not response.data,
    "a named record": lambda response: b"event: error" in response.data,
    "a validation error": lambda response: b'"loc"' in response.data,
    "one detail": lambda response: response.data.startswith(b'{"detail": "'),
    "a code": lambda response: response.error.code,  # type: ignore[union-attr]
    "a status in a code": lambda response: b'"code": 502' in response.data,
    "a message alone": lambda response: response.data.startswith(b'{"message": '),
    "milliseconds": lambda response: "Retry-After-Ms" in dict(response.headers),
}


def test_errors_have_most_of_it_soon():
    examples = drawn(strategies.error_answers, count=300)
    seen = {sight for sight in ERRORS if any(map(ERRORS[sight], examples))}
    assert seen >= {"a type in a 200", "a named record", "a code"}


@pytest.mark.parametrize("sight", ERRORS)
@pytest.mark.slow
def test_errors_have_everything(sight: str):
    assert_drawn(strategies.error_answers(), ERRORS[sight])


@pytest.mark.parametrize(
    "made",
    [
        strategies.requests,
        strategies.events,
        strategies.streams,
        strategies.whole_answers,
        strategies.error_answers,
    ],
)
def test_a_skill_that_there_is_not(made: Callable[[str], st.SearchStrategy[Any]]):
    with pytest.raises(
        ValueError,
        match="skill should be one of query, caption, segment, detect, point.*, not 'quary'",
    ):
        find(made("quary"), lambda value: True)


def test_without_hypothesis(monkeypatch: pytest.MonkeyPatch):
    name = "sansio_moondream.testing.strategies"
    monkeypatch.setitem(sys.modules, "hypothesis", None)
    monkeypatch.delitem(sys.modules, name)
    with pytest.raises(ModuleNotFoundError) as caught:
        importlib.import_module(name)
    assert str(caught.value) == (
        f"{name} needs hypothesis, which is not installed: pip install 'sansio-moondream[testing]'"
    )
