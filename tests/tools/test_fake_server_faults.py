"""`FakeServer`: faults, breaks, pace and fragmentation of its answers."""

from __future__ import annotations

import time
from typing import Any

import pytest

from moondream_tools import FakeServer
from moondream_transports import (
    BreakAt,
    Fragmentation,
    Timeouts,
)
from sansio_moondream import (
    APIError,
    ConnectionLost,
    IdleTimeout,
    IncompleteStream,
    MoondreamError,
    QueryResult,
    RemoteProtocolError,
    ServerError,
    TextDelta,
)
from tests.helpers import QUERY
from tests.tools.fake_servers import (
    client,
    failed,
    in_seconds,
    post,
    raw_chunks,
    streamed,
    texts,
    whole,
)


class TestFaults:
    @pytest.mark.parametrize(
        ("fault", "count", "kind"),
        [
            ("close@2", 2, ConnectionLost),
            ("reset@1", 1, ConnectionLost),
            ("stall@1", 1, IdleTimeout),
            ("truncate@3", 3, IncompleteStream),
            ("garbage@1", 1, RemoteProtocolError),
            ("error@2", 2, ServerError),
            ("no-head", 0, ConnectionLost),
            ("401", 0, APIError),
        ],
    )
    def test_of_serve(
        self, fake: FakeServer, fault: str, count: int, kind: type[MoondreamError]
    ) -> None:
        fake.answer(text="a b c d", fault=fault)
        events, error = streamed(fake, timeouts=Timeouts(idle=1.0) if kind is IdleTimeout else None)
        assert isinstance(error, kind)
        assert len(events) == count

    def test_what_the_standard_allows(self, fake: FakeServer) -> None:
        for fault in ("gzip", "cr", "bom", "keep-alive", "no-space"):
            fake.answer(text="a b c d", fault=fault)
            assert streamed(fake)[1].text == "a b c d"

    @pytest.mark.parametrize(
        ("break_at", "count", "kind"),
        [
            (BreakAt(ConnectionLost("cable cut"), after_events=2), 2, ConnectionLost),
            (BreakAt(ConnectionLost("cable cut"), after_bytes=10), 0, ConnectionLost),
            (BreakAt(ConnectionLost("cable cut"), after_bytes=0), 0, ConnectionLost),
            (BreakAt(ConnectionLost("cable cut"), after_events=99), 4, QueryResult),  # too late
            (BreakAt(None, after_events=1), 1, IncompleteStream),
            (BreakAt(TimeoutError(), after_events=1), 1, IdleTimeout),
            (BreakAt(OSError("cable cut"), after_events=1), 1, ConnectionLost),
            (BreakAt(ConnectionLost("cable cut")), 0, ConnectionLost),
        ],
        ids=str,
    )
    def test_at_a_byte_or_an_event(
        self, fake: FakeServer, break_at: BreakAt, count: int, kind: type[Any]
    ) -> None:
        fake.answer(text="a b c", break_at=break_at)
        events, error = streamed(fake, timeouts=Timeouts(idle=1.0) if kind is IdleTimeout else None)
        assert (type(error), len(events)) == (kind, count)

    def test_a_whole_answer_breaks(self, fake: FakeServer) -> None:
        fake.answer(text="a b c", break_at=BreakAt(ConnectionLost(), after_bytes=10))
        fake.answer(text="a b c", break_at=BreakAt(None, after_bytes=10))
        fake.answer(text="a b c", fault="close")
        assert type(failed(fake)) is ConnectionLost
        assert type(failed(fake)) is IncompleteStream
        assert type(failed(fake)) is ConnectionLost

    def test_fragmentation(self, fake: FakeServer) -> None:
        fake.answer(text="a b c", times=None, fragmentation=Fragmentation.EACH_BYTE)
        answer = post(fake, "query", question="?", stream=True)
        assert texts(streamed(fake)[0]) == ["a", " b", " c"]
        sizes = {len(chunk) for chunk in raw_chunks(fake)}
        assert (sizes, answer.content[:6]) == ({1}, b"data: ")

    def test_a_pace(self, fake: FakeServer) -> None:
        fake.answer(text="a b", seconds=0.1, times=2)
        started = time.monotonic()
        streamed(fake)
        between = time.monotonic()
        whole(fake)
        assert between - started >= 0.3  # two deltas and the end
        assert time.monotonic() - between >= 0.1

    def test_the_pace_of_a_recording(self, fake: FakeServer) -> None:
        fake.answer(recording=in_seconds(30))
        fake.answer(recording=in_seconds(0.2), seconds=None)
        started = time.monotonic()
        post(fake, "query", question="?", stream=True)
        assert time.monotonic() - started < 30
        started = time.monotonic()
        post(fake, "query", question="?", stream=True)
        assert time.monotonic() - started >= 0.4

    def test_a_client_that_leaves(self, fake: FakeServer) -> None:
        fake.answer(text="a b", fault="stall@1", times=2)
        with client(fake) as moon:
            for _ in range(2):
                with moon.stream(QUERY) as stream:
                    assert next(stream) == TextDelta(text="a")
                fake.wait_until_left()
        with pytest.raises(TimeoutError, match="no client left its answer within 0.01 s"):
            fake.wait_until_left(0.01)
