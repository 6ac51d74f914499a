"""Many readers of one relay process: `make load` runs these.

The upstream and the relay are processes of their own. The relay reads the upstream through
`AiohttpTransport`, which takes the least time for each stream.
"""

from __future__ import annotations

import asyncio
import random
import resource
import socket
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


async def until(condition: Callable[[], bool]) -> None:
    while not condition():  # noqa: ASYNC110 - another process makes it true
        await asyncio.sleep(0.5)


async def until_quiet(relay: Program, start: dict[str, int]) -> dict[str, int]:
    """Wait until the relay has no more tasks and descriptors than it began with."""

    def is_quiet() -> bool:
        state.update(relay.ask("state"))
        return all(state[name] <= start[name] for name in ("tasks", "descriptors"))

    state: dict[str, int] = {}
    await until(is_quiet)
    return state


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
        await until(lambda: upstream.ask("state")["stalled"] == STREAMS)
        upstream.ask("release")
        await end(readers)
        before = await until_quiet(relay, start)

        readers = [Reader("/relay", plan(number)) for number in range(STREAMS)]
        await connect(relay.port, readers)
        begin = time.monotonic()
        left_at: dict[int, float] = {}
        for number, seconds in sorted(leaving.items(), key=lambda item: item[1]):
            await asyncio.sleep(max(0.0, begin + seconds - time.monotonic()))
            left_at[number] = readers[number].leave(reset=number % 3 == 0)
        await end([reader for number, reader in enumerate(readers) if number not in leaving])
        after = await until_quiet(relay, start)
        assert_nothing_is_left(before, after, STREAMS)

        found = upstream.ask("state")
        assert found["running"] == 0
        noticed = {int(number): moment for number, moment in found["left"].items()}
        assert set(noticed) == set(leaving) & set(found["asked"])
        assert len(noticed) > 0.9 * len(leaving)
        lags = sorted(noticed[number] - left_at[number] for number in noticed)
        assert max(lags) < SOON

    with programs(3 * STREAMS) as (upstream, relay):
        run(main)


def test_a_thousand_readers_of_which_some_read_nothing() -> None:
    """Those who read nothing are dropped. When some of them go on, they get events from the first
    on, and then the error. The others hold what uvicorn holds, until they leave.
    """
    plan = Plan(1, events=40, pause=0.5, size=16 * 1024)

    async def main() -> None:
        start = relay.ask("state")
        short = [Reader("/broadcast", Plan(-1, events=9)) for _ in range(READERS)]
        await connect(relay.port, short)
        await end(short)
        relay.ask("forget")
        before = await until_quiet(relay, start)

        mute = [Reader("/broadcast", plan, reads=False) for _ in range(MUTE)]
        readers = [Reader("/broadcast", plan) for _ in range(READERS - MUTE)]
        await connect(relay.port, mute, receive_buffer=4096)
        await connect(relay.port, readers)
        await end(readers)
        assert relay.ask("readers") == 0
        relay.ask("forget")

        go_on, stay = mute[: MUTE // 2], mute[MUTE // 2 :]
        for reader in go_on:
            reader.go_on()
        for reader in go_on:
            await reader.ended
            *deltas, last = reader.records()
            texts = [plan.text(event) for event in range(len(deltas))]
            assert 0 < len(texts) < plan.events
            assert [delta["text"] for delta in deltas] == texts
            assert (last["kind"], last["type"]) == ("server_error", "reader_too_slow")
        for reader in stay:
            assert not reader.ended.done()
            reader.leave(reset=False)
        after = await until_quiet(relay, start)
        assert_nothing_is_left(before, after, READERS)
        assert upstream.ask("state")["asked"] == [-1, 1]  # once each

    with programs(2 * READERS, "SO_SNDBUF=16384") as (upstream, relay):
        run(main)


def test_the_system_ends_a_reader_that_takes_nothing() -> None:
    """No application can: uvicorn keeps the connection until it has sent what it holds. With
    `TCP_USER_TIMEOUT` on the listening socket, the upstream is closed, too.
    """
    plan = Plan(1, events=1000, pause=0.01, size=16 * 1024)

    async def main() -> None:
        start = relay.ask("state")
        reader = Reader("/relay", plan, reads=False)
        await connect(relay.port, [reader], receive_buffer=4096)
        await until(lambda: upstream.ask("state")["running"] == 1)
        await until_quiet(relay, start)
        assert list(upstream.ask("state")["left"]) == ["1"]
        reader.leave(reset=True)

    if not hasattr(socket, "TCP_USER_TIMEOUT"):
        pytest.skip("TCP_USER_TIMEOUT is an option of Linux")
    with programs(100, "SO_SNDBUF=16384", "TCP_USER_TIMEOUT=2000") as (upstream, relay):
        run(main)
