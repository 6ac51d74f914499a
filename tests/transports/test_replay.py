"""ReplayTransport: as recorded, or faster, and never anything else."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest

from moondream_transports import AsyncClient, AsyncReplayTransport, Client, NoRecording, ReplayTransport, Timeouts
from sansio_moondream import (
    Completed,
    ConnectFailed,
    ConnectionLost,
    Endpoint,
    FirstEventTimeout,
    IdleTimeout,
    MoondreamError,
    QueryResult,
    RateLimitError,
    TextDelta,
)
from sansio_moondream.recording import Ending, Piece, Recording, RecordingHeader
from tests.helpers import CAPTION, END, QUERY, TRACES, Trace, delta

from .drivers import Driver, never

ENDPOINT = Endpoint(url="http://localhost:2020/v1")
HEAD = (("content-type", "text/event-stream"),)


def recorded(*pieces: tuple[float, bytes], ending: Ending | None = None, skill: str = "query", seconds: float = 0.5) -> Recording:
    header = RecordingHeader("POST", f"/v1/{skill}", (), {}, 200, HEAD, seconds)
    return Recording(header, tuple(Piece(*piece) for piece in pieces), ending or Ending(0.25))


WHOLE = recorded((1, delta("A")), (2, delta(" moon")), (4, END))


class Clock(list[float]):
    """Notes how long it was asked to sleep."""

    @property
    def now(self) -> float:
        return sum(self)


def replay(recordings: Iterable[Recording], clock: Clock, speed: float | None = 1.0, timeouts: Timeouts | None = None) -> Client:
    return Client(ReplayTransport(recordings, speed=speed, sleep=clock.append), ENDPOINT, timeouts=timeouts)


@pytest.mark.parametrize(("speed", "times"), [(1.0, [1.5, 3.5, 7.5]), (2.0, [0.75, 1.75, 3.75]), (None, [0, 0, 0])])
def test_pace(speed: float | None, times: list[float]) -> None:
    clock = Clock()
    with replay([WHOLE], clock, speed).stream(QUERY) as stream:
        assert [(event.text if isinstance(event, TextDelta) else "", clock.now) for event in stream] == list(
            zip(["A", " moon", ""], times, strict=True)
        )


@pytest.mark.parametrize("trace", TRACES, ids=[trace.name for trace in TRACES])
def test_captured_responses_as_they_were(trace: Trace) -> None:
    """Replayed, they come to what the decoder makes of the same bytes."""
    header = RecordingHeader("POST", f"/v1/{trace.request.skill}", (), {}, trace.status_code, tuple(trace.headers))
    ending = Ending(0) if trace.ending is None else Ending(0, "ConnectionLost", str(trace.ending))
    client = replay([Recording(header, tuple(Piece(0, piece) for piece in trace.pieces), ending)], Clock())
    assert outcome(client, trace.request) == expected(trace)


def outcome(client: Client, request: Any) -> tuple[list[Any], str]:
    events: list[Any] = []
    try:
        with client.stream(request) as stream:
            events.extend(stream)
    except MoondreamError as error:
        return events, repr(error)
    return events, ""


def expected(trace: Trace) -> tuple[list[Any], str]:
    from sansio_moondream.testing import run

    events, error, _ = run(trace.request, trace.pieces, ending=trace.ending, status_code=trace.status_code, headers=trace.headers)
    return events, "" if error is None else repr(error)


def test_faults() -> None:
    broken = recorded((0, delta("A")), ending=Ending(1, "ConnectionLost", "peer reset"))
    clock = Clock()
    with replay([broken], clock).stream(QUERY) as stream:
        assert next(stream) == TextDelta("A")
        with pytest.raises(ConnectionLost, match="peer reset"):
            next(stream)
    assert clock.now == 1.5


def test_no_connection() -> None:
    refused = Recording(RecordingHeader("POST", "/v1/query"), (), Ending(2, "ConnectFailed", "refused"))
    clock = Clock()
    with pytest.raises(ConnectFailed, match="refused"):
        replay([refused], clock).send(QUERY)
    assert clock.now == 2


def test_error_answer() -> None:
    header = RecordingHeader("POST", "/v1/query", (), {}, 429, (("retry-after", "3"),))
    with pytest.raises(RateLimitError) as caught:
        replay([Recording(header, (), Ending(0))], Clock()).send(QUERY)
    assert caught.value.retry_after == 3


def test_timeouts() -> None:
    clock = Clock()
    with replay([WHOLE], clock, timeouts=Timeouts(idle=1.5)).stream(QUERY) as stream:
        next(stream)
        with pytest.raises(IdleTimeout):
            next(stream)
    assert clock.now == 3
    for limit in (0.25, 0.75):  # before the head, and after it
        with pytest.raises(FirstEventTimeout):
            replay([WHOLE], Clock(), timeouts=Timeouts(first_event=limit)).stream(QUERY).__enter__().result()
    assert replay([WHOLE], Clock(), speed=2, timeouts=Timeouts(idle=3)).send(QUERY).text == "A moon"


def test_what_is_left_of_a_wait_is_waited_for_next_time() -> None:
    clock = Clock()
    stream = ReplayTransport([WHOLE], sleep=clock.append).send(QUERY.to_http(ENDPOINT), Timeouts())
    with pytest.raises(TimeoutError):
        stream.read(0.75)
    assert (stream.read(None), clock) == (delta("A"), [0.5, 0.75, 0.25])


def test_the_end_is_the_end() -> None:
    stream = ReplayTransport([recorded()], speed=None).send(QUERY.to_http(ENDPOINT), Timeouts())
    assert [stream.read(None), stream.read(None)] == [b"", b""]
    stream.close()


def test_takes_turns() -> None:
    one, other = recorded((0, delta("one") + END)), recorded((0, delta("other") + END))
    caption = recorded((0, delta("caption") + END), skill="caption")
    client = replay([one, caption, other], Clock())
    assert [client.send(QUERY).text for _ in range(3)] == ["one", "other", "one"]
    assert client.send(CAPTION).text == "caption"


def test_no_recording() -> None:
    with pytest.raises(NoRecording, match="skill query.*there are recordings of: caption, segment"):
        replay([recorded(skill="segment"), recorded(skill="caption")], Clock()).send(QUERY)
    with pytest.raises(NoRecording, match="none at all"):
        replay([], Clock()).send(QUERY)


@pytest.mark.parametrize("speed", [0, -1])
def test_speed(speed: float) -> None:
    with pytest.raises(ValueError, match="above 0"):
        ReplayTransport([], speed=speed)


def test_real_time() -> None:
    quick = recorded((0.001, delta("A")), (0.001, END), seconds=0.001)
    assert [type(event) for event in Client(ReplayTransport([quick]), ENDPOINT).stream(QUERY).__enter__()] == [TextDelta, Completed]


@pytest.mark.parametrize("loop", [Driver(name, name, never) for name in ("asyncio", "trio")], ids=lambda loop: loop.name)
class TestAsync:
    """AsyncReplayTransport has the same recordings, pace and endings; only its waiting is another."""

    def test_captured_responses_as_they_were(self, loop: Driver) -> None:
        async def main() -> None:
            for trace in TRACES:
                header = RecordingHeader("POST", f"/v1/{trace.request.skill}", (), {}, trace.status_code, tuple(trace.headers))
                ending = Ending(0) if trace.ending is None else Ending(0, "ConnectionLost", str(trace.ending))
                recording = Recording(header, tuple(Piece(0, piece) for piece in trace.pieces), ending)
                events: list[Any] = []
                error = ""
                try:
                    async with AsyncClient(AsyncReplayTransport([recording], speed=None), ENDPOINT).stream(trace.request) as stream:
                        async for event in stream:
                            events.append(event)
                except MoondreamError as caught:
                    error = repr(caught)
                assert (events, error) == expected(trace)

        loop.run(main)

    def test_pace_and_timeouts(self, loop: Driver) -> None:
        async def main() -> None:
            clock = Clock()

            async def sleep(seconds: float) -> None:
                clock.append(seconds)

            async with AsyncClient(AsyncReplayTransport([WHOLE], speed=2, sleep=sleep), ENDPOINT).stream(QUERY) as stream:
                assert [(type(event), clock.now) async for event in stream] == [(TextDelta, 0.75), (TextDelta, 1.75), (Completed, 3.75)]
            slow = AsyncClient(AsyncReplayTransport([WHOLE], sleep=sleep), ENDPOINT, timeouts=Timeouts(idle=1.5))
            with pytest.raises(IdleTimeout) as caught:
                await slow.send(QUERY)
            assert isinstance(caught.value.partial, QueryResult)
            assert caught.value.partial.text == "A"
            refused = Recording(RecordingHeader("POST", "/v1/query"), (), Ending(2, "ConnectFailed", "refused"))
            with pytest.raises(ConnectFailed, match="refused"):
                await AsyncClient(AsyncReplayTransport([refused], sleep=sleep), ENDPOINT).send(QUERY)
            with pytest.raises(NoRecording):
                await AsyncClient(AsyncReplayTransport([]), ENDPOINT).send(QUERY)
            with pytest.raises(ValueError, match="above 0"):
                AsyncReplayTransport([], speed=0)

        loop.run(main)

    def test_real_time(self, loop: Driver) -> None:
        async def main() -> None:
            quick = recorded((0.001, delta("A")), (0.001, END), seconds=0.001)
            async with AsyncClient(AsyncReplayTransport([quick]), ENDPOINT).stream(QUERY) as stream:
                assert [type(event) async for event in stream] == [TextDelta, Completed]

        loop.run(main)
