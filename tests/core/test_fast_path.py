"""The fast path: which bytes it decodes, and that it gives the events of the slow path."""

from __future__ import annotations

import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sansio_moondream import Dialect, Event, Headers, Limits, Request, TextDelta, encode_events
from sansio_moondream._requests.sent import Sent
from sansio_moondream._skills import BUILDERS
from sansio_moondream._wire.bodies import Body, EventStreamBody, JSONBody
from sansio_moondream._wire.error_answers import api_error
from sansio_moondream._wire.fast_path import FastPath, slow_path_only
from sansio_moondream._wire.ordinary import decoders_for
from sansio_moondream._wire.response import open_response
from sansio_moondream._wire.undecided import UndecidedBody
from sansio_moondream.testing import EVENT_STREAM, each_byte, run, strategies
from tests.core.test_properties import bodies, endings
from tests.helpers import END, QUERY, REQUESTS, delta, record

CORE = Path(__file__).parent
DECODING = ["stream", "records", "chat", "limits", "events", "inflate", "properties", "machine"]


def by_slow_path(request: Request[Any], chunks: list[bytes], **about: Any) -> Any:
    with slow_path_only():
        return run(request, chunks, **about)


class Watched(EventStreamBody):
    """A slow path that records the bytes and messages that it is given."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.received: list[bytes] = []
        self.read_: list[bytes] = []

    def receive(self, data: bytes, out: list[Event]) -> bool:
        self.received.append(data)
        return super().receive(data, out)

    def read(self, data: bytes, out: list[Event], name: bytes = b"") -> bool:
        self.read_.append(data)
        return super().read(data, out, name)


def watched(
    chunks: list[bytes], skill: str = "query", limits: Limits | None = None
) -> tuple[list[Event], Watched]:
    """Decode `chunks` by the fast path. Return the events, and the slow path with its records."""
    headers, limits = Headers({"x-request-id": "r"}), limits or Limits()
    builder = BUILDERS[skill](headers, limits)
    error_of = partial(api_error, 200, headers, limits, Sent(None))
    slow_path = Watched(builder, error_of, limits)
    json = JSONBody(builder, error_of, limits)
    decoders = decoders_for(builder, limits)
    assert decoders is not None
    undecided = UndecidedBody(slow_path, json, limits, labelled=True)
    body = FastPath(undecided, builder, decoders, limits)
    events: list[Event] = []
    for chunk in chunks:
        body.receive(chunk, events)
    return events, slow_path


ORDINARY = {
    "engine": ("query", [delta("a", 1), delta("\U0001f319", 2), delta("c", 3)]),
    "station": ("caption", [record({"chunk": text}) for text in "abc"]),
    "documented": (
        "query",
        [record({"chunk": text, "completed": False, "request_id": "r"}) for text in "abc"],
    ),
    "segment": ("segment", [record({"type": "path_delta", "chunk": text}) for text in "abc"]),
    "chat": (
        "chat",
        [
            record({"id": "r", "choices": [{"index": 0, "delta": {"content": text}}]})
            for text in "abc"
        ],
    ),
}


@pytest.mark.parametrize("name", ORDINARY)
@pytest.mark.parametrize("fragmentation", ["records", "whole", "bytes", "in sevens"])
def test_ordinary_streams_take_it(name: str, fragmentation: str):
    skill, records = ORDINARY[name]
    data = b"".join(records)
    chunks = {
        "records": records,
        "whole": [data],
        "bytes": each_byte(data),
        "in sevens": [data[at : at + 7] for at in range(0, len(data), 7)],
    }[fragmentation]
    events, slow_path = watched(chunks, skill)
    assert len(events) == 3
    assert slow_path.received == []
    # The first message of the other dialect is refused once, and the dialects change places.
    assert len(slow_path.read_) == (1 if name == "documented" else 0)


def test_after_an_odd_record_it_goes_on():
    odd = record({"chunk": "x", "new": 1})
    events, slow_path = watched([delta("a") + odd + delta("b") * 3, odd, delta("c"), delta("d")])
    assert events == [TextDelta(text) for text in "axbbbxcd"]
    assert slow_path.received == []
    # After each refusal the other dialect is tried, and refuses one.
    assert slow_path.read_ == [message[6:-2] for message in (odd, delta("b"), odd, delta("c"))]


def test_after_other_bytes_it_goes_on():
    odd = delta("x").replace(b"\n", b"\r\n")
    events, slow_path = watched([delta("a"), odd[:9], odd[9:], b": ping\n\n", delta("c")])
    assert events == [TextDelta(text) for text in "axc"]
    assert slow_path.received == [odd[:9] + odd[9:], b": ping\n\n"]


def test_while_a_surrogate_waits_it_takes_nothing():
    surrogate = b'data: {"chunk": "\\ud83c"}\n\n'
    for chunks in ([surrogate, delta("a"), delta("b")], [surrogate + delta("a") + delta("b")]):
        events, slow_path = watched(chunks)
        assert events == [TextDelta("\ufffda"), TextDelta("b")]
        assert slow_path.received + slow_path.read_ != []
        assert surrogate[6:-2] in slow_path.read_


def test_after_three_refusals_it_tries_no_more_in_that_chunk():
    odd = record({"chunk": "x", "new": 1})
    events, slow_path = watched([odd * 3 + delta("a") * 5, delta("b"), delta("c")])
    assert len(events) == 10
    assert slow_path.read_.count(delta("a")[6:-2]) == 5
    assert delta("c")[6:-2] not in slow_path.read_


def test_a_long_record_is_not_held_here():
    events, slow_path = watched([delta("x" * 100_000)[:-9], delta("x" * 100_000)[-9:], delta("b")])
    assert (len(events), len(slow_path.received)) == (2, 2)


@pytest.mark.parametrize("name", ["max_record_bytes", "max_text_bytes", "max_json_depth"])
def test_every_limit_is_the_same_on_both_paths(name: str):
    records = [delta("\U0001f319a", 1), delta("b"), record({"chunk": "c", "new": [[1]]}), END]
    for limit in range(1, 90):
        limits = Limits(**{name: limit})
        for chunks in (records, [b"".join(records)], each_byte(b"".join(records))):
            expected = by_slow_path(QUERY, chunks, limits=limits)
            assert run(QUERY, chunks, limits=limits).key == expected.key


@pytest.mark.parametrize("skill", ["detect", "point"])
def test_skills_without_text_have_none(skill: str):
    assert decoders_for(BUILDERS[skill](Headers(), Limits()), Limits()) is None


def test_a_chat_that_may_not_nest_so_deep_has_none():
    builder = BUILDERS["chat"](Headers(), Limits())
    assert decoders_for(builder, Limits(max_json_depth=3)) is None
    assert decoders_for(builder, Limits(max_json_depth=4)) is not None


@given(st.data(), strategies.requests(), bodies, endings, st.just(Limits()) | strategies.limits(90))
def test_both_paths_agree_on_any_bytes(
    data: st.DataObject, request: Request[Any], body: bytes, ending: Any, limits: Limits
):
    chunks = data.draw(strategies.fragmentations(body))
    expected = by_slow_path(request, chunks, ending=ending, limits=limits)
    assert run(request, chunks, ending=ending, limits=limits).key == expected.key
    assert run(request, [body], ending=ending, limits=limits).key == expected.key


@given(st.data(), st.sampled_from(sorted(REQUESTS)))
def test_both_paths_agree_on_streams_of_servers(data: st.DataObject, skill: str):
    response = data.draw(strategies.streams(skill))
    chunks = data.draw(strategies.fragmentations(response.data))
    about: dict[str, Any] = {
        "status_code": response.status_code,
        "headers": response.headers,
    }
    expected = by_slow_path(response.request, chunks, **about)
    assert run(response.request, chunks, **about).key == expected.key


@given(st.data(), st.sampled_from(list(Dialect)))
def test_both_paths_agree_on_ordinary_messages(data: st.DataObject, dialect: Dialect):
    skill = "chat" if dialect is Dialect.CHAT else data.draw(st.sampled_from(["query", "segment"]))
    records = [
        encode_events([event], dialect) for event in data.draw(strategies.events(skill, dialect))
    ]
    expected = by_slow_path(REQUESTS[skill], records)
    assert run(REQUESTS[skill], records).key == expected.key
    assert run(REQUESTS[skill], [b"".join(records)]).key == expected.key


def test_the_slow_path_alone_is_what_the_seam_gives():
    with slow_path_only():
        assert isinstance(opened(), UndecidedBody)
    assert isinstance(opened(), FastPath)


def opened() -> Body:
    headers, limits = Headers(EVENT_STREAM), Limits()
    return open_response(200, headers, BUILDERS["query"](headers, limits), limits, Sent(None)).body


@pytest.mark.slow
def test_the_tests_of_decoding_pass_without_the_fast_path():
    modules = [str(path) for name in DECODING for path in sorted(CORE.glob(f"test_{name}*.py"))]
    ran = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-x", "--slow-path", *modules],
        cwd=CORE.parent.parent,
        capture_output=True,
        text=True,
    )
    assert ran.returncode == 0, ran.stdout[-3000:]
