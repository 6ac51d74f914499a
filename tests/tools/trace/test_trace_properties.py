"""What holds for the trace of any recording."""

from __future__ import annotations

import json
from bisect import bisect_left
from itertools import pairwise
from typing import Any

from hypothesis import event as note
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator  # type: ignore[import-untyped]

from moondream_tools.trace import Trace, TraceBuilder, json_schema
from sansio_moondream import from_dict
from sansio_moondream.recording import Recording
from sansio_moondream.testing import strategies
from tests.helpers import REQUESTS
from tests.tools.trace.hostile import content, expected, recorded, recordings

SCHEMA: Any = Draft202012Validator(json_schema())


@given(st.data(), recordings())
def test_it_has_what_the_decoder_gives(data: st.DataObject, recording: Recording) -> None:
    trace = Trace.of(recording)
    note(f"{trace.skill}, {trace.error['kind'] if trace.error else 'no error'}")
    if trace.skill is None:
        assert (trace.events, trace.states, trace.error, trace.result) == ((), (), None, None)
    else:
        outcome = expected(recording, REQUESTS[trace.skill])
        assert [event.value for event in trace.events] == [one.to_dict() for one in outcome.events]
        assert [from_dict(event.value) for event in trace.events] == outcome.events
        assert trace.error == (None if outcome.error is None else outcome.error.to_dict())
        assert trace.result == (None if outcome.snapshot is None else outcome.snapshot.to_dict())
    # Other chunks change only chunks and times.
    chunks = data.draw(strategies.fragmentations(trace.body))
    other = Trace.of(recorded(recording.header, chunks, recording.ending))
    assert content(other) == content(trace)


@given(recordings())
def test_its_items_are_in_order_and_at_their_places(recording: Recording) -> None:
    trace = Trace.of(recording)
    assert trace.body == b"".join(chunk.data for chunk in recording.chunks)
    borders = [0, *(chunk.end for chunk in trace.chunks)]
    assert [(chunk.start, chunk.end) for chunk in trace.chunks] == list(pairwise(borders))
    ends = [chunk.decoded_end for chunk in trace.chunks]
    assert ends == sorted(ends) and max(ends, default=0) == len(trace.decoded)
    record_borders = [0, *(record.end for record in trace.records)]
    assert [(item.start, item.end) for item in trace.records] == list(pairwise(record_borders))
    for record in trace.records:
        assert record.start < record.end <= len(trace.decoded)
        assert record.chunk == bisect_left(ends, record.end)
        assert record.at == trace.chunks[record.chunk].at
    assert [item.message for item in trace.records if item.message is not None] == [
        index for index, item in enumerate(trace.messages) if item.record is not None
    ]
    assert trace.ending is not None
    end = trace.ending.at
    for event in trace.events:
        assert event.at == (end if event.chunk is None else trace.chunks[event.chunk].at)
        assert event.record is None or event.record < len(trace.records)
    for items in (trace.chunks, trace.records, trace.events, trace.states):
        times = [item.at for item in items]
        assert times == sorted(times) and max(times, default=0) <= end
    assert trace.times.first_event == (trace.events[0].at if trace.events else None)


@given(recordings())
def test_the_updates_add_up_to_it_and_its_form_is_that_of_the_schema(recording: Recording) -> None:
    header, at = recording.header, recording.header.seconds
    builder, trace = TraceBuilder(header), Trace.begin(header, "moon")
    assert header.status_code is not None
    builder.receive_response(header.status_code, header.response_headers, at)
    trace = trace.updated(builder.take_update())
    for chunk in recording.chunks:
        at += chunk.seconds
        builder.receive_data(chunk.data, at)
        update = builder.take_update()
        assert update.body == chunk.data
        trace = trace.updated(update)
    builder.receive_ending(recording.ending, at + recording.ending.seconds)
    trace = trace.updated(builder.take_update())
    assert trace == Trace.of(recording, "moon")
    form = trace.to_dict()
    SCHEMA.validate(form)
    assert json.loads(trace.encode()) == form
    assert Trace.from_dict(json.loads(json.dumps(form, allow_nan=False))) == trace
    assert (form["decoded"] is None) == (trace.decoded == trace.body)
