"""Many readers of one relay process: `make load` runs these.

The upstream and the relay are processes of their own. The relay reads the upstream through
`AiohttpTransport`, which takes the least time for each stream.
"""

from __future__ import annotations

import asyncio
import random
import resource
import time
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from .load_clients import Reader, connect
from .load_process import Program, program
from .load_upstream import Plan

pytestmark = pytest.mark.slow

STREAMS, EVENTS, PAUSE = 2000, 100, 0.5
READERS, MUTE = 1000, 50  # of the broadcast, and how many of them read nothing
LONGEST = 400.0  # seconds for all that one test waits for
SOON = 30.0  # seconds in which the upstream of a reader that left is closed, on a busy machine
MiB = 1024 * 1024


@contextmanager
def programs(descriptors: int, *options: str) -> Iterator[tuple[Program, Program]]:
    """The upstream and the relay, which may open so many descriptors."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if resource.RLIM_INFINITY != hard < descriptors:
        pytest.skip(f"{descriptors} descriptors are needed; the hard limit (ulimit -Hn) is {hard}")
    if resource.RLIM_INFINITY != soft < descriptors:
        resource.setrlimit(resource.RLIMIT_NOFILE, (descriptors, hard))
    try:
        with (
            program("load_upstream") as upstream,
            program("load_server", f"http://127.0.0.1:{upstream.port}/v1", *options) as relay,
        ):
            yield upstream, relay
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def run(main: Callable[[], Coroutine[Any, Any, None]]) -> None:
    async def limited() -> None:
        async with asyncio.timeout(LONGEST):
            await main()

    asyncio.run(limited())


async def until_quiet(relay: Program, start: dict[str, int], held: int = 0) -> dict[str, int]:
    """Wait until the relay has the tasks and descriptors that it began with, and `held` more
    descriptors.
    """
    while True:
        state: dict[str, int] = relay.ask("state")
        descriptors = state["descriptors"] - held
        if state["tasks"] == start["tasks"] and descriptors == start["descriptors"]:
            return state
        await asyncio.sleep(0.5)


def assert_nothing_is_left(before: dict[str, int], after: dict[str, int], streams: int) -> None:
    """Fail if memory is left of each stream, or of one in ten of them."""
    assert after["objects"] - before["objects"] < streams / 20
    assert after["blocks"] - before["blocks"] < streams / 2
    assert after["resident"] - before["resident"] < 32 * MiB


async def end(readers: list[Reader]) -> None:
    """Wait until all have a whole answer."""
    for reader in readers:
        await reader.ended
        reader.assert_whole()


def test_two_thousand_streams_of_which_some_are_left() -> None:
    """Half of those that are left have an upstream that sends nothing then."""
    chance = random.Random(13)
    leaving = {  # seconds after which they leave
        number: chance.uniform(0, EVENTS * PAUSE * 0.8)
        for number in chance.sample(range(STREAMS), STREAMS // 10)
    }

    def plan(number: int) -> Plan:
        stalls = number in leaving and number % 2
        return Plan(number, EVENTS, PAUSE, int(leaving[number]) if stalls else None)

    async def main() -> None:
        start = relay.ask("state")
        # As many streams at once, but short ones, so that memory is as large as it has to be.
        short = [Plan(-1 - number, events=9, stall_after=3) for number in range(STREAMS)]
        readers = [Reader("/relay", plan) for plan in short]
        await connect(relay.port, readers)
        while upstream.ask("state")["stalled"] < STREAMS:
            await asyncio.sleep(0.5)
        upstream.ask("release")
        await end(readers)
        before = await until_quiet(relay, start)
        print("before", before)

        readers = [Reader("/relay", plan(number)) for number in range(STREAMS)]
        await connect(relay.port, readers)
        begin = time.monotonic()
        left_at: dict[int, float] = {}
        for number, after in sorted(leaving.items(), key=lambda item: item[1]):
            await asyncio.sleep(max(0.0, begin + after - time.monotonic()))
            left_at[number] = readers[number].leave(reset=number % 3 == 0)
        print("connected", relay.ask("state"))
        await end([reader for number, reader in enumerate(readers) if number not in leaving])
        after = await until_quiet(relay, start)
        print("after", after)
        assert_nothing_is_left(before, after, STREAMS)

        found = upstream.ask("state")
        assert found["running"] == 0
        noticed = {int(number): moment for number, moment in found["left"].items()}
        assert set(noticed) == set(leaving) & set(found["asked"])
        assert len(noticed) > 0.9 * len(leaving)
        lags = sorted(noticed[number] - left_at[number] for number in noticed)
        print("noticed", max(lags), lags[len(lags) // 2])
        assert max(lags) < SOON

    with programs(3 * STREAMS) as (upstream, relay):
        run(main)


def test_a_thousand_readers_of_which_some_read_nothing() -> None:
    """Who reads nothing is dropped. If it goes on, it reads events from the first on, and why it
    was dropped. Until then uvicorn keeps its connection, without a task.
    """
    plan = Plan(1, events=40, pause=1.0, size=16 * 1024)

    async def main() -> None:
        start = relay.ask("state")
        warm_up = [Reader("/broadcast", Plan(-1, events=10)) for _ in range(READERS)]
        await connect(relay.port, warm_up)
        await end(warm_up)
        relay.ask("drop")
        before = await until_quiet(relay, start)

        mute = [Reader("/broadcast", plan, reads=False) for _ in range(MUTE)]
        readers = [Reader("/broadcast", plan) for _ in range(READERS - MUTE)]
        await connect(relay.port, mute, receive_buffer=4096)
        await connect(relay.port, readers)
        await end(readers)
        relay.ask("drop")
        print("ended", relay.ask("state"))
        go_on, never = mute[: MUTE // 2], mute[MUTE // 2 :]
        for reader in go_on:
            reader.go_on()
        for reader in go_on:
            await reader.ended
            *deltas, last = reader.records()
            assert [delta["text"] for delta in deltas] == [
                plan.text(event) for event in range(len(deltas))
            ]
            assert (last["kind"], last["type"]) == ("server_error", "reader_too_slow")
        print("gone on", relay.ask("state"))
        for reader in never:
            reader.leave(reset=False)
        after = await until_quiet(relay, start)
        print("after", before, after)
        assert_nothing_is_left(before, after, READERS)
        assert upstream.ask("state")["asked"] == [-1, 1]  # once each

    with programs(2 * READERS, "SO_SNDBUF=16384") as (upstream, relay):
        run(main)
