"""AsyncReplayTransport, on asyncio and trio."""

from __future__ import annotations

from typing import Any

import pytest

from moondream_transports import (
    AsyncClient,
    AsyncReplayTransport,
    AsyncVirtualClock,
    BreakAt,
    Fragmentation,
    NoRecording,
    Timeouts,
)
from sansio_moondream import (
    Completed,
    ConnectError,
    FirstEventTimeout,
    IdleTimeout,
    MoondreamError,
    TextDelta,
    TotalTimeout,
)
from sansio_moondream.recording import (
    Match,
)
from tests.helpers import END, QUERY, TRACES, delta
from tests.transports.adapters import Adapter
from tests.transports.replay.recordings import (
    ENDPOINT,
    WHOLE,
    asked,
    each_loop,
    expected,
    of_trace,
    recorded,
)


@each_loop
class TestAsync:
    """AsyncReplayTransport differs from ReplayTransport only in how it waits."""

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
            brief = recorded((0.001, delta("A")), (0.001, END), seconds=0.001)
            async with AsyncClient(AsyncReplayTransport([brief]), ENDPOINT).stream(QUERY) as stream:
                assert [type(event) async for event in stream] == [TextDelta, Completed]
            slow = AsyncReplayTransport([recorded((60, END), seconds=60)])

            async def wait() -> None:
                await slow.send(asked(), Timeouts())

            await loop.cancelled_after(0.01, wait)

        loop.run(main)
