"""Turns of a limiter, in threads and tasks at once, without a client."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from functools import partial
from time import monotonic
from typing import Any

import pytest

from moondream_transports import (
    AsyncVirtualClock,
    EndpointPool,
    Limiter,
    LimiterStatus,
    VirtualClock,
)
from sansio_moondream import Endpoint
from sansio_moondream.limiter import GateStatus, RateLimit
from tests.transports.adapters import LONGEST_WAIT, Adapter
from tests.transports.limits.turns import in_threads, taken
from tests.transports.retries.exchanges import each_async_backend


def test_turns_come_by_the_rate_on_a_virtual_clock() -> None:
    clock = VirtualClock()
    limiter = Limiter(2, burst=2, clock=clock)
    begun: list[float] = []
    queued: list[float] = []
    for _ in range(5):
        with limiter.turn() as turn:
            begun.append(clock.monotonic())
            queued.append(turn.queued)
            assert limiter.status().open == 1
            assert turn.endpoint is None
    assert begun == [0.0, 0.0, 0.5, 1.0, 1.5]
    assert queued == [0.0, 0.0, 0.5, 0.5, 0.5]
    assert limiter.status() == LimiterStatus(0, 0, 2.0, 0.0, (GateStatus(0, 2.0, 0.0, 0.0),))


@each_async_backend
def test_tasks_have_their_turns_in_order_on_a_virtual_clock(backend: Adapter) -> None:
    async def main() -> None:
        clock = AsyncVirtualClock()
        limiter = Limiter(4, concurrent=1, clock=clock)

        async def one(number: int) -> None:
            async with limiter.turn():
                begun.append((number, clock.monotonic()))

        await backend.all_of([partial(one, number) for number in range(5)])

    begun: list[tuple[int, float]] = []
    backend.run(main)
    assert [moment for _, moment in begun] == [0.0, 0.25, 0.5, 0.75, 1.0]
    assert {number for number, _ in begun} == set(range(5))
    if backend.backend == "asyncio":  # trio starts its tasks in any order
        assert [number for number, _ in begun] == list(range(5))


def test_threads_asyncio_and_trio_share_a_limiter() -> None:
    pytest.importorskip("trio")
    limiter = Limiter(400, burst=5, concurrent=4)
    lock = threading.Lock()
    begun: list[float] = []
    most = 0

    def enter() -> None:
        nonlocal most
        with lock:
            begun.append(monotonic())
            most = max(most, limiter.status().open)

    def thread() -> None:
        for _ in range(8):
            with limiter.turn(LONGEST_WAIT):
                enter()

    def loop(backend: str) -> Callable[[], None]:
        adapter = Adapter(backend, backend, lambda: None)

        async def one() -> None:
            for _ in range(2):
                async with limiter.turn(LONGEST_WAIT):
                    enter()
                    await adapter.sleep(0.001)

        async def main() -> None:
            await adapter.all_of([one] * 8)

        return lambda: adapter.run(main, **({"debug": False} if backend == "asyncio" else {}))

    in_threads(thread, thread, thread, loop("asyncio"), loop("asyncio"), loop("trio"))
    assert len(begun) == 3 * 8 + 3 * 16
    assert most <= 4
    status = limiter.status()
    assert (status.open, status.waiting) == (0, 0)
    begun.sort()
    # Each has its turn by the rate, and may notice it late.
    assert begun[-1] - begun[0] > (len(begun) - 5) / 400 - 0.001


def test_reports_pause_and_cool_down() -> None:
    clock = VirtualClock()
    pool = EndpointPool(
        [(Endpoint("http://localhost:1/v1"), RateLimit(2)), (Endpoint(), RateLimit(3))],
        clock=clock,
    )
    with pool.turn() as first, pool.turn() as second:
        assert [first.endpoint, second.endpoint] == list(pool.endpoints)
        first.fail(4.0)
        first.fail(9.0)  # the first report counts
        second.fail()
        status = pool.status()
        assert (status.open, status.per_second, status.paused) == (2, 3.0, 0.0)
        assert [gate.paused for gate in status.gates] == [4.0, 0.0]
        assert [gate.cooling for gate in status.gates] == [0.0, 1.0]
    with pool.turn() as third:
        assert (third.endpoint, clock.monotonic()) == (pool.endpoints[1], 1.0)
        third.succeed()
    first.fail(99.0)
    assert pool.status().gates[1].cooling == 0.0


@pytest.mark.parametrize(
    ("pause", "error"), [(-1, ValueError), (float("nan"), ValueError), ([], TypeError)]
)
def test_a_pause_that_is_none_changes_nothing(pause: Any, error: type[Exception]) -> None:
    limiter = Limiter(clock=VirtualClock())
    with limiter.turn() as turn:
        with pytest.raises(error, match="pause should be a number of seconds, 0 or above"):
            turn.fail(pause=pause)
        assert limiter.status().paused == 0
        turn.fail(pause=2)
        assert limiter.status().paused == 2


def test_how_many_may_be_open() -> None:
    def pool(*numbers: int | None) -> int | None:
        return EndpointPool([(Endpoint(), RateLimit(concurrent=n)) for n in numbers]).concurrent

    assert (Limiter().concurrent, Limiter(concurrent=3).concurrent) == (None, 3)
    assert (pool(2, 3), pool(2, None)) == (5, None)


def test_reprs() -> None:
    limiter = Limiter(2)
    assert repr(limiter).startswith("<Limiter, RateLimit(per_second=2, ")
    assert repr(limiter).endswith(", 0 open, 0 waiting>")
    endpoint = Endpoint(api_key="secret-of-a-test")
    pool = EndpointPool([(endpoint, RateLimit())])
    assert repr(pool) == f"<EndpointPool ({endpoint!r},), 0 open, 0 waiting>"
    assert "secret-of-a-test" not in repr(pool)
    assert repr(taken(limiter)) == "<Turn, open>"


@pytest.mark.parametrize(
    ("endpoints", "error", "message"),
    [
        ([], ValueError, "endpoints should have pairs of an endpoint and a limit, not nothing"),
        ([Endpoint()], TypeError, "not Endpoint"),
        ([(Endpoint(), 2)], TypeError, "not Endpoint, int"),
        ([(Endpoint(), RateLimit(), RateLimit())], TypeError, "not Endpoint, RateLimit, RateLimit"),
    ],
)
def test_a_pool_of_something_else(
    endpoints: list[Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        EndpointPool(endpoints)


def test_a_clock_of_the_other_colour() -> None:
    with pytest.raises(TypeError, match="the sleep of the limiter's clock should be a function"):
        Limiter(clock=AsyncVirtualClock()).turn().begin()

    async def main() -> None:
        await Limiter(clock=VirtualClock()).turn().async_begin()

    with pytest.raises(TypeError, match="should be an async function that waits"):
        asyncio.run(main())
