"""The strategies: all that there is can be drawn, what is drawn is valid, and what fails shrinks to
what matters.

What they draw is right, too: test_properties.py holds each response against what comes out of it.
"""

from __future__ import annotations

import importlib
import json
import re
import sys
from collections.abc import Callable
from functools import cache
from io import BytesIO
from typing import Any, TypeVar

import pytest
from hypothesis import Phase, find, given, settings
from hypothesis import strategies as st
from PIL import Image

from sansio_moondream import (
    APIError,
    BBox,
    Completed,
    ConnectionLost,
    Dialect,
    Event,
    PathChunk,
    QueryRequest,
    RateLimitError,
    Result,
    SegmentRequest,
    Settings,
    TextDelta,
    Unknown,
    encode_events,
)
from sansio_moondream.testing import BreakAt, Response, at_offsets, run, strategies
from tests.helpers import REQUESTS

T = TypeVar("T")
MOON = 'data: {"chunk": "月é"}\n\ndata: {"completed": true}\n\n'.encode()
each_skill = pytest.mark.parametrize("skill", sorted(REQUESTS))
each_dialect = pytest.mark.parametrize("dialect", Dialect)


def smallest(values: st.SearchStrategy[T], condition: Callable[[T], bool]) -> T:
    """What a test shrinks to that fails where the condition holds."""
    return find(
        values,
        condition,
        settings=settings(max_examples=200, phases=[Phase.generate, Phase.shrink]),
    )


def completed(response: Response) -> Result:
    end = response.events[-1]
    assert isinstance(end, Completed)
    return end.result


def has(*kinds: type) -> Callable[[Response], bool]:
    return lambda response: all(
        any(isinstance(event, kind) for event in response.events) for kind in kinds
    )


# --- What they shrink to


class TestRequestsShrink:
    def test_to_a_question(self):
        assert smallest(strategies.requests(), lambda request: True) == QueryRequest(question="0")

    @each_skill
    def test_to_what_the_skill_needs(self, skill: str):
        request = smallest(strategies.requests(skill), lambda request: True)
        assert request.skill == skill
        assert {
            name for name in request.__struct_fields__ if getattr(request, name) is not None
        } <= {
            "question",
            "image",
            "object",
            "messages",
        }

    @pytest.mark.parametrize(
        ("field", "value"),
        [
            ("reasoning", False),
            ("settings", Settings()),
            ("model", "moondream3-preview"),
            ("spatial_refs", ()),
        ],
    )
    def test_to_the_one_field_that_matters(self, field: str, value: Any):
        request = smallest(
            strategies.requests("query"), lambda request: getattr(request, field) is not None
        )
        assert request == QueryRequest(question="0", **{field: value})


@pytest.mark.slow
class TestStreamsShrink:
    def test_to_the_end_of_a_query_of_the_engine(self):
        assert (
            smallest(strategies.streams(), lambda response: True).data
            == b'data: {"chunk": "", "completed": true, "answer": ""}\n\n'
        )

    def test_to_one_delta(self):
        response = smallest(strategies.streams(), has(TextDelta))
        assert response.request == QueryRequest(question="0")
        assert (
            response.data
            == b'data: {"chunk": "0", "completed": false}\n\ndata: {"chunk": "", "completed": true, "answer": "0"}\n\n'
        )

    def test_to_deltas_that_are_damaged(self):
        response = smallest(
            strategies.streams("query"),
            lambda found: completed(found).metadata.deltas_match is False,
        )
        deltas = "".join(event.text for event in response.events if isinstance(event, TextDelta))
        assert {deltas, getattr(completed(response), "text", None)} == {"", "0"}

    def test_to_one_chunk_of_an_outline(self):
        response = smallest(strategies.streams(), has(PathChunk))
        assert isinstance(response.request, SegmentRequest)
        assert [type(event) for event in response.events] == [PathChunk, Completed]

    @each_dialect
    def test_to_two_deltas_of_a_dialect(self, dialect: Dialect):
        skill = "chat" if dialect is Dialect.CHAT else "caption"
        response = smallest(
            strategies.streams(skill, dialect), lambda response: len(response.events) >= 3
        )
        assert [event.text for event in response.events[:2] if isinstance(event, TextDelta)] == [
            "0",
            "0",
        ]
        assert response.data == encode_events(response.events, dialect)

    def test_to_the_spelling_that_matters(self):
        assert smallest(strategies.streams(), lambda response: b"\r" in response.data).data == (
            b'data: {"chunk": "", "completed": true, "answer": ""}\r\n\r\n'
        )
        assert smallest(strategies.streams(), lambda response: b"data:{" in response.data).data == (
            b'data:{"chunk": "", "completed": true, "answer": ""}\n\n'
        )

    def test_to_text_in_the_last_message(self):
        response = smallest(
            strategies.streams("query", Dialect.ENGINE),
            lambda response: has(TextDelta)(response) and response.data.count(b"\n\n") == 1,
        )
        assert response.data == b'data: {"chunk": "0", "completed": true, "answer": "0"}\n\n'


