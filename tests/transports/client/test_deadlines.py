"""The deadlines of an exchange, on the clock of the transport."""

from __future__ import annotations

import pytest

from moondream_transports import Timeouts
from sansio_moondream import (
    ConnectTimeout,
    FirstEventTimeout,
    IdleTimeout,
    MoondreamError,
    ServerError,
    TotalTimeout,
)
from tests.helpers import CAPTION, QUERY, delta
from tests.transports.fakes import (
    EVENTS,
    WHOLE,
    FakeStream,
    TimedFakeStream,
    client,
)


class TestDeadlines:
    def timeouts_seen(
        self, transport: FakeStream, timeouts: Timeouts
    ) -> tuple[type[MoondreamError], str]:
        """Read to the end. Return the class and the message of the timeout."""
        with pytest.raises(TimeoutError) as caught:
            client(transport, timeouts).stream(CAPTION).__enter__().result()
        assert isinstance(caught.value, MoondreamError)
        assert isinstance(caught.value.__cause__, TimeoutError)
        assert not transport.requests or transport.closed or transport.refuses
        return type(caught.value), str(caught.value)

    def test_first_event(self) -> None:
        kind, message = self.timeouts_seen(
            FakeStream(b": comment\n\n", TimeoutError()), Timeouts(first_event=3)
        )
        assert (kind, "3 seconds" in message, "Timeouts.first_event" in message) == (
            FirstEventTimeout,
            True,
            True,
        )

    def test_first_event_before_the_head(self) -> None:
        kind, message = self.timeouts_seen(
            FakeStream(refuses=TimeoutError()), Timeouts(first_event=3)
        )
        assert (kind, "3 seconds" in message) == (FirstEventTimeout, True)

    def test_first_event_counts_from_the_connection(self) -> None:
        transport = TimedFakeStream(TimeoutError(), connected_at=-2)
        self.timeouts_seen(transport, Timeouts(first_event=3))
        assert transport.reads == [1]

    def test_first_event_is_over_before_the_first_read(self) -> None:
        transport = TimedFakeStream(connected_at=-9)
        assert self.timeouts_seen(transport, Timeouts(first_event=3))[0] is FirstEventTimeout
        assert transport.reads == []

    def test_idle(self) -> None:
        transport = FakeStream(delta("A"), b": comment\n\n", TimeoutError())
        kind, message = self.timeouts_seen(transport, Timeouts(idle=3))
        assert (kind, "3 seconds" in message) == (IdleTimeout, True)
        assert transport.reads[1:] == [3, 3]

    def test_idle_in_the_body_of_an_error(self) -> None:
        transport = FakeStream(b"sorry", TimeoutError(), status_code=500)
        with pytest.raises(ServerError, match="sorry") as caught:
            client(transport, Timeouts(idle=3)).send(QUERY)
        assert isinstance(caught.value.__cause__, IdleTimeout)
        assert transport.reads == [3, 3]

    def test_total(self) -> None:
        transport = TimedFakeStream(delta("A"), TimeoutError())
        kind, message = self.timeouts_seen(transport, Timeouts(idle=5, total=4))
        assert (kind, "4 seconds" in message) == (TotalTimeout, True)
        assert transport.reads[1] == 4

    def test_total_is_over_before_a_read(self) -> None:
        def late() -> bytes:
            transport.clock.sleep(5)
            return delta("A")

        transport = TimedFakeStream(late)
        assert self.timeouts_seen(transport, Timeouts(total=5))[0] is TotalTimeout
        assert transport.reads == [5]

    def test_total_bounds_what_the_transport_is_given(self) -> None:
        transport = FakeStream(*WHOLE)
        client(transport, Timeouts(connect=7, first_event=None, idle=2, total=5)).send(QUERY)
        assert transport.timeouts == Timeouts(connect=5, first_event=5, idle=2, total=5)

    def test_total_before_the_connection(self) -> None:
        assert (
            self.timeouts_seen(FakeStream(refuses=ConnectTimeout("slow")), Timeouts(total=1e-9))[0]
            is TotalTimeout
        )

    def test_connect(self) -> None:
        refusal = ConnectTimeout("no connection")
        with pytest.raises(ConnectTimeout) as caught:
            client(FakeStream(refuses=refusal)).send(QUERY)
        assert caught.value is refusal

    def test_none_waits_for_ever(self) -> None:
        transport = FakeStream(*WHOLE)
        client(transport, Timeouts(None, None, None, None)).send(QUERY)
        assert transport.reads[:3] == [None] * 3

    def test_the_time_of_a_slow_reader_does_not_count(self) -> None:
        transport = TimedFakeStream(*WHOLE, connected_at=0)
        with client(transport, Timeouts(first_event=3, idle=3)).stream(QUERY) as stream:
            transport.clock.sleep(5)
            assert next(stream) == EVENTS[0]
            transport.clock.sleep(5)
            assert next(stream) == EVENTS[1]
            assert transport.reads == [3, 3]

    @pytest.mark.parametrize("wrong", [0, -1, float("nan")])
    def test_values(self, wrong: float) -> None:
        with pytest.raises(ValueError, match="idle should be a number of seconds above 0"):
            Timeouts(idle=wrong)
