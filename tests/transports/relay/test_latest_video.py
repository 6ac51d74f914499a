"""`latest` at 30 frames a second, against a server that takes 300 ms for an answer."""

from __future__ import annotations

import os
import resource
import time
import weakref
from collections.abc import Iterator
from functools import partial
from typing import Any, ClassVar

import pytest

from moondream_tools import FakeServer
from moondream_transports import AsyncClient, Client
from moondream_transports.relay import latest
from sansio_moondream import BBox, DetectRequest, Endpoint
from tests.helpers import PIXEL
from tests.transports.adapters import ADAPTERS, SYNC_AND_ASYNC, Adapter

from .videos import LatestAsAsync

RATE, LATENCY = 30, 0.3
SIZE = 640 * 480 * 3
LOOPS = [loop for loop in ADAPTERS if loop.name in ("urllib", "httpx2-asyncio", "anyio-trio")]


class Frame:
    """As a camera gives it: its pixels, and when it was seen."""

    alive: ClassVar[weakref.WeakSet[Frame]] = weakref.WeakSet()

    def __init__(self) -> None:
        self.pixels = bytes(SIZE)
        self.seen_at = time.monotonic()
        self.alive.add(self)


def camera(seconds: float) -> Iterator[Frame]:
    """Give frames at its own pace. One that is not read at its time is given late."""
    begin = time.monotonic()
    for number in range(round(seconds * RATE)):
        time.sleep(max(0.0, begin + number / RATE - time.monotonic()))
        yield Frame()


def resident() -> int:
    """Return the bytes of memory of this process."""
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * resource.getpagesize()


async def watch(loop: Adapter, seconds: float) -> tuple[float, float, int]:
    """Watch a video, and check each answer.

    Returns the answers for each second, their median age in seconds, and by how many bytes the
    process grew after its tenth answer.
    """
    ages: list[float] = []
    frames, last, before = 0, 0.0, 0
    with FakeServer() as server:
        server.answer(objects=[BBox(0.1, 0.2, 0.3, 0.4)], seconds=LATENCY, times=None)
        endpoint = Endpoint(server.url)

        def request(frame: Frame) -> DetectRequest:
            assert len(frame.pixels) == SIZE
            return DetectRequest(image=PIXEL, object="moon")

        async with loop.own() as transport:
            answers: Any
            if loop.is_async:
                answers = latest(AsyncClient(transport, endpoint), camera(seconds), request)
            else:
                client = Client(transport, endpoint)
                answers = LatestAsAsync(latest(client, camera(seconds), request))
            begin = time.monotonic()
            async for answer in answers:
                assert answer.error is None
                assert len(answer.result.objects) == 1
                assert answer.frame.seen_at > last
                last = answer.frame.seen_at
                ages.append(time.monotonic() - last)
                frames += 1 + answer.skipped
                assert len(Frame.alive) <= 8
                if len(ages) == 10:
                    before = resident()
            rate = len(ages) / (time.monotonic() - begin)
    assert frames == round(seconds * RATE)
    assert len(server.requests) == len(ages)
    return rate, sorted(ages)[len(ages) // 2], resident() - before


@pytest.mark.parametrize("loop", SYNC_AND_ASYNC[:1], ids=lambda loop: loop.name)
def test_a_second(loop: Adapter) -> None:
    rate, age, _ = loop.run(watch, loop, 1.0)
    assert rate < 1 / LATENCY
    assert age >= LATENCY


@pytest.mark.slow
@pytest.mark.skipif(not os.path.exists("/proc/self/statm"), reason="needs /proc to see its memory")
@pytest.mark.parametrize(
    ("loop", "seconds"),
    [pytest.param(loop, 20 if loop.is_async else 60, id=loop.name) for loop in LOOPS],
)
def test_long_ones_give_three_answers_a_second_and_memory_stays_flat(
    loop: Adapter, seconds: float
) -> None:
    """A minute with threads. In 20 seconds some 60 of 600 frames are asked."""
    rate, age, grown = loop.run(partial(watch, loop, seconds), debug=False)
    print(f"{rate:.2f} answers a second, {age * 1000:.0f} ms old, {grown:,} bytes more")  # noqa: T201
    assert 2.5 < rate < 1 / LATENCY
    assert LATENCY <= age < 2 * LATENCY
    assert grown < 20 * SIZE
