"""Deadlines and retries of a client count on the clock of the replay."""

from __future__ import annotations

import pytest

from moondream_transports import (
    AsyncClient,
    AsyncRecordingTransport,
    AsyncReplayTransport,
    AsyncVirtualClock,
    Client,
    ReplayTransport,
    RetryPolicy,
    Timeouts,
    VirtualClock,
)
from sansio_moondream import (
    ConnectionLost,
    FirstEventTimeout,
    IdleTimeout,
    QueryResult,
    ServerError,
    TextDelta,
    TotalTimeout,
)
from sansio_moondream.recording import (
    Ending,
    Recording,
    RecordingHeader,
)
from tests.helpers import END, QUERY, delta
from tests.transports.adapters import Adapter
from tests.transports.replay.recordings import (
    ENDPOINT,
    NO_TIMEOUTS,
    WHOLE,
    Played,
    asked,
    each_loop,
    outcome,
    recorded,
)


class TestDeadlines:
    """Every timeout of a client, without waiting for it."""

    def test_idle(self) -> None:
        played = Played([WHOLE], timeouts=Timeouts(idle=1.5))
        with played.client.stream(QUERY) as stream:
            next(stream)
            with pytest.raises(IdleTimeout):
                next(stream)
        assert played.now == 3

    @pytest.mark.parametrize("limit", [0.25, 0.75], ids=["before the head", "after it"])
    def test_first_event(self, limit: float) -> None:
        played = Played([WHOLE], timeouts=Timeouts(first_event=limit))
        with pytest.raises(FirstEventTimeout):
            played.client.stream(QUERY).__enter__().result()
        assert played.now == limit

    def test_first_event_counts_all_waiting(self) -> None:
        dribble = recorded(*[(1, b": keep-alive\n\n")] * 100, (1, delta("A") + END))
        played = Played([dribble], timeouts=Timeouts(first_event=10))
        with pytest.raises(FirstEventTimeout):
            played.client.stream(QUERY).__enter__().result()
        assert played.now == 10

    def test_total(self) -> None:
        endless = recorded(*[(1, delta("A"))] * 1000, (1, END))
        played = Played([endless], timeouts=Timeouts(total=99))
        with pytest.raises(TotalTimeout) as caught:
            played.client.stream(QUERY).__enter__().result()
        assert played.now == 99
        assert isinstance(caught.value.partial, QueryResult)
        assert caught.value.partial.text == "A" * 98

    def test_speed_does_not_change_deadlines(self) -> None:
        assert len(outcome(Played([WHOLE], 2, Timeouts(idle=2)).client, QUERY)[0]) == 3
        assert "IdleTimeout" in outcome(Played([WHOLE], 2, Timeouts(idle=1.9)).client, QUERY)[1]

    def test_the_timeline_is_on_the_same_clock(self) -> None:
        played = Played([WHOLE])
        with played.client.stream(QUERY) as stream:
            stream.result()
        timeline = stream._exchange.timeline
        assert (
            timeline.opened_at,
            timeline.connected_at,
            timeline.head_at,
            timeline.first_event_at,
        ) == (0, 0, 0.5, 1.5)

    @pytest.mark.parametrize(("speed", "passed"), [(1.0, 21.5), (2.0, 20.75), (None, 0.0)])
    def test_silence_lasts_until_a_deadline(self, speed: float | None, passed: float) -> None:
        silent = recorded((1, delta("A")), ending=Ending(3, "TimeoutError"))
        played = Played([silent], speed, Timeouts(idle=20))
        events, error = outcome(played.client, QUERY)
        assert (events, played.now) == ([TextDelta("A")], passed)
        words = "for 20 seconds" if speed is not None else ": the transport gave up after 0 seconds"
        assert error.startswith(f"IdleTimeout('no byte came{' ' * (speed is not None)}{words} (")

    @pytest.mark.parametrize(
        ("timeouts", "kind"),
        [(Timeouts(first_event=5), "FirstEvent"), (Timeouts(first_event=None, total=5), "Total")],
    )
    @pytest.mark.parametrize("speed", [1.0, None])
    def test_silence_before_the_head(
        self, timeouts: Timeouts, kind: str, speed: float | None
    ) -> None:
        played = Played(
            [Recording(RecordingHeader.of(asked()), (), Ending(3, "TimeoutError"))], speed, timeouts
        )
        with pytest.raises(TimeoutError) as caught:
            played.client.stream(QUERY).__enter__()
        assert type(caught.value).__name__ == f"{kind}Timeout"
        assert played.now == (5 if speed else 0)

    def test_silence_without_a_deadline(self) -> None:
        played = Played([recorded(ending=Ending(3, "TimeoutError"))], timeouts=NO_TIMEOUTS)
        events, error = outcome(played.client, QUERY)
        assert (events, played.now) == ([], 3.5)
        assert error.startswith("ConnectionLost('the recording has only silence from here")
        stream = played.send(asked(), NO_TIMEOUTS)
        for _ in range(2):
            with pytest.raises(TimeoutError):
                stream.read(30)
        with pytest.raises(ConnectionLost):
            stream.read(None)


BUSY = Recording(
    RecordingHeader.of(asked(), 503, (("content-type", "application/json"), ("retry-after", "2"))),
    (),
    Ending(0),
)


class TestRetries:
    """Between two attempts a client waits by the transport's clock, so `total` counts that too."""

    def test_on_a_virtual_clock(self) -> None:
        transport = ReplayTransport([BUSY, BUSY, WHOLE], speed=None, clock=VirtualClock())
        began = transport.clock.monotonic()
        with Client(transport, ENDPOINT, retries=RetryPolicy()).stream(QUERY) as stream:
            assert stream.result().text == "A moon"
        assert 4 <= transport.clock.monotonic() - began < 4.5

    def test_the_total(self) -> None:
        transport = ReplayTransport([BUSY, BUSY, WHOLE], speed=None, clock=VirtualClock())
        client = Client(transport, ENDPOINT, retries=RetryPolicy(), timeouts=Timeouts(total=3))
        with client.stream(QUERY) as stream, pytest.raises(ServerError):
            stream.result()

    @each_loop
    def test_async(self, loop: Adapter) -> None:
        async def main() -> None:
            transport = AsyncReplayTransport([BUSY, WHOLE], speed=None, clock=AsyncVirtualClock())
            for wrapped in (transport, AsyncRecordingTransport(transport, lambda recording: None)):
                began = transport.clock.monotonic()
                async with AsyncClient(wrapped, ENDPOINT, retries=RetryPolicy()).stream(
                    QUERY
                ) as stream:
                    assert (await stream.result()).text == "A moon"
                assert 2 <= transport.clock.monotonic() - began < 2.5

        loop.run(main)
