"""The strategies: examples shrink to the simplest one."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sansio_moondream import (
    Completed,
    ConnectionLost,
    Dialect,
    Event,
    PathChunk,
    QueryRequest,
    Result,
    SegmentRequest,
    Settings,
    TextDelta,
    encode_events,
)
from sansio_moondream.testing import BreakAt, Response, at_offsets, run, strategies
from tests.core.strategies import each_dialect, each_skill, has, smallest
from tests.helpers import REQUESTS

MOON = 'data: {"chunk": "月é"}\n\ndata: {"completed": true}\n\n'.encode()


def completed(response: Response) -> Result:
    end = response.events[-1]
    assert isinstance(end, Completed)
    return end.result


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
        assert response.data == (
            b'data: {"chunk": "0", "completed": false}\n\n'
            b'data: {"chunk": "", "completed": true, "answer": "0"}\n\n'
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
            examples=5_000,  # it is rare
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
    def test_a_fragmentation_that_splits_a_character(self):
        """Break a client that decodes each chunk alone.

        The simplest example has one border, inside the first character of two bytes or more.
        """

        def breaks(chunks: list[bytes]) -> bool:
            return "\ufffd" in "".join(chunk.decode(errors="replace") for chunk in chunks)

        assert smallest(strategies.fragmentations(MOON), breaks) == at_offsets(
            MOON, [MOON.index("月".encode()) + 1]
        )

    def test_a_fragmentation_of_three_chunks(self):
        assert smallest(
            strategies.fragmentations(MOON), lambda chunks: len(chunks) >= 3
        ) == at_offsets(MOON, [1, 2])

    def test_no_fragmentation_at_all(self):
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


@pytest.mark.slow
def test_a_failing_property_shrinks_in_all_its_parts():
    """Break a client that takes the lines of each chunk alone.

    The simplest example is the shortest stream with the one border at which text is lost.
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
    def the_fragmentation_does_not_matter(data: st.DataObject, events: list[Event]) -> None:
        body = encode_events(events, Dialect.STATION)
        chunks = data.draw(strategies.fragmentations(body))
        if text_of(chunks) != text_of([body]):
            failed.append(chunks)
            raise AssertionError

    with pytest.raises(AssertionError):
        the_fragmentation_does_not_matter()
    assert failed[-1] == [b"d", b'ata: {"chunk": "0"}\n\ndata: {"completed": true}\n\n']
