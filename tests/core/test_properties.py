"""Properties of any stream.

Fragmentation changes nothing, decoding undoes encoding, and a broken stream loses nothing.
"""

from __future__ import annotations

import zlib
from typing import Any

from hypothesis import event as note
from hypothesis import given
from hypothesis import strategies as st

from sansio_moondream import (
    Completed,
    Dialect,
    IdleTimeout,
    IncompleteStream,
    Limits,
    Request,
    encode_events,
)
from sansio_moondream.testing import EVENT_STREAM, Response, each_byte, run, strategies
from tests.core.fragments import fragments
from tests.helpers import PAIRS, REQUESTS, record

JSON = (("content-type", "application/json"),)
skills = st.sampled_from(sorted(REQUESTS))
pairs = st.sampled_from(PAIRS)
bodies = st.lists(fragments, max_size=12).map(b"".join)
endings = st.sampled_from([None, OSError("reset"), IdleTimeout("no byte for 1 s")])


def check(data: st.DataObject, request: Request[Any], body: bytes, **about: Any) -> Any:
    whole = run(request, [body], **about)
    assert run(request, each_byte(body), **about).key == whole.key
    assert run(request, data.draw(strategies.fragmentations(body)), **about).key == whole.key
    return whole


@given(st.data(), strategies.requests(), bodies, endings, st.just(Limits()) | strategies.limits(60))
def test_any_bytes_in_any_fragmentation(
    data: st.DataObject, request: Request[Any], body: bytes, ending: Any, limits: Limits
):
    outcome = check(data, request, body, ending=ending, limits=limits)
    note(type(outcome.error).__name__)
    if outcome.error is None:
        assert outcome.events[-1] == Completed(outcome.snapshot)
    else:
        assert not any(isinstance(event, Completed) for event in outcome.events)
        assert outcome.error.partial == outcome.snapshot


@given(
    st.data(),
    strategies.requests(),
    st.binary(max_size=200),
    st.sampled_from([200, 400, 429, 500]),
    st.just(Limits()) | strategies.limits(60),
)
def test_any_json_body_in_any_fragmentation(
    data: st.DataObject, request: Request[Any], body: bytes, status_code: int, limits: Limits
):
    check(data, request, body, headers=JSON, status_code=status_code, limits=limits)


@given(st.data(), strategies.streams() | strategies.whole_answers() | strategies.error_answers())
def test_a_response_comes_to_what_it_holds_however_it_is_spelled(
    data: st.DataObject, response: Response
):
    outcome = check(
        data,
        response.request,
        response.data,
        status_code=response.status_code,
        headers=response.headers,
    )
    assert outcome.events == response.events
    assert said(outcome.error) == said(response.error)


def said(error: Exception | None) -> Any:
    """Return the fields of an error, without its snapshot and its cause."""
    return (
        None
        if error is None
        else (type(error), str(error), vars(error) | {"body": "", "partial": None})
    )


@given(st.data(), pairs)
def test_decoding_undoes_encoding(data: st.DataObject, pair: tuple[str, Dialect]):
    skill, dialect = pair
    events = data.draw(strategies.events(skill, dialect))
    encoded = encode_events(events, dialect)
    outcome = check(data, REQUESTS[skill], encoded)
    assert outcome.error is None
    assert outcome.events == events
    assert b"".join(encode_events([one], dialect) for one in events) == encoded


@given(
    st.data(), st.sampled_from([pair for pair in PAIRS if pair[0] != "chat"])
)  # whose end takes two: see test_chat_end.py
def test_a_broken_stream_is_never_complete_and_loses_nothing(
    data: st.DataObject, pair: tuple[str, Dialect]
):
    skill, dialect = pair
    events = data.draw(strategies.events(skill, dialect))
    encoded = encode_events(events, dialect)
    fault = data.draw(strategies.breaks(encoded))
    body, ending = fault.apply(encoded)
    outcome = check(data, REQUESTS[skill], body, ending=ending)
    if len(body) >= len(encoded.rstrip(b"\n")):
        assert outcome.error is None
        assert outcome.events == events
    else:
        assert type(outcome.error) is (IncompleteStream if ending is None else type(ending))
        assert outcome.events == events[: len(outcome.events)]
        whole_payloads = sum(
            1
            for count in range(1, len(events) + 1)
            if len(encode_events(events[:count], dialect).rstrip(b"\n")) <= len(body)
        )
        assert len(outcome.events) == whole_payloads


@given(
    st.data(),
    skills,
    st.sampled_from(["gzip", "deflate"]),
    bodies,
    st.integers(0, 9),
    st.just(Limits()) | strategies.limits(60),
)
def test_compressed_bodies_in_any_fragmentation(
    data: st.DataObject, skill: str, coding: str, body: bytes, level: int, limits: Limits
):
    engine = zlib.compressobj(level, wbits=31 if coding == "gzip" else 15)
    packed = bytearray(
        b"".join([engine.compress(body), engine.flush(zlib.Z_SYNC_FLUSH), engine.flush()])
    )
    for at in data.draw(st.lists(st.integers(0, len(packed) - 1), max_size=1)):
        packed[at] ^= data.draw(st.integers(1, 255))
    check(
        data,
        REQUESTS[skill],
        bytes(packed),
        headers=[*EVENT_STREAM, ("content-encoding", coding)],
        limits=limits,
    )


@given(st.lists(st.text(alphabet="a\U0001f319é\n", min_size=1, max_size=4), max_size=8), st.data())
def test_text_split_between_surrogates_is_joined(parts: list[str], data: st.DataObject):
    # Some servers split text by UTF-16 units, and escape each chunk alone.
    units = "".join(parts).encode("utf-16-le")
    offsets = sorted(data.draw(st.lists(st.integers(0, len(units) // 2), max_size=6)))
    chunks = [
        units[2 * start : 2 * end].decode("utf-16-le", "surrogatepass")
        for start, end in zip([0, *offsets], [*offsets, len(units) // 2], strict=True)
    ]
    body = b"".join(record({"chunk": chunk}) for chunk in chunks) + record(
        {"completed": True, "answer": "".join(parts)}
    )
    outcome = check(data, REQUESTS["query"], body)
    assert outcome.error is None
    assert outcome.snapshot.text == "".join(parts)
    assert outcome.snapshot.metadata.deltas_match is True
