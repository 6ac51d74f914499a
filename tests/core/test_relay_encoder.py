"""What each encoder of a relay has to do: here, to end a stream for one of its readers."""

from __future__ import annotations

from typing import Any

import pytest

from sansio_moondream import Completed, Event, Metadata, QueryResult, ServerError, TextDelta
from sansio_moondream.relay import EventsEncoder, Format, open_encoder
from sansio_moondream.relay._refusals import too_slow

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
