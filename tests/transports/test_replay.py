"""ReplayTransport and its async twin: as recorded, or faster, cut otherwise, broken on purpose, and
never anything else.
"""

from __future__ import annotations

import pickle
import socket
import sys
import threading
import time
import tracemalloc
from pathlib import Path
from typing import Any

import pytest

from moondream_transports import (
    AsyncClient,
    AsyncRecordingTransport,
    AsyncReplayTransport,
    AsyncVirtualClock,
    BreakAt,
    Client,
    Fragmentation,
    NoRecording,
    ReplayTransport,
    RetryPolicy,
    Timeouts,
    VirtualClock,
)
from moondream_transports.replay import play
from sansio_moondream import (
    Completed,
    ConnectError,
    ConnectionLost,
    Endpoint,
    FirstEventTimeout,
    HTTPRequest,
    IdleTimeout,
    IncompleteStream,
    MoondreamError,
    QueryRequest,
    QueryResult,
    RateLimitError,
    RemoteProtocolError,
    ServerError,
    TextDelta,
    TotalTimeout,
)
from sansio_moondream.recording import (
    Chunk,
    Ending,
    Match,
    Recording,
    RecordingError,
    RecordingHeader,
    encode_line,
)
from sansio_moondream.testing import record_ends, run
from tests.helpers import CAPTION, END, QUERY, TRACES, Trace, delta

from .adapters import Adapter, never

ENDPOINT = Endpoint(url="http://localhost:2020/v1")
HEAD = (("content-type", "text/event-stream"),)
FOR_EVER = Timeouts(connect=None, first_event=None, idle=None, total=None)


def asked(request: Any = QUERY, **options: Any) -> HTTPRequest:
    http: HTTPRequest = request.to_http(ENDPOINT, **options)
    return http


def recorded(
    *chunks: tuple[float, bytes],
    ending: Ending | None = None,
    request: Any = QUERY,
    seconds: float = 0.5,
) -> Recording:
    header = RecordingHeader.of(asked(request), 200, HEAD, seconds=seconds)
    return Recording(header, tuple(Chunk(*chunk) for chunk in chunks), ending or Ending(0.25))


def of_trace(trace: Trace) -> Recording:
    header = RecordingHeader.of(asked(trace.request), trace.status_code, trace.headers)
    ending = Ending(0) if trace.ending is None else Ending(0, "ConnectionLost", str(trace.ending))
    return Recording(header, tuple(Chunk(0, chunk) for chunk in trace.chunks), ending)


WHOLE = recorded((1, delta("A")), (2, delta(" moon")), (4, END))


class Played(ReplayTransport):
    """A transport on a clock of its own, and a client for it."""

    def __init__(
        self,
        recordings: Any,
        speed: float | None = 1.0,
        timeouts: Timeouts | None = None,
        **options: Any,
    ) -> None:
        super().__init__(recordings, speed, clock=VirtualClock(), **options)
        self.client = Client(self, ENDPOINT, timeouts=timeouts)

    @property
    def now(self) -> float:
        return self.clock.monotonic()

    def chunks(
        self, request: Any = QUERY, into: list[tuple[float, bytes]] | None = None
    ) -> list[tuple[float, bytes]]:
        """Everything of an exchange, and when: seconds since the head."""
        stream = self.send(asked(request), FOR_EVER)
        began = self.now
        read = [] if into is None else into
        try:
            while data := stream.read(None):
                read.append((self.now - began, data))
        finally:
            stream.close()
        return read


def outcome(client: Client, request: Any) -> tuple[list[Any], str]:
    events: list[Any] = []
    try:
        with client.stream(request) as stream:
            events.extend(stream)
    except MoondreamError as error:
        return events, repr(error)
    return events, ""


def text_of(client: Client, request: Any = QUERY) -> str:
    with client.stream(request) as stream:
        return "".join(stream.text())


def expected(trace: Trace) -> tuple[list[Any], str]:
    events, error, _ = run(
        trace.request,
        trace.chunks,
        ending=trace.ending,
        status_code=trace.status_code,
        headers=trace.headers,
    )
    return events, "" if error is None else repr(error)


