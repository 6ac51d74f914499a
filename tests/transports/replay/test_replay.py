"""ReplayTransport: pace, endings, and which recording answers a request."""

from __future__ import annotations

import socket
import threading
import time
from typing import Any

import pytest

from moondream_transports import (
    AsyncReplayTransport,
    BreakAt,
    Client,
    Fragmentation,
    NoRecording,
    ReplayTransport,
    Timeouts,
)
from sansio_moondream import (
    ConnectError,
    ConnectionLost,
    Endpoint,
    QueryRequest,
    RateLimitError,
    TextDelta,
)
from sansio_moondream.recording import (
    Ending,
    Match,
    Recording,
    RecordingHeader,
)
from tests.helpers import CAPTION, END, QUERY, TRACES, Trace, delta
from tests.transports.replay.recordings import (
    ENDPOINT,
    WHOLE,
    Played,
    asked,
    expected,
    of_trace,
    outcome,
    recorded,
    text_of,
)


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
        brief = recorded((0.01, delta("A")), (0.01, END), seconds=0.01)
        assert outcome(Client(ReplayTransport([brief]), ENDPOINT), QUERY)[1] == ""
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
    @pytest.mark.parametrize("fragmentation", [Fragmentation.AS_RECORDED, Fragmentation.AT_RANDOM])
    def test_captured_responses_as_they_were(
        self, trace: Trace, fragmentation: Fragmentation
    ) -> None:
        """Replayed, they come to what the decoder makes of the same bytes."""
        assert outcome(
            Played([of_trace(trace)], fragmentation=fragmentation, match=Match.SKILL).client,
            trace.request,
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
            "no recording answers POST /v1/query (match: any-image); "
            "the nearest is <Recording POST /v1/query: 200, 3 chunks, eof>, where"
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


class TestArguments:
    """Those of another type are refused at once, in words."""

    @pytest.mark.parametrize("kind", [ReplayTransport, AsyncReplayTransport])
    @pytest.mark.parametrize(
        ("name", "wrong", "should"),
        [
            ("match", "skill", "a Match, such as Match.SKILL"),
            ("match", Fragmentation.WHOLE, "a Match, such as Match.SKILL"),
            ("break_at", ConnectionLost("gone"), r"a BreakAt\(error, \.\.\.\)"),
            ("break_at", "gone", r"a BreakAt\(error, \.\.\.\)"),
            ("speed", "1", "a number"),
            ("fragmentation", "whole", "a Fragmentation, a size or offsets"),
            ("fragmentation", "", "a Fragmentation, a size or offsets"),
            ("fragmentation", b"1", "a Fragmentation, a size or offsets"),
            ("fragmentation", ["1", 2], "a Fragmentation, a size or offsets"),
            ("fragmentation", 1.5, "a Fragmentation, a size or offsets"),
            ("fragmentation", None, "a Fragmentation, a size or offsets"),
        ],
    )
    def test_another_type(self, kind: Any, name: str, wrong: object, should: str) -> None:
        with pytest.raises(TypeError, match=f"{name} should be {should}, not "):
            kind([WHOLE], **{name: wrong})
