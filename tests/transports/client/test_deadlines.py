"""The deadlines of an exchange, on the clock of the transport."""

from __future__ import annotations

import pytest

from moondream_transports import Timeouts
from sansio_moondream import (
    ConnectTimeout,
    FirstEventTimeout,
    HTTPRequest,
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
    Step,
    TimedFakeStream,
    client,
)


def silent(*steps: Step, seconds: float) -> TimedFakeStream:
    """A transport that gives up when so many seconds passed after the steps."""

    def give_up() -> bytes:
        transport.clock.sleep(seconds)
        raise TimeoutError

    transport = TimedFakeStream(*steps, give_up)
    return transport


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
        return type(caught.value), caught.value.message

    def test_first_event(self) -> None:
        transport = silent(b": comment\n\n", seconds=3)
        assert self.timeouts_seen(transport, Timeouts(first_event=3)) == (
            FirstEventTimeout,
            "no event came within 3 seconds of the connection (Timeouts.first_event)",
        )

    def test_first_event_before_the_head(self) -> None:
        class SilentTransport(TimedFakeStream):
            def send(self, request: HTTPRequest, timeouts: Timeouts) -> FakeStream:
                self.clock.sleep(3)
                return super().send(request, timeouts)

        transport = SilentTransport()
        transport.refuses = TimeoutError()
        assert self.timeouts_seen(transport, Timeouts(first_event=3)) == (
            FirstEventTimeout,
            "no event came within 3 seconds of the connection (Timeouts.first_event)",
        )

    def test_first_event_counts_from_the_connection(self) -> None:
        transport = TimedFakeStream(TimeoutError(), connected_at=-2)
        self.timeouts_seen(transport, Timeouts(first_event=3))
        assert transport.reads == [1]

    def test_first_event_is_over_before_the_first_read(self) -> None:
        transport = TimedFakeStream(connected_at=-9)
        assert self.timeouts_seen(transport, Timeouts(first_event=3))[0] is FirstEventTimeout
        assert transport.reads == []

    def test_idle(self) -> None:
        transport = silent(delta("A"), b": comment\n\n", seconds=3)
        assert self.timeouts_seen(transport, Timeouts(idle=3)) == (
            IdleTimeout,
            "no byte came for 3 seconds (Timeouts.idle)",
        )
        assert transport.reads[1:] == [3, 3]

    def test_idle_in_the_body_of_an_error(self) -> None:
        transport = FakeStream(b"sorry", TimeoutError(), status_code=500)
        with pytest.raises(ServerError, match="sorry") as caught:
            client(transport, Timeouts(idle=3)).send(QUERY)
        assert isinstance(caught.value.__cause__, IdleTimeout)
        assert transport.reads == [3, 3]

    def test_total(self) -> None:
        transport = silent(delta("A"), seconds=4)
        assert self.timeouts_seen(transport, Timeouts(idle=5, total=4)) == (
            TotalTimeout,
            "the answer was not complete within 4 seconds (Timeouts.total)",
        )
        assert transport.reads[1] == 4

    @pytest.mark.parametrize(
        ("first", "seconds", "timeouts", "message", "field"),
        [
            (b": comment\n\n", 2.5, Timeouts(), "no event came", "first_event is 60"),
            (delta("A"), 29.9, Timeouts(), "no byte came", "idle is 30"),
            (delta("A"), 1.234, Timeouts(idle=None, total=None), "no byte came", "idle is None"),
            (delta("A"), 6, Timeouts(total=19), "the answer was not complete", "total is 19"),
        ],
    )
    def test_transport_that_gives_up_early(
        self, first: bytes, seconds: float, timeouts: Timeouts, message: str, field: str
    ) -> None:
        def slow() -> bytes:
            transport.clock.sleep(2)
            return first

        transport = silent(slow, seconds=seconds)
        waited = seconds if field.startswith("idle") else 2 + seconds
        assert self.timeouts_seen(transport, timeouts)[1] == (
            f"{message}: the transport gave up after {round(waited, 2):g} seconds"
            f" (Timeouts.{field})"
        )

    def test_timer_that_is_a_little_early(self) -> None:
        transport = silent(delta("A"), seconds=29.96)
        assert self.timeouts_seen(transport, Timeouts())[1].startswith("no byte came for 30 sec")

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
