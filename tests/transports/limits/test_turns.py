"""Turns of a limiter, in threads and tasks at once, without a client."""

from __future__ import annotations

import asyncio
import gc
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
    Turn,
    VirtualClock,
)
from sansio_moondream import Endpoint, LocalProtocolError
from sansio_moondream.limiter import GateStatus, RateLimit
from tests.transports.adapters import LONGEST_WAIT, Adapter
from tests.transports.retries.exchanges import each_async_backend


def until(is_so: Callable[[], object]) -> None:
    """Wait for another thread."""
    end = monotonic() + LONGEST_WAIT
    while not is_so():
        assert monotonic() < end
        threading.Event().wait(0.001)


def taken(limiter: Limiter) -> Turn:
    """A turn that was free."""
    turn = limiter.turn()
    assert turn.begin(0.0)
    return turn


def in_threads(*mains: Callable[[], object]) -> None:
    threads = [threading.Thread(target=main, daemon=True) for main in mains]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(LONGEST_WAIT)
        assert not thread.is_alive()


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


@each_async_backend
def test_a_cancelled_wait_loses_nobodys_place(backend: Adapter) -> None:
    async def main() -> None:
        limiter = Limiter(concurrent=1)
        holder = taken(limiter)
        order: list[str] = []

        async def cancelled() -> None:
            async def wait(cancel: Callable[[], object]) -> None:
                async def later() -> None:
                    await backend.until(lambda: limiter.status().waiting == 3, "all wait")
                    cancel()

                await backend.together(enter, later)

            async def enter() -> None:
                async with limiter.turn():
                    order.append("cancelled")

            await backend.cancelled(wait)
            assert limiter.status().waiting == 2
            holder.end()

        async def other() -> None:
            await backend.until(lambda: limiter.status().waiting > 0, "the first one waits")
            async with limiter.turn():
                order.append("other")

        await backend.all_of([cancelled, other, other])
        assert order == ["other", "other"]
        assert limiter.status().open == 0

    backend.run(main)


def test_the_next_one_keeps_time_when_the_first_in_line_leaves() -> None:
    limiter = Limiter(10)
    taken(limiter).end()
    first = limiter.turn()
    outcomes: list[bool] = []

    def wait_first() -> None:
        outcomes.append(first.begin())

    def wait_second() -> None:
        until(lambda: limiter.status().waiting == 1)
        with limiter.turn(LONGEST_WAIT):
            outcomes.append(True)

    def give_up() -> None:
        until(lambda: limiter.status().waiting == 2 or len(outcomes) == 2)
        first.give_up()

    in_threads(wait_first, wait_second, give_up)
    assert True in outcomes
    assert limiter.status().waiting == 0


def test_a_turn_that_is_given_up_while_it_is_waited_for() -> None:
    limiter = Limiter(concurrent=1)
    holder, turn = taken(limiter), limiter.turn()

    def give_up() -> None:
        until(lambda: limiter.status().waiting)
        turn.give_up()

    giving_up = threading.Thread(target=give_up)
    giving_up.start()
    with pytest.raises(LocalProtocolError, match="given up while it was waited for"), turn:
        pass
    giving_up.join()
    assert repr(turn) == "<Turn, ended>"
    holder.give_up()  # its turn has come
    assert limiter.status().open == 1
    holder.end()
    holder.end()
    assert limiter.status().open == 0


def test_a_turn_that_is_given_up_before_it_is_waited_for() -> None:
    limiter = Limiter()
    turn = limiter.turn()
    assert repr(turn) == "<Turn, unused>"
    turn.give_up()
    assert not turn.begin()
    assert (turn.has_come, turn.queued, limiter.status().open) == (False, 0.0, 0)


def test_a_wait_that_takes_too_long() -> None:
    limiter = Limiter(concurrent=1)
    with limiter.turn():
        with pytest.raises(TimeoutError, match="the turn has not come in time"), limiter.turn(0.01):
            pass
        assert limiter.status().waiting == 0
    with limiter.turn(0.01):
        pass


def test_a_wait_that_takes_too_long_on_a_virtual_clock() -> None:
    clock = VirtualClock()
    limiter = Limiter(0.1, clock=clock)
    taken(limiter).end()
    with pytest.raises(TimeoutError), limiter.turn(4.0):
        pass
    assert clock.monotonic() == 4.0


def test_an_interrupted_wait_gives_up_its_place() -> None:
    class Clock(VirtualClock):
        def sleep(self, seconds: float) -> None:
            raise KeyboardInterrupt

    limiter = Limiter(2, clock=Clock())
    taken(limiter).end()
    turn = limiter.turn()
    with pytest.raises(KeyboardInterrupt):
        turn.begin()
    assert (limiter.status().waiting, limiter.status().open) == (0, 0)


def test_a_turn_is_used_once() -> None:
    limiter = Limiter()
    turn = taken(limiter)
    with pytest.raises(LocalProtocolError, match="a turn comes once"):
        turn.begin()


def test_a_turn_that_is_dropped_ends() -> None:
    limiter = Limiter(concurrent=1)
    turn = taken(limiter)
    assert limiter.status().open == 1
    del turn
    gc.collect()
    assert limiter.status().open == 0


def test_a_turn_that_is_dropped_in_the_middle_of_a_call() -> None:
    """The collector may run anywhere, in the limiter's own code, too."""

    class Clock(VirtualClock):
        is_dropping = False

        def monotonic(self) -> float:
            if self.is_dropping:
                kept.clear()
            return super().monotonic()

    clock = Clock()
    limiter = Limiter(concurrent=2, clock=clock)
    kept = [taken(limiter)]
    other = limiter.turn()
    clock.is_dropping = True
    assert other.begin()
    assert not kept
    assert limiter.status().open == 1
    other.end()


def test_an_event_loop_that_ends_loses_only_its_own_places() -> None:
    limiter = Limiter(concurrent=1)
    holder = taken(limiter)

    async def wait() -> None:
        async with limiter.turn():
            raise AssertionError("its loop has ended")

    loop = asyncio.new_event_loop()
    loop.set_exception_handler(lambda *_: None)  # it would report the task
    task = loop.create_task(wait())
    loop.call_later(0.01, loop.stop)
    loop.run_forever()
    loop.close()
    assert limiter.status().waiting == 1
    holder.end()
    with limiter.turn(LONGEST_WAIT):
        assert limiter.status() == limiter.status()
        assert (limiter.status().open, limiter.status().waiting) == (1, 0)
    coroutine: Any = task.get_coro()
    coroutine.close()
    del task
    gc.collect()


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
