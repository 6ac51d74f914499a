"""A replay that breaks on purpose: at a byte, at an event, or instead of the head."""

from __future__ import annotations

from typing import Any

import pytest

from moondream_transports import (
    BreakAt,
    Fragmentation,
    Timeouts,
)
from sansio_moondream import (
    ConnectError,
    ConnectionLost,
    IncompleteStream,
    MoondreamError,
    RemoteProtocolError,
    TextDelta,
)
from sansio_moondream.testing import record_ends, run
from tests.helpers import END, QUERY, delta
from tests.transports.replay.recordings import BODY, THREE_CHUNKS, Played, outcome, recorded


class TestFault:
    @pytest.mark.parametrize("fragmentation", [Fragmentation.AS_RECORDED, Fragmentation.EACH_BYTE])
    def test_at_each_byte(self, fragmentation: Fragmentation) -> None:
        for after in range(len(BODY) + 2):
            fault = BreakAt(RemoteProtocolError("broken framing"), after_bytes=after)
            seen = outcome(
                Played([THREE_CHUNKS], break_at=fault, fragmentation=fragmentation).client, QUERY
            )
            events, error, _ = run(QUERY, [BODY[:after]], ending=fault.error)
            assert seen == (events, "" if error is None else repr(error)), after

    @pytest.mark.parametrize("line_end", [b"\n", b"\r\n", b"\r"], ids=repr)
    @pytest.mark.parametrize("size", [1, 2, 3, 7, 1000])
    def test_at_an_event(self, line_end: bytes, size: int) -> None:
        body = (
            b": hello\n\n\n"
            + delta("A")
            + b": wait\n\n"
            + b"event: message\n"
            + delta(" moon")
            + delta(".")
            + END
        )
        body = body.replace(b"\n", line_end)
        chunks = [(0.0, body[at : at + size]) for at in range(0, len(body), size)]
        for count, texts in enumerate([[], ["A"], ["A", " moon"], ["A", " moon", "."]]):
            fault = BreakAt(ConnectionLost("cable unplugged"), after_events=count)
            events, error = outcome(Played([recorded(*chunks)], break_at=fault).client, QUERY)
            assert events == [TextDelta(text) for text in texts]
            assert error.startswith("ConnectionLost('cable unplugged")
            read = b"".join(
                data
                for _, data in Played(
                    [recorded(*chunks)], break_at=BreakAt(None, after_events=count)
                ).chunks()
            )
            assert read.endswith((line_end, line_end[:1])) or count == 0
        assert (
            outcome(
                Played(
                    [recorded(*chunks)], break_at=BreakAt(ConnectionLost("x"), after_events=4)
                ).client,
                QUERY,
            )[1]
            == ""
        )

    def test_at_an_event_is_at_its_byte(self) -> None:
        for count, offset in enumerate(record_ends(BODY), 1):
            read = Played(
                [THREE_CHUNKS],
                break_at=BreakAt(None, after_events=count),
                fragmentation=Fragmentation.EACH_BYTE,
            ).chunks()
            assert len(read) == offset

    def test_instead_of_the_head(self) -> None:
        played = Played([THREE_CHUNKS, THREE_CHUNKS], break_at=BreakAt(ConnectError("refused")))
        with pytest.raises(ConnectError, match="refused"):
            played.client.stream(QUERY).__enter__()
        assert played.now == 0.5

    def test_silence(self) -> None:
        played = Played(
            [THREE_CHUNKS],
            break_at=BreakAt(TimeoutError(), after_events=1),
            timeouts=Timeouts(idle=30),
        )
        events, error = outcome(played.client, QUERY)
        assert (events, error[:11], played.now) == (
            [TextDelta("A")],
            "IdleTimeout",
            0.5 + 1 + 2 + 4 + 30,
        )

    def test_an_early_end(self) -> None:
        events, error = outcome(
            Played([THREE_CHUNKS], break_at=BreakAt(None, after_events=2)).client, QUERY
        )
        assert (len(events), error[:16]) == (2, "IncompleteStream")
        assert issubclass(IncompleteStream, MoondreamError)

    def test_behind_the_end(self) -> None:
        assert (
            Played([THREE_CHUNKS], break_at=BreakAt(None, after_events=9)).chunks()
            == Played([THREE_CHUNKS]).chunks()
        )

    @pytest.mark.parametrize(
        "wrong",
        [
            {"after_bytes": 1, "after_events": 1},
            {"after_bytes": -1},
            {"after_events": -1},
            {"error": None},
        ],
    )
    def test_plans_that_are_none(self, wrong: dict[str, Any]) -> None:
        with pytest.raises(ValueError, match="a break should have|a break at the head"):
            BreakAt(**{"error": ConnectionLost()} | wrong)
