"""Turns that are cancelled, given up, interrupted or dropped: nobody else loses a place."""

from __future__ import annotations

import asyncio
import gc
import threading
from collections.abc import Callable
from typing import Any

import pytest

from moondream_transports import Limiter, VirtualClock
from sansio_moondream import LocalProtocolError
from tests.transports.adapters import LONGEST_WAIT, Adapter
from tests.transports.limits.turns import in_threads, taken, until
from tests.transports.retries.exchanges import each_async_backend


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
