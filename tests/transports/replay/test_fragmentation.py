"""The same bytes, cut into other chunks than the recorded ones."""

from __future__ import annotations

from typing import Any

import pytest

from moondream_transports import Fragmentation, ReplayTransport
from moondream_transports.replay import play
from sansio_moondream import (
    ConnectionLost,
)
from sansio_moondream.recording import (
    Ending,
)
from tests.helpers import TRACES, Trace
from tests.transports.replay.recordings import BODY, THREE_CHUNKS, Played, of_trace, recorded


def sizes(played: list[tuple[float, bytes]]) -> list[int]:
    return [len(data) for _, data in played]


class TestFragmentation:
    @pytest.mark.parametrize("trace", TRACES, ids=[trace.name for trace in TRACES])
    def test_the_bytes_stay(self, trace: Trace) -> None:
        recording = of_trace(Trace(**vars(trace) | {"ending": None}))
        offsets: list[Any] = [(), (1, 2, 3), range(0, 10_000, 7), {5, 10_000_000, -1, 0}]
        for fragmentation in (*Fragmentation, *offsets):
            played = Played([recording], fragmentation=fragmentation)
            body = b"".join(data for _, data in played.chunks(trace.request))
            assert body == trace.body, fragmentation

    def test_as_recorded(self) -> None:
        assert Played([THREE_CHUNKS]).chunks() == [(1, BODY[:10]), (3, BODY[10:50]), (7, BODY[50:])]

    def test_whole_comes_at_the_end(self) -> None:
        assert Played([THREE_CHUNKS], fragmentation=Fragmentation.WHOLE).chunks() == [(15, BODY)]

    def test_byte_by_byte_at_their_times(self) -> None:
        times = [1.0] * 10 + [3.0] * 40 + [7.0] * (len(BODY) - 50)
        assert Played([THREE_CHUNKS], fragmentation=Fragmentation.EACH_BYTE).chunks() == [
            (now, BODY[at : at + 1]) for at, now in enumerate(times)
        ]

    def test_at_offsets(self) -> None:
        assert Played([THREE_CHUNKS], fragmentation=[60, 5]).chunks() == [
            (1, BODY[:5]),
            (7, BODY[5:60]),
            (15, BODY[60:]),
        ]
        assert Played([THREE_CHUNKS], fragmentation=[len(BODY)]).chunks() == [(7, BODY)]

    def test_chunks_of_a_size(self) -> None:
        assert Played([THREE_CHUNKS], fragmentation=60).chunks() == [
            (7, BODY[:60]),
            (7, BODY[60:120]),
            (15, BODY[120:]),
        ]
        for size in (0, -1):
            with pytest.raises(ValueError, match="size of the chunks should be above 0"):
                ReplayTransport([THREE_CHUNKS], fragmentation=size)

    def test_one_recording_by_itself(self) -> None:
        player = play(THREE_CHUNKS, 2.0, fragmentation=60)
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
        assert played.chunks() != runs[0][0]  # each exchange of a run has borders of its own
        # And on another day, in another process:
        assert sizes(runs[0][0])[:6] == [22, 152, 183, 25, 1, 89]

    def test_faults_stay_behind_their_bytes(self) -> None:
        broken = recorded(
            (1, BODY[:10]), (2, BODY[10:50]), ending=Ending(4, "ConnectionLost", "peer reset")
        )
        for fragmentation in Fragmentation:
            read: list[tuple[float, bytes]] = []
            with pytest.raises(ConnectionLost, match="peer reset"):
                Played([broken], fragmentation=fragmentation).chunks(into=read)
            assert b"".join(data for _, data in read) == BODY[:50]
