"""The format of this library's own events."""

from __future__ import annotations

import json
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sansio_moondream import (
    BBox,
    ConnectError,
    Event,
    MoondreamError,
    PathChunk,
    QueryResult,
    ReasoningDelta,
    TextDelta,
    from_dict,
)
from sansio_moondream.relay import SSE_HEADERS, EventsEncoder, Format, open_encoder, to_public
from sansio_moondream.testing.strategies import values
from tests.core.relays import ADDRESS, END_OF_SEGMENT, END_OF_TEXT, TEXT, fewer

KINDS = {TextDelta: "text_delta", PathChunk: "path_chunk", ReasoningDelta: "reasoning_delta"}


def expected(id_: int, value: Any) -> bytes:
    form = json.dumps(to_public(value).to_dict(), separators=(",", ":"))
    return f"id: {id_}\ndata: {form}\n\n".encode()


EVENTS = st.one_of(
    *(values(KINDS.get(class_, class_.__name__.lower())) for class_ in get_args(Event))
)


@given(events=st.lists(EVENTS, max_size=4))
@fewer
def test_each_record_is_the_public_form_with_the_next_id(events: list[Any]):
    encoder = EventsEncoder()
    for id_, event in enumerate(events, 1):
        sent = encoder.encode(event)
        assert sent == expected(id_, event)
        read = from_dict(json.loads(sent.split(b"\n")[1].removeprefix(b"data: ")))
        assert read == from_dict(to_public(event).to_dict())


@pytest.mark.parametrize(
    "event",
    [
        *TEXT,
        TextDelta("a", 0),
        PathChunk("M 0 0\n", 7),
        PathChunk("M"),
        ReasoningDelta('"\u2028'),
        BBox(0, float("nan"), 1.5, 1e-9),
        END_OF_TEXT,
        END_OF_SEGMENT,
    ],
)
def test_a_record(event: Event):
    assert EventsEncoder().encode(event) == expected(1, event)


def test_the_bytes_of_a_delta():
    assert EventsEncoder().encode(TextDelta("ö\n", 3)) == (
        b'id: 1\ndata: {"kind":"text_delta","version":1,"text":"\\u00f6\\n","token_index":3}\n\n'
    )


def test_an_error_is_the_last_record():
    encoder = open_encoder(Format.EVENTS)
    encoder.encode(TextDelta("A"))
    error = ConnectError(ADDRESS, partial=QueryResult("A", partial=True), url=ADDRESS)
    sent = encoder.encode_error(error)
    assert sent == expected(2, error)
    assert b"10.0.0.7" not in sent
    read = from_dict(json.loads(sent.split(b"\n")[1].removeprefix(b"data: ")))
    assert isinstance(read, ConnectError)
    assert (read.retryable, read.partial) == (True, QueryResult("A", partial=True))


@given(error=values("connection_lost") | values("api_error"))
@fewer
def test_any_error_is_read_back(error: MoondreamError):
    sent = EventsEncoder().encode_error(error)
    read = from_dict(json.loads(sent.split(b"\n")[1].removeprefix(b"data: ")))
    assert read.to_dict() == to_public(error).to_dict()


def test_headers_and_heartbeat():
    encoder = EventsEncoder()
    assert encoder.headers == SSE_HEADERS
    assert dict(SSE_HEADERS) == {
        "content-type": "text/event-stream; charset=utf-8",
        "cache-control": "no-cache, no-transform",
        "x-accel-buffering": "no",
    }
    assert encoder.heartbeat == b":\n\n"
