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

from moondream_tools.trace import Trace, TraceBuilder, TraceUpdate, json_schema
from sansio_moondream.recording import Recording
from sansio_moondream.testing import strategies
from tests.helpers import REQUESTS
from tests.tools.trace.hostile import content, expected, recorded, recordings

SCHEMA: Any = Draft202012Validator(json_schema())


@given(recordings())
def test_it_has_what_the_decoder_gives(recording: Recording) -> None:
    trace = Trace.of(recording, "moon")
    if trace.skill is None:
        assert (trace.events, trace.states, trace.error, trace.result) == ((), (), None, None)
        return
    outcome = expected(recording, REQUESTS[trace.skill])
    assert [event.value for event in trace.events] == [event.to_dict() for event in outcome.events]
    if recording.header.status_code != 103:
        assert trace.error == (None if outcome.error is None else outcome.error.to_dict())
    assert trace.result == (None if outcome.snapshot is None else outcome.snapshot.to_dict())
    note("error" if trace.error else "complete")


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
    last = trace.ending.at if trace.ending else 0.0
    for event in trace.events:
        assert event.at == (last if event.chunk is None else trace.chunks[event.chunk].at)
    for items in (trace.chunks, trace.records, trace.events, trace.states):
        times = [item.at for item in items]
        assert times == sorted(times) and max(times, default=0) <= last
    assert trace.times.first_event == (trace.events[0].at if trace.events else None)


@given(st.data(), recordings())
def test_other_chunks_change_chunks_and_times_only(
    data: st.DataObject, recording: Recording
) -> None:
    trace = Trace.of(recording)
    chunks = data.draw(strategies.fragmentations(trace.body))
    other = Trace.of(recorded(recording.header, chunks, recording.ending))
    assert content(other) == content(trace)


@given(recordings())
def test_the_updates_add_up_to_it(recording: Recording) -> None:
    builder = TraceBuilder(recording.header)
    trace = Trace.begin(recording.header, "moon")

    def step() -> TraceUpdate:
        nonlocal trace
        update = builder.take_update()
        trace = trace.updated(update)
        assert Trace.from_dict(trace.to_dict()) == trace
        return update

    at = recording.header.seconds
    builder.receive_response(
        recording.header.status_code or 0, recording.header.response_headers, at
    )
    assert step().response is not None
    for chunk in recording.chunks:
        at += chunk.seconds
        builder.receive_data(chunk.data, at)
        assert step().body == chunk.data
    builder.receive_ending(recording.ending, at + recording.ending.seconds)
    assert step().ending is not None
    assert trace == Trace.of(recording, "moon")
    assert builder.take_update().chunks == ()


@given(recordings())
def test_its_json_form_is_that_of_the_schema(recording: Recording) -> None:
    trace = Trace.of(recording, "moon")
    form = trace.to_dict()
    encoded = trace.encode()
    assert json.loads(encoded) == form
    SCHEMA.validate(form)
    assert Trace.from_dict(json.loads(encoded)) == trace
    assert (form["decoded"] is None) == (trace.decoded == trace.body)
