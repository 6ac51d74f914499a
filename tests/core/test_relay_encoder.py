"""What each encoder of a relay has to do: here, to end a stream for one of its readers."""

from __future__ import annotations

from typing import Any

import pytest

from sansio_moondream import (
    Completed,
    Event,
    Grounding,
    Metadata,
    Point,
    QueryResult,
    Reasoning,
    ReasoningDelta,
    ServerError,
    TextDelta,
)
from sansio_moondream.relay import EventsEncoder, Format, open_encoder
from sansio_moondream.relay._refusals import too_slow
from tests.core.relays import encoded, records

EVENTS: list[Event] = [
    TextDelta("A"),
    TextDelta(" moon"),
    Completed(QueryResult("A moon", None, Metadata())),
]


@pytest.mark.parametrize("format", Format)
def test_an_interruption_leaves_the_encoder_as_it_was(format: Format):
    """Other readers get the same bytes as if nothing had happened."""
    whole, interrupted = (open_encoder(format) for _ in range(2))
    for event in EVENTS:
        part = interrupted.encode_interruption(too_slow(7))
        assert b"too slow: 7 bytes" in part
        assert interrupted.encode(event) == whole.encode(event)


@pytest.mark.parametrize("had", [0, 1])
def test_an_interruption_ends_no_part_whose_start_the_reader_may_not_have(had: int):
    """The AI SDK fails by words of its own where a part ends that has not begun."""
    encoder = open_encoder(Format.UI_MESSAGE)
    parts = [encoder.encode(event) for event in (TextDelta("A"), ReasoningDelta("b"))]
    chunks = records(b"".join(parts[:had]) + encoder.encode_interruption(too_slow(7)))
    assert [chunk["type"] for chunk in chunks[-3:-1]] == ["data-error", "error"]
    assert not any(chunk["type"].endswith("-end") for chunk in chunks[:-1])


@pytest.mark.parametrize("format", Format)
def test_an_empty_delta_is_none_of_the_text(format: Format):
    encoder = open_encoder(format)
    body = encoded(encoder, [TextDelta(""), Completed(QueryResult("A moon."))])
    assert body.count(b"A moon.") == (2 if format is Format.UI_MESSAGE else 1)  # with the result


@pytest.mark.parametrize("format", Format)
def test_a_place_that_is_not_finite_is_never_sent(format: Format):
    """No JSON has such a number, and no server sends one. A program may."""
    places = (Grounding(0, 1, (Point(float("inf"), float("nan")),)),)
    last = Completed(QueryResult("A", Reasoning("b", places)))
    if format in (Format.EVENTS, Format.UI_MESSAGE):
        assert b'"x":null,"y":null' in open_encoder(format).encode(last)
    else:
        with pytest.raises(ValueError, match=r"null|not JSON compliant"):
            open_encoder(format).encode(last)


def test_an_interruption_of_our_own_format_has_no_id():
    """So the reader comes again with the id before, and gets the rest."""
    encoder = EventsEncoder()
    error: Any = ServerError("slow", status_code=503, url="http://10.0.0.1/v1")
    assert encoder.encode(EVENTS[0]).startswith(b"id: 1\n")
    part = encoder.encode_interruption(error)
    assert part.startswith(b'data: {"kind":"server_error"')
    assert part.endswith(b"}\n\n")
    assert part.count(b"\n") == 2
    assert b"10.0.0.1" not in part
    assert encoder.encode_error(error) == b"id: 2\n" + part