class TestPace:
    @pytest.mark.parametrize(
        ("speed", "times"), [(1.0, [1.5, 3.5, 7.5]), (2.0, [0.75, 1.75, 3.75]), (None, [0, 0, 0])]
    )
    def test_speeds(self, speed: float | None, times: list[float]) -> None:
        played = Played([WHOLE], speed)
        with played.client.stream(QUERY) as stream:
            seen = [
                (event.text if isinstance(event, TextDelta) else "", played.now) for event in stream
            ]
        assert seen == list(zip(["A", " moon", ""], times, strict=True))

    @pytest.mark.parametrize("speed", [0, -1])
    def test_speeds_that_are_none(self, speed: float) -> None:
        with pytest.raises(ValueError, match="above 0"):
            ReplayTransport([], speed=speed)

    def test_real_time(self) -> None:
        began = time.monotonic()
        quick = recorded((0.01, delta("A")), (0.01, END), seconds=0.01)
        assert outcome(Client(ReplayTransport([quick]), ENDPOINT), QUERY)[1] == ""
        assert time.monotonic() - began >= 0.03

    def test_what_is_left_of_a_wait_is_waited_for_next_time(self) -> None:
        played = Played([WHOLE])
        stream = played.send(asked(), Timeouts())
        with pytest.raises(TimeoutError):
            stream.read(0.75)
        assert played.now == 1.25
        assert stream.read(None) == delta("A")
        assert played.now == 1.5


class TestEndings:
    @pytest.mark.parametrize("trace", TRACES, ids=[trace.name for trace in TRACES])
    @pytest.mark.parametrize("cut", [Fragmentation.AS_RECORDED, Fragmentation.AT_RANDOM])
    def test_captured_responses_as_they_were(self, trace: Trace, cut: Fragmentation) -> None:
        """Replayed, they come to what the decoder makes of the same bytes."""
        assert outcome(
            Played([of_trace(trace)], fragmentation=cut, match=Match.SKILL).client, trace.request
        ) == expected(trace)

    def test_faults(self) -> None:
        played = Played(
            [recorded((0, delta("A")), ending=Ending(1, "ConnectionLost", "peer reset"))]
        )
        with played.client.stream(QUERY) as stream:
            assert next(stream) == TextDelta("A")
            with pytest.raises(ConnectionLost, match="peer reset"):
                next(stream)
        assert played.now == 1.5

    def test_no_connection(self) -> None:
        played = Played(
            [Recording(RecordingHeader.of(asked()), (), Ending(2, "ConnectError", "refused"))]
        )
        with pytest.raises(ConnectError, match="refused"):
            played.client.stream(QUERY).__enter__()
        assert played.now == 2

    def test_error_answer(self) -> None:
        header = RecordingHeader.of(asked(stream=False), 429, {"Retry-After": "3"})
        with pytest.raises(RateLimitError) as caught:
            Played([Recording(header, (), Ending(0))]).client.send(QUERY)
        assert caught.value.retry_after == 3

    def test_the_end_is_the_end(self) -> None:
        stream = ReplayTransport([recorded()], speed=None).send(asked(), Timeouts())
        assert [stream.read(None), stream.read(None)] == [b"", b""]
        stream.close()

    def test_each_error_is_a_new_one(self) -> None:
        played = Played(
            [recorded(ending=Ending(0, "ConnectionLost", "peer reset"))],
            break_at=BreakAt(ConnectionLost("mine"), after_bytes=9),
        )
        errors: list[Exception] = []
        for _ in range(2):
            with pytest.raises(ConnectionLost, match="mine") as caught:
                played.chunks()
            errors.append(caught.value)
        assert errors[0] is not errors[1]

    def test_reading_past_where_somebody_left(self) -> None:
        events, error = outcome(
            Played([recorded((0, delta("A")), ending=Ending(0, "left"))]).client, QUERY
        )
        assert events == [TextDelta("A")]
        assert error.startswith("ConnectionLost('the recording ends here")
        complete = recorded((0, delta("A") + END), ending=Ending(0, "left"))
        assert outcome(Played([complete]).client, QUERY)[1] == ""

    def test_closing_ends_it(self) -> None:
        stream = ReplayTransport([WHOLE], speed=None).send(asked(), Timeouts())
        stream.close()
        stream.close()
        with pytest.raises(ConnectionLost, match="closed"):
            stream.read(None)


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
        assert error.startswith("IdleTimeout('no byte came for 20 seconds")

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
        played = Played([recorded(ending=Ending(3, "TimeoutError"))], timeouts=FOR_EVER)
        events, error = outcome(played.client, QUERY)
        assert (events, played.now) == ([], 3.5)
        assert error.startswith("ConnectionLost('the recording has only silence from here")
        stream = played.send(asked(), FOR_EVER)
        for _ in range(2):
            with pytest.raises(TimeoutError):
                stream.read(30)
        with pytest.raises(ConnectionLost):
            stream.read(None)