@pytest.mark.slow
class TestOtherResponsesShrink:
    def test_whole_answers(self):
        assert smallest(strategies.whole_answers(), lambda response: True).data == b'{"answer": ""}'
        assert smallest(
            strategies.whole_answers("detect"), lambda response: b"y_max" in response.data
        ).data == (b'{"objects": [{"x_min": 0.0, "y_min": 0.0, "x_max": 0.0, "y_max": 0.0}]}')

    def test_errors(self):
        response = smallest(strategies.error_answers(), lambda response: True)
        assert (response.status_code, response.data) == (200, b'{"error": "0"}')

    def test_an_error_with_a_wait(self):
        response = smallest(
            strategies.error_answers(),
            lambda response: response.error is not None and response.error.retry_after == 7,
        )
        assert (response.status_code, response.headers[1:]) == (400, (("Retry-After", "7"),))
        assert response.data == b'{"error": "0"}'

    def test_an_error_amid_a_stream(self):
        response = smallest(strategies.error_answers(), has(TextDelta))
        assert (
            response.data == b'data: {"chunk": "0", "completed": false}\n\ndata: {"error": "0"}\n\n'
        )


class TestBreakingShrinks:
    def test_a_cutting_that_splits_a_character(self):
        """As in a client that decodes each chunk for itself: one cut, in the first character that
        is longer than a byte.
        """

        def breaks(chunks: list[bytes]) -> bool:
            return "\ufffd" in "".join(chunk.decode(errors="replace") for chunk in chunks)

        assert smallest(strategies.fragmentations(MOON), breaks) == at_offsets(
            MOON, [MOON.index("月".encode()) + 1]
        )

    def test_a_cutting_of_three_chunks(self):
        assert smallest(
            strategies.fragmentations(MOON), lambda chunks: len(chunks) >= 3
        ) == at_offsets(MOON, [1, 2])

    def test_no_cutting_at_all(self):
        assert smallest(strategies.fragmentations(MOON), lambda chunks: True) == [MOON]

    def test_a_fault_behind_an_event(self):
        """It strikes as soon as it can: a message that is whole counts without its line end, but
        only where it is the last.
        """

        def fault_behind_an_event(fault: BreakAt) -> bool:
            body, ending = fault.apply(MOON)
            return bool(run(REQUESTS["query"], [body], ending=ending).events)

        found = smallest(strategies.breaks(MOON), fault_behind_an_event)
        assert found == BreakAt(None, after_bytes=MOON.index(b"\n\n"))

    def test_a_fault_of_a_kind(self):
        fault = smallest(
            strategies.breaks(MOON), lambda fault: isinstance(fault.error, ConnectionLost)
        )
        assert fault.after_bytes == 0

    def test_limits(self):
        assert smallest(strategies.limits(), lambda limits: True).max_record_bytes == 1


def test_a_failing_property_shrinks_in_all_its_parts():
    """A client that takes the lines of each chunk for itself: the smallest stream, and the one cut
    on which it loses text.
    """

    def text_of(chunks: list[bytes]) -> str:
        lines = [
            line
            for chunk in chunks
            for line in chunk.split(b"\n")
            if line.startswith(b'data: {"chunk"') and line.endswith(b"}")
        ]
        return "".join(json.loads(line[6:])["chunk"] for line in lines)

    failed: list[list[bytes]] = []

    @settings(max_examples=50, database=None)
    @given(st.data(), strategies.events("caption", Dialect.STATION))
    def the_cutting_does_not_matter(data: st.DataObject, events: list[Event]) -> None:
        body = encode_events(events, Dialect.STATION)
        chunks = data.draw(strategies.fragmentations(body))
        if text_of(chunks) != text_of([body]):
            failed.append(chunks)
            raise AssertionError

    with pytest.raises(AssertionError):
        the_cutting_does_not_matter()
    assert failed[-1] == [b"d", b'ata: {"chunk": "0"}\n\ndata: {"completed": true}\n\n']


# --- What they draw


@pytest.mark.parametrize("media_type", ["image/gif", "image/jpeg", "image/png", "image/webp"])
def test_pictures_are_whole(media_type: str):
    picture = smallest(strategies.images(), lambda image: image.media_type == media_type)
    with Image.open(BytesIO(picture.data)) as image:
        image.load()
        assert image.size == (1, 1)


@cache
def assert_drawn(values: st.SearchStrategy[T], condition: Callable[[T], bool]) -> None:
    """It comes up. How soon is a matter of chance, and of what else is loaded:

    Hypothesis picks up the constants that it sees.
    """
    find(
        values,
        condition,
        settings=settings(max_examples=20_000, database=None, phases=[Phase.generate]),
    )


@cache
def drawn(made: Callable[[], st.SearchStrategy[Any]]) -> list[Any]:
    """Some hundred examples."""
    examples: list[Any] = []

    @settings(max_examples=300, database=None, phases=[Phase.generate])
    @given(made())
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
    values = {
        getattr(request, field) for request in drawn(strategies.requests) if hasattr(request, field)
    }
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
}


@pytest.mark.parametrize("sight", SIGHTS)
@pytest.mark.slow
def test_streams_have_everything(sight: str):
    assert_drawn(strategies.streams(), SIGHTS[sight])


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
    "a code": lambda response: response.error.code,  # type: ignore[union-attr]
}


@pytest.mark.parametrize("sight", ERRORS)
@pytest.mark.slow
def test_errors_have_everything(sight: str):
    assert_drawn(strategies.error_answers(), ERRORS[sight])


# --- What they refuse


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
    assert (
        str(caught.value)
        == f"{name} needs hypothesis, which is not installed: pip install 'sansio-moondream[testing]'"
    )
