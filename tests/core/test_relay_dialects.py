"""The service's own dialects as formats of a relay, read back by our decoder."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sansio_moondream import (
    ChatResult,
    Completed,
    ConnectError,
    Dialect,
    Event,
    Metrics,
    PathChunk,
    QueryResult,
    ReasoningDelta,
    SegmentResult,
    ServerError,
    TextDelta,
    Unknown,
    encode_events,
    encode_stream_error,
)
from sansio_moondream.relay import SSE_HEADERS, DialectEncoder, Format, open_encoder
from sansio_moondream.testing import run, strategies
from tests.core.relays import (
    ADDRESS,
    BOX,
    END_OF_DETECT,
    END_OF_SEGMENT,
    END_OF_TEXT,
    METADATA,
    encoded,
    fewer,
)
from tests.helpers import CHAT, OWN, QUERY

FORMATS = [Format.ENGINE, Format.CLOUD, Format.STATION, Format.DEMO]
each_format = pytest.mark.parametrize("format", FORMATS)


@fewer
@given(data=st.data(), skill=st.sampled_from(sorted(OWN)), format=st.sampled_from(FORMATS))
def test_each_stream_reads_back_equal(data: st.DataObject, skill: str, format: Format):
    dialect = Dialect(format.value)
    events = data.draw(strategies.events(skill, dialect, SSE_HEADERS))
    body = encoded(open_encoder(format, OWN[skill]), events)
    chunks = data.draw(strategies.fragmentations(body))
    assert run(OWN[skill], chunks, headers=SSE_HEADERS).events == events


@each_format
def test_an_event_is_encoded_as_encode_events_does(format: Format):
    encoder = open_encoder(format)
    events: list[Event] = [TextDelta("A", 3), Unknown({"a": 1}), Completed(QueryResult("A"))]
    for event in [*events, BOX, PathChunk("M 0 0", 3), Completed(SegmentResult("M 0 0"))]:
        assert encoder.encode(event) == encode_events([event], Dialect(format.value))


@each_format
@pytest.mark.parametrize("event", [END_OF_TEXT, END_OF_SEGMENT, END_OF_DETECT])
def test_a_number_that_is_not_finite_does_not_fail_a_stream(format: Format, event: Event):
    sent = open_encoder(format).encode(event)
    assert b"Infinity" not in sent
    assert b'"note": null' in sent
    assert open_encoder(format).encode(Unknown({"a": float("inf")})) == b'data: {"a": null}\n\n'


def test_the_other_numbers_are_kept():
    body = open_encoder(Format.ENGINE).encode(Completed(QueryResult("", None, METADATA)))
    assert run(QUERY, [body]).snapshot.metadata.metrics == Metrics(740, 3, None, 30.0, 130.0)


@each_format
def test_a_text_without_deltas_is_one(format: Format):
    last = Completed(QueryResult("A moon."))
    outcome = run(QUERY, [open_encoder(format).encode(last)])
    assert outcome.events[0] == TextDelta("A moon.")
    assert outcome.snapshot.text == "A moon."
    assert len(outcome.events) == 2


@each_format
def test_a_text_with_deltas_is_not_sent_again(format: Format):
    events: list[Event] = [TextDelta("A m"), Completed(QueryResult("A m"))]
    assert run(QUERY, [encoded(open_encoder(format), events)]).events[0] == TextDelta("A m")
    encoder = open_encoder(format)
    encoder.encode(events[0])
    assert encoder.encode(events[1]) == encode_events([events[1]], Dialect(format.value))


@each_format
def test_a_chat_has_no_form(format: Format):
    words = "have no place for a chat: use Format.OPENAI, Format.UI_MESSAGE or Format.EVENTS"
    with pytest.raises(ValueError, match=words):
        open_encoder(format, CHAT)
    events: list[Event] = [ReasoningDelta("a"), Completed(ChatResult("a"))]
    for event in events:
        with pytest.raises(ValueError, match=words):
            open_encoder(format).encode(event)


def test_the_dialect_of_chats_is_no_format():
    with pytest.raises(ValueError, match="use OpenAIEncoder"):
        DialectEncoder(Dialect.CHAT)


@each_format
def test_an_error_ends_the_stream(format: Format):
    error = ConnectError(ADDRESS, url=ADDRESS)
    encoder = open_encoder(format, QUERY)
    body = encoded(encoder, [TextDelta("A")], error)
    assert body.endswith(encode_stream_error(error))
    outcome = run(QUERY, [body])
    assert outcome.events == [TextDelta("A")]
    assert type(outcome.error) is ServerError
    assert outcome.error.message == "the upstream server cannot be reached"
    assert getattr(outcome.error.partial, "text", None) == "A"


@each_format
def test_headers(format: Format):
    assert open_encoder(format).headers == SSE_HEADERS