class TestMatching:
    def test_takes_turns(self) -> None:
        one, other = recorded((0, delta("one") + END)), recorded((0, delta("other") + END))
        caption = recorded((0, delta("caption") + END), request=CAPTION)
        client = Played([one, caption, other]).client
        assert [text_of(client) for _ in range(3)] == ["one", "other", "one"]
        assert text_of(client, CAPTION) == "caption"

    def test_once(self) -> None:
        played = Played([WHOLE, WHOLE], once=True)
        assert played.unused == (WHOLE, WHOLE)
        for left in (1, 0):
            played.chunks()
            assert len(played.unused) == left
        with pytest.raises(
            NoRecording, match=r"all matching recordings \(2\) were played, each once"
        ):
            played.chunks()

    def test_levels(self) -> None:
        other = QueryRequest(question="Why?")
        assert Played([WHOLE], match=Match.SKILL).chunks(other)
        with pytest.raises(NoRecording) as caught:
            Played([WHOLE], match=Match.ANY_IMAGE).chunks(other)
        assert str(caught.value) == (
            "no recording answers POST /v1/query (match: any-image); the nearest is <Recording POST /v1/query: 200, 3 chunks, eof>, where"
            "\n  question: recorded 'What is in this image?', asked 'Why?'"
        )

    def test_the_key_and_the_host_do_not_matter(self) -> None:
        http = QUERY.to_http(Endpoint("https://api.moondream.test/v1", api_key="secret"))
        assert Played([WHOLE]).send(http, Timeouts()).status_code == 200

    def test_misses_are_remembered(self) -> None:
        played = Played([])
        assert not played.misses
        with pytest.raises(NoRecording, match="there are no recordings") as caught:
            played.client.send(QUERY)
        assert played.misses == (caught.value,)

    def test_a_miss_tells_no_secret_and_reaches_no_network(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def no_network(*args: Any, **kwargs: Any) -> Any:
            raise AssertionError("a replay reached for the network")

        for name in ("socket", "create_connection", "getaddrinfo"):
            monkeypatch.setattr(socket, name, no_network)
        client = Client(ReplayTransport([WHOLE], speed=None), Endpoint(api_key="k3y-s3cret"))
        with pytest.raises(NoRecording) as caught:
            client.query(
                question="is k3y-s3cret right?", image=b"GIF89a\x01\x00\x01\x00\x00\x00\x00;"
            )
        assert "k3y-s3cret" not in str(caught.value)
        assert "asked 'is ********** right?'" in str(caught.value)
        assert "R0lGOD" not in str(caught.value)
        assert outcome(client, QUERY)[1] == ""

    def test_threads_take_each_recording_once(self) -> None:
        recordings = [recorded((0, delta(str(number)) + END)) for number in range(40)]
        client = Client(ReplayTransport(recordings, speed=None, once=True), ENDPOINT)
        texts: list[str] = []

        def ask() -> None:
            texts.extend(text_of(client) for _ in range(10))

        threads = [threading.Thread(target=ask) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(map(int, texts)) == list(range(40))


BODY = delta("A") + delta(" moon") + END
CUT = recorded((1, BODY[:10]), (2, BODY[10:50]), (4, BODY[50:]), ending=Ending(8))


def sizes(played: list[tuple[float, bytes]]) -> list[int]:
    return [len(data) for _, data in played]


class TestFragmentation:
    @pytest.mark.parametrize("trace", TRACES, ids=[trace.name for trace in TRACES])
    @pytest.mark.parametrize(
        "cut", [*Fragmentation, (), (1, 2, 3), range(0, 10_000, 7), {5, 10_000_000, -1, 0}], ids=str
    )
    def test_the_bytes_stay(self, trace: Trace, cut: Any) -> None:
        recording = of_trace(Trace(**vars(trace) | {"ending": None}))
        assert (
            b"".join(
                data for _, data in Played([recording], fragmentation=cut).chunks(trace.request)
            )
            == trace.body
        )

    def test_as_recorded(self) -> None:
        assert Played([CUT]).chunks() == [(1, BODY[:10]), (3, BODY[10:50]), (7, BODY[50:])]

    def test_whole_comes_at_the_end(self) -> None:
        assert Played([CUT], fragmentation=Fragmentation.WHOLE).chunks() == [(15, BODY)]

    def test_byte_by_byte_at_their_times(self) -> None:
        times = [1.0] * 10 + [3.0] * 40 + [7.0] * (len(BODY) - 50)
        assert Played([CUT], fragmentation=Fragmentation.EACH_BYTE).chunks() == [
            (now, BODY[at : at + 1]) for at, now in enumerate(times)
        ]

    def test_at_offsets(self) -> None:
        assert Played([CUT], fragmentation=[60, 5]).chunks() == [
            (1, BODY[:5]),
            (7, BODY[5:60]),
            (15, BODY[60:]),
        ]
        assert Played([CUT], fragmentation=[len(BODY)]).chunks() == [(7, BODY)]

    def test_chunks_of_a_size(self) -> None:
        assert Played([CUT], fragmentation=60).chunks() == [
            (7, BODY[:60]),
            (7, BODY[60:120]),
            (15, BODY[120:]),
        ]
        for size in (0, -1):
            with pytest.raises(ValueError, match="size of the chunks should be above 0"):
                ReplayTransport([CUT], fragmentation=size)

    def test_one_recording_by_itself(self) -> None:
        player = play(CUT, 2.0, fragmentation=60)
        assert player.wait(None) == 0.25
        assert player.head()[0] == 200
        played = [(player.wait(None), player.read()) for _ in range(4)]
        assert played == [(3.5, BODY[:60]), (0.0, BODY[60:120]), (4.0, BODY[120:]), (0.0, b"")]

    def test_at_random_the_same_seed_gives_the_same_run_to_the_byte(self) -> None:
        long = recorded((1, BODY * 1000), (1, BODY * 1000))
        runs = [
            [
                Played([long], fragmentation=Fragmentation.AT_RANDOM, seed=seed).chunks()
                for _ in range(2)
            ]
            for seed in (1, 2)
        ]
        assert [one for one, _ in runs] == [other for _, other in runs]
        assert runs[0] != runs[1]
        played = Played([long], fragmentation=Fragmentation.AT_RANDOM, seed=1)
        assert played.chunks() == runs[0][0]
        assert played.chunks() != runs[0][0]  # each exchange of a run has cuts of its own
        # And on another day, in another process:
        assert sizes(runs[0][0])[:6] == [22, 152, 183, 25, 1, 89]

    def test_faults_stay_behind_their_bytes(self) -> None:
        broken = recorded(
            (1, BODY[:10]), (2, BODY[10:50]), ending=Ending(4, "ConnectionLost", "peer reset")
        )
        for cut in Fragmentation:
            read: list[tuple[float, bytes]] = []
            with pytest.raises(ConnectionLost, match="peer reset"):
                Played([broken], fragmentation=cut).chunks(into=read)
            assert b"".join(data for _, data in read) == BODY[:50]


class TestFault:
    @pytest.mark.parametrize("after", range(len(BODY) + 2))
    @pytest.mark.parametrize("cut", [Fragmentation.AS_RECORDED, Fragmentation.EACH_BYTE])
    def test_at_a_byte(self, after: int, cut: Fragmentation) -> None:
        fault = BreakAt(RemoteProtocolError("broken framing"), after_bytes=after)
        seen = outcome(Played([CUT], break_at=fault, fragmentation=cut).client, QUERY)
        events, error, _ = run(QUERY, [BODY[:after]], ending=fault.error)
        assert seen == (events, "" if error is None else repr(error))

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
            fault = BreakAt(ConnectionLost("cable cut"), after_events=count)
            events, error = outcome(Played([recorded(*chunks)], break_at=fault).client, QUERY)
            assert events == [TextDelta(text) for text in texts]
            assert error.startswith("ConnectionLost('cable cut")
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
                [CUT],
                break_at=BreakAt(None, after_events=count),
                fragmentation=Fragmentation.EACH_BYTE,
            ).chunks()
            assert len(read) == offset

    def test_instead_of_the_head(self) -> None:
        played = Played([CUT, CUT], break_at=BreakAt(ConnectError("refused")))
        with pytest.raises(ConnectError, match="refused"):
            played.client.stream(QUERY).__enter__()
        assert played.now == 0.5

    def test_silence(self) -> None:
        played = Played(
            [CUT], break_at=BreakAt(TimeoutError(), after_events=1), timeouts=Timeouts(idle=30)
        )
        events, error = outcome(played.client, QUERY)
        assert (events, error[:11], played.now) == (
            [TextDelta("A")],
            "IdleTimeout",
            0.5 + 1 + 2 + 4 + 30,
        )

    def test_an_early_end(self) -> None:
        events, error = outcome(Played([CUT], break_at=BreakAt(None, after_events=2)).client, QUERY)
        assert (len(events), error[:16]) == (2, "IncompleteStream")
        assert issubclass(IncompleteStream, MoondreamError)

    def test_behind_the_end(self) -> None:
        assert (
            Played([CUT], break_at=BreakAt(None, after_events=9)).chunks() == Played([CUT]).chunks()
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


LOOPS = [Adapter(name, name, never) for name in ("asyncio", "trio")]


each_loop = pytest.mark.parametrize("loop", LOOPS, ids=lambda loop: loop.name)


@each_loop
class TestAsync:
    """AsyncReplayTransport has the same recordings, pace, cuts, faults and endings; only its
    waiting is another.
    """

    def test_captured_responses_as_they_were(self, loop: Adapter) -> None:
        async def main() -> None:
            for trace in TRACES:
                transport = AsyncReplayTransport(
                    [of_trace(trace)],
                    speed=None,
                    match=Match.SKILL,
                    fragmentation=Fragmentation.AT_RANDOM,
                )
                events: list[Any] = []
                error = ""
                try:
                    async with AsyncClient(transport, ENDPOINT).stream(trace.request) as stream:
                        async for event in stream:
                            events.append(event)
                except MoondreamError as caught:
                    error = repr(caught)
                assert (events, error) == expected(trace)

        loop.run(main)

    def test_pace_and_timeouts(self, loop: Adapter) -> None:
        async def main() -> None:
            transport = AsyncReplayTransport([WHOLE], speed=2, clock=AsyncVirtualClock())
            async with AsyncClient(transport, ENDPOINT).stream(QUERY) as stream:
                seen = [(type(event), transport.clock.monotonic()) async for event in stream]
            assert seen == [(TextDelta, 0.75), (TextDelta, 1.75), (Completed, 3.75)]
            transport = AsyncReplayTransport([WHOLE], clock=AsyncVirtualClock())
            for timeouts, kind, end in (
                (Timeouts(idle=1.5), IdleTimeout, 3.0),
                (Timeouts(first_event=1), FirstEventTimeout, 4.0),
                (Timeouts(total=3), TotalTimeout, 7.0),
            ):
                with pytest.raises(kind):
                    async with AsyncClient(transport, ENDPOINT, timeouts=timeouts).stream(
                        QUERY
                    ) as stream:
                        await stream.result()
                assert transport.clock.monotonic() == end

        loop.run(main)

    def test_faults_and_misses(self, loop: Adapter) -> None:
        async def main() -> None:
            transport = AsyncReplayTransport(
                [WHOLE], speed=None, break_at=BreakAt(ConnectError("refused"))
            )
            with pytest.raises(ConnectError, match="refused"):
                async with AsyncClient(transport, ENDPOINT).stream(QUERY):
                    pass
            assert transport.unused == ()
            with pytest.raises(NoRecording, match="stream: recorded true, asked false"):
                await AsyncClient(transport, ENDPOINT).send(QUERY)
            assert len(transport.misses) == 1
            with pytest.raises(ValueError, match="above 0"):
                AsyncReplayTransport([], speed=0)

        loop.run(main)

    def test_real_time_and_cancelling(self, loop: Adapter) -> None:
        async def main() -> None:
            quick = recorded((0.001, delta("A")), (0.001, END), seconds=0.001)
            async with AsyncClient(AsyncReplayTransport([quick]), ENDPOINT).stream(QUERY) as stream:
                assert [type(event) async for event in stream] == [TextDelta, Completed]
            slow = AsyncReplayTransport([recorded((60, END), seconds=60)])

            async def wait() -> None:
                await slow.send(asked(), Timeouts())

            await loop.cancelled_after(0.01, wait)

        loop.run(main)


class TestFiles:
    @pytest.fixture
    def folder(self, tmp_path: Path) -> Path:
        for name, recording in (
            ("1-query", WHOLE),
            ("2-caption", recorded((0, delta("A") + END), request=CAPTION)),
        ):
            (tmp_path / f"{name}.jsonl").write_bytes(recording.encode())
        (tmp_path / "README.md").write_text("not a recording")
        return tmp_path

    def test_files_and_folders(self, folder: Path) -> None:
        file = folder / "1-query.jsonl"
        for given in (folder, str(folder), [folder], file, [str(file)], [WHOLE, file]):
            played = Played(given)
            assert played.chunks() == Played([WHOLE]).chunks()
        assert Played(folder).unused == (file, folder / "2-caption.jsonl")

    def test_the_nearest_is_a_file(self, folder: Path) -> None:
        with pytest.raises(NoRecording, match="the nearest is .*1-query.jsonl, where"):
            Played(folder).client.query(question="Why?")

    def test_it_is_closed_however_the_stream_ends(self, folder: Path) -> None:
        """The fixture around each test looks for open sockets; an open file would be a
        ResourceWarning, which is an error here.
        """
        played = Played(folder)
        stream = played.send(asked(), FOR_EVER)
        stream.read(None)
        stream.close()
        with pytest.raises(TimeoutError):
            played.send(asked(), Timeouts(first_event=0.1))
        played.chunks()
        for fault in (BreakAt(ConnectError("x")), BreakAt(None, after_bytes=1)):
            broken = Played(folder, break_at=fault, fragmentation=Fragmentation.EACH_BYTE)
            outcome(broken.client, QUERY)

    def test_no_such_file(self, tmp_path: Path) -> None:
        with pytest.raises(FileNotFoundError):
            ReplayTransport(tmp_path / "none.jsonl")

    def test_a_file_that_goes_away(self, folder: Path) -> None:
        played = Played(folder)
        (folder / "1-query.jsonl").unlink()
        with pytest.raises(FileNotFoundError):
            played.chunks()


FILE = WHOLE.encode().decode()
LINES = FILE.splitlines(keepends=True)


class TestHostileFiles:
    @pytest.mark.parametrize(
        ("content", "line_number", "words"),
        [
            ("", 1, "the recording is empty"),
            ("{", 1, "not JSON"),
            ("\0" * 100, 1, "not JSON"),
            (
                FILE.replace('"recording": 1', '"recording": 2'),
                1,
                "format version 2, and this library reads 1",
            ),
            ("x" * 20_000_000, 1, "longer than 16,777,216 bytes"),
            ("[" * 100_000, 1, "nests deeper than 64"),
        ],
        ids=["empty", "half", "zeros", "version", "huge", "deep"],
    )
    def test_a_broken_header_is_refused_at_once(
        self, tmp_path: Path, content: str, line_number: int, words: str
    ) -> None:
        path = tmp_path / "broken.jsonl"
        path.write_text(content)
        with pytest.raises(
            RecordingError, match=f"broken.jsonl, line {line_number}: .*{words}"
        ) as caught:
            ReplayTransport(tmp_path)
        assert caught.value.line_number == line_number

    @pytest.mark.parametrize(
        ("lines", "line_number", "words"),
        [
            (LINES[:3], 4, "stops without its ending"),
            ([*LINES[:2], '[0, "t", "A\n'], 3, "not JSON"),
            ([*LINES[:2], '[0, "t", "' + "A" * 20_000_000], 3, "longer than 16,777,216 bytes"),
            ([*LINES[:2], '[0, "b", "../../etc/passwd"]\n'], 3, "base64"),
            ([*LINES[:2], '[1e12, "t", "A"]\n'], 3, "seconds should be"),
            ([*LINES[:2], '[0, "x", "SystemExit"]\n'], 3, "the ending should be"),
            ([*LINES, '[0, "t", "A"]\n'], 6, "nothing should follow the ending"),
        ],
        ids=["short", "half", "huge", "base64", "seconds", "ending", "more"],
    )
    def test_what_comes_before_is_played_then_it_is_refused(
        self, tmp_path: Path, lines: list[str], line_number: int, words: str
    ) -> None:
        path = tmp_path / "broken.jsonl"
        path.write_text("".join(lines))
        played = Played(path)
        stream = played.client.stream(QUERY)
        with stream:
            assert next(stream) == TextDelta("A")
            with pytest.raises(
                RecordingError, match=f"broken.jsonl, line {line_number}: .*{words}"
            ) as caught:
                list(stream)
        assert caught.value.line_number == line_number
        assert pickle.loads(pickle.dumps(caught.value)).line_number == line_number

    def test_links_out_of_the_folder(self, tmp_path: Path) -> None:
        (tmp_path / "outside.jsonl").write_bytes(WHOLE.encode())
        folder = tmp_path / "folder"
        folder.mkdir()
        (folder / "1-query.jsonl").symlink_to("../outside.jsonl")
        with pytest.raises(RecordingError, match="should be a file in its folder"):
            ReplayTransport(folder)

    def test_a_folder_that_is_called_a_recording(self, tmp_path: Path) -> None:
        (tmp_path / "1-query.jsonl").mkdir()
        with pytest.raises(RecordingError, match="should be a file in its folder"):
            ReplayTransport(tmp_path)


@pytest.mark.slow
class TestLargeFiles:
    """10 MB in 100,000 chunks, and less of the same: what it takes does not grow, or grows as the
    recording does.
    """

    @staticmethod
    def write(path: Path, count: int) -> Path:
        header = encode_line(RecordingHeader.of(asked(), 200, HEAD))
        path.write_bytes(
            header
            + encode_line(Chunk(0, b":" + b"A" * 98 + b"\n")) * count
            + encode_line(Ending(0))
        )
        return path

    @staticmethod
    def play(path: Path, **options: Any) -> int:
        stream = ReplayTransport(path, speed=None, **options).send(asked(), Timeouts())
        size = 0
        while data := stream.read(None):
            size += len(data)
        return size

    def test_memory_is_constant(self, tmp_path: Path) -> None:
        assert (path := self.write(tmp_path / "large.jsonl", 100_000)).stat().st_size > 10_000_000
        tracemalloc.start()
        try:
            assert self.play(path) == 10_000_000
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert peak < 500_000

    @pytest.mark.parametrize("cut", [*Fragmentation, range(0, 1000, 7)], ids=str)
    def test_work_is_linear(self, tmp_path: Path, cut: Any) -> None:
        """Counted in calls of functions; what one call does is bounded by a chunk, or is a look at
        bytes that come once.
        """

        def calls(count: int) -> int:
            made = 0

            def note(*about: Any) -> None:
                nonlocal made
                made += 1

            path = self.write(tmp_path / f"{count}.jsonl", count)
            sys.setprofile(note)
            try:
                self.play(path, fragmentation=cut, break_at=BreakAt(None, after_events=10**9))
            finally:
                sys.setprofile(None)
            return made

        base, once, twice = calls(10), calls(110), calls(210)
        assert twice - once == pytest.approx(once - base, rel=0.25)


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


@pytest.mark.parametrize("cut", Fragmentation)
def test_what_came_before_a_broken_line_is_given_out_first(
    tmp_path: Path, cut: Fragmentation
) -> None:
    file = tmp_path / "broken.jsonl"
    file.write_bytes(b"\n".join(WHOLE.encode().split(b"\n")[:3]) + b"\nnot JSON\n")
    stream = Played(file, fragmentation=cut).send(asked(), FOR_EVER)
    expected, data = delta("A") + delta(" moon"), b""
    while len(data) < len(expected):
        data += stream.read(None)
    assert data == expected
    with pytest.raises(RecordingError, match="line 4"):
        stream.read(None)
