"""Every captured response, in every fragmentation and broken at every byte."""

from __future__ import annotations

import re
from typing import Any

import pytest

from sansio_moondream import (
    APIError,
    ConnectionLost,
    IncompleteStream,
    PathChunk,
    SegmentResult,
    TextDelta,
)
from sansio_moondream.testing import BreakAt, at_offsets, each_byte, record_ends, run
from tests.core.traces import BY_NAME
from tests.helpers import LOCAL, TRACES, Trace, check_fragmentations, run_socket

STREAMS = [
    trace.name
    for trace in TRACES
    if trace.status_code == 200 and trace.ending is None and b"data: " in trace.body[:6]
]


def short(body: bytes) -> bytes:
    """A long stream without most of its records, for tests that take time with the square of the
    length.
    """
    records = body.split(b"\n\n")
    return body if len(records) < 20 else b"\n\n".join([*records[:8], *records[-4:]])


def fine(data: bytes) -> list[bytes]:
    """Fragment byte by byte, or into small fragments if the data is long."""
    return each_byte(data) if len(data) < 4000 else at_offsets(data, range(0, len(data), 61))


@pytest.mark.parametrize("trace", TRACES, ids=lambda trace: trace.name)
def test_every_fragmentation(trace: Trace):
    about: dict[str, Any] = {
        "status_code": trace.status_code,
        "headers": trace.headers,
        "ending": trace.ending,
    }
    check_fragmentations(trace.request, short(trace.body), **about)
    whole = run(trace.request, [trace.body], **about)
    borders = [end + shift for end in record_ends(trace.body) for shift in (-2, -1, 0, 1)]
    for chunks in (trace.chunks, fine(trace.body), at_offsets(trace.body, borders)):
        assert run(trace.request, chunks, **about).key == whole.key


@pytest.mark.parametrize("trace", TRACES, ids=lambda trace: trace.name)
def test_every_fragmentation_of_the_socket_bytes(trace: Trace):
    raw = b"".join(trace.raw)
    lost = (
        ConnectionLost("the server closed the connection before the end of the body")
        if trace.ending
        else None
    )
    expected = run(
        trace.request,
        [trace.body],
        status_code=trace.status_code,
        headers=trace.headers,
        ending=lost,
        sent=trace.request.to_http(LOCAL),
    ).key
    end_of_head = raw.index(b"\r\n\r\n") + 4
    borders = [
        border + shift for border in chunk_borders(raw, end_of_head) for shift in (-2, -1, 0, 1, 2)
    ]
    # Every offset of a head is cut in the tests of HTTP/1.1.
    offsets = sorted({*range(1, end_of_head + 3, 13), *borders[:30], *borders[-30:]})
    for chunks in [
        [raw],
        trace.raw,
        fine(raw),
        at_offsets(raw, borders),
        *(at_offsets(raw, [at]) for at in offsets),
    ]:
        assert run_socket(trace.request, chunks).key == expected
    if trace.ending is None:  # then nobody has to wait for the connection to close
        for chunks in ([raw], trace.raw, fine(raw)):
            assert run_socket(trace.request, chunks, eof=False).key == expected


def chunk_borders(raw: bytes, start: int) -> list[int]:
    """Return the offsets of line ends, those of the chunked framing among them."""
    return [start, *(found.end() for found in re.finditer(rb"\r\n", raw) if found.end() > start)]


@pytest.mark.parametrize("trace", TRACES, ids=lambda trace: trace.name)
def test_socket_bytes_that_end_anywhere_are_a_lost_connection_or_the_answer(trace: Trace):
    raw = b"".join(trace.raw)
    end_of_head = raw.index(b"\r\n\r\n") + 4
    whole = run_socket(trace.request, [raw])
    for offset in sorted(
        {*range(0, end_of_head + 1, 7), *range(0, len(raw), max(len(raw) // 15, 1))}
    ):
        broken = run_socket(trace.request, [raw[:offset]])
        assert (
            broken.key
            == run_socket(
                trace.request, at_offsets(raw[:offset], range(0, offset, max(3, offset // 300)))
            ).key
        )
        assert broken.events == whole.events[: len(broken.events)]
        if offset < end_of_head:
            assert type(broken.error) is ConnectionLost
            assert broken.snapshot is None
        elif (
            trace.status_code == 200
            and broken.error is not None
            and type(whole.error) is not APIError
        ):
            assert type(broken.error) is ConnectionLost
            assert broken.error.partial == broken.snapshot
        elif trace.status_code != 200:
            assert type(broken.error) is type(whole.error)


@pytest.mark.parametrize("name", STREAMS)
def test_a_broken_stream_is_incomplete_until_the_last_byte_of_its_last_payload(name: str):
    trace = BY_NAME[name]
    body = short(trace.body)
    whole = run(trace.request, [body], headers=trace.headers)
    assert whole.error is None
    needed = len(body.rstrip(b"\n"))
    stats = name.startswith(
        "station"
    )  # its next to last record, the only one that ends in two braces, makes no event
    ends = {end + shift for end in record_ends(body) for shift in (-3, -2, -1, 0)}
    for offset in sorted({*ends, *range(0, len(body), 5)} - {len(body)}):
        data, ending = BreakAt(None, after_bytes=offset).apply(body)
        events, error, partial = run(trace.request, [data], headers=trace.headers, ending=ending)
        if offset >= needed:
            assert (events, error) == (whole.events, None)
            continue
        assert type(error) is IncompleteStream
        assert events == whole.events[: len(events)]
        assert error.partial == partial
        chunks = [
            event.text if isinstance(event, TextDelta) else event.data
            for event in events
            if isinstance(event, TextDelta | PathChunk)
        ]
        assert (partial.path if isinstance(partial, SegmentResult) else partial.text) == "".join(
            chunks
        )
        # Nothing that arrived is missing: a record counts as soon as the last byte of its payload
        # is there.
        assert (
            len(events)
            == sum(end - 2 <= offset for end in record_ends(body))
            - body[: offset + 2].count(b"}}\n\n") * stats
        )


def test_a_broken_stream_is_the_same_in_every_fragmentation():
    trace = BY_NAME["station-caption"]
    for offset in range(0, len(trace.body), 31):
        whole = run(trace.request, [trace.body[:offset]], headers=trace.headers)
        assert (
            run(trace.request, each_byte(trace.body[:offset]), headers=trace.headers).key
            == whole.key
        )
