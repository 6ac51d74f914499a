"""One timeout for many waits of a task."""

from __future__ import annotations

import asyncio
import gc
import weakref
from collections.abc import Callable, Coroutine
from contextvars import Context
from time import monotonic, sleep
from typing import Any, TypeVarTuple, Unpack

import pytest

from moondream_transports import AiohttpTransport, AnyioTransport, Timeouts
from moondream_transports._reusable_timeout import ReusableTimeout
from moondream_transports.conformance._fault_server import FaultServer, Peer, chunk, head
from moondream_transports.conformance._faults import DELTAS
from sansio_moondream import Endpoint
from tests.helpers import QUERY

from .adapters import LONGEST_WAIT

Ts = TypeVarTuple("Ts")


class CountedTimers(asyncio.SelectorEventLoop):
    """An event loop that counts the timers which are set on it, and notes the last one."""

    def __init__(self) -> None:
        super().__init__()
        self.timers: list[asyncio.TimerHandle] = []

    def call_at(
        self,
        when: float,
        callback: Callable[[Unpack[Ts]], object],
        *args: *Ts,
        context: Context | None = None,
    ) -> asyncio.TimerHandle:
        self.timers.append(super().call_at(when, callback, *args, context=context))
        return self.timers[-1]


def run(main: Callable[[CountedTimers], Coroutine[Any, Any, None]]) -> None:
    with asyncio.Runner(loop_factory=CountedTimers) as runner:
        loop = runner.get_loop()
        assert isinstance(loop, CountedTimers)
        runner.run(main(loop))


def test_waits_that_end_soon_share_a_timer() -> None:
    async def main(loop: CountedTimers) -> None:
        timeout = ReusableTimeout()
        for seconds in (30, 31, None, 30, 40):
            with timeout(seconds):
                await asyncio.sleep(0)
        assert len(loop.timers) == 1
        assert not loop.timers[0].cancelled()
        with timeout(20):  # ends before the timer
            await asyncio.sleep(0)
        assert [timer.cancelled() for timer in loop.timers] == [True, False]
        timeout.close()
        assert [timer.cancelled() for timer in loop.timers] == [True, True]

    run(main)


def test_timer_goes_off_in_a_later_wait() -> None:
    async def main(loop: CountedTimers) -> None:
        timeout = ReusableTimeout()
        began = loop.time()
        with timeout(0.05):
            await asyncio.sleep(0)
        with pytest.raises(TimeoutError, match="nothing came in time"), timeout(0.2):
            await loop.create_future()
        assert loop.time() - began >= 0.2
        assert len(loop.timers) == 2
        timeout.close()

    run(main)


def test_timer_goes_off_between_two_waits() -> None:
    async def main(loop: CountedTimers) -> None:
        timeout = ReusableTimeout()
        with timeout(0.01):
            await asyncio.sleep(0)
        await asyncio.sleep(0.05)  # nothing is interrupted
        with pytest.raises(TimeoutError), timeout(0.01):
            await loop.create_future()
        with timeout(None):
            await asyncio.sleep(0.05)
        task = asyncio.current_task()
        assert task is not None
        assert task.cancelling() == 0
        timeout.close()

    run(main)


def test_what_came_while_the_loop_was_busy_is_in_time() -> None:
    async def main(loop: CountedTimers) -> None:
        timeout = ReusableTimeout()
        came = loop.create_future()
        loop.call_later(0.01, came.set_result, "it")
        loop.call_soon(sleep, 0.05)  # both are due after it
        with timeout(0.02):
            assert await came == "it"
        timeout.close()

    run(main)


@pytest.mark.parametrize("is_late", [False, True])
def test_somebody_else_cancels_the_task(is_late: bool) -> None:
    async def wait(loop: CountedTimers) -> None:
        with ReusableTimeout()(0.02 if is_late else LONGEST_WAIT):
            try:
                await loop.create_future()
            finally:
                if is_late:  # until both have cancelled it
                    with pytest.raises(asyncio.CancelledError):
                        await loop.create_future()

    async def main(loop: CountedTimers) -> None:
        waiting = loop.create_task(wait(loop))
        await asyncio.sleep(0)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        assert waiting.cancelled()

    run(main)


def test_another_error_is_raised_as_it_is() -> None:
    async def main(loop: CountedTimers) -> None:
        timeout = ReusableTimeout()
        began = monotonic()
        with pytest.raises(KeyError), timeout(0.01):  # noqa: PT012 - the error of a clean-up
            try:
                await loop.create_future()
            except asyncio.CancelledError:
                raise KeyError from None
        assert monotonic() - began < LONGEST_WAIT
        task = asyncio.current_task()
        assert task is not None
        assert task.cancelling() == 0
        timeout.close()

    run(main)


def test_timer_keeps_nothing_alive() -> None:
    class Owner:
        def __init__(self) -> None:
            self.timeout = ReusableTimeout()

    async def main(loop: CountedTimers) -> None:
        owner = Owner()
        with owner.timeout(30):
            await asyncio.sleep(0)
        seen = weakref.ref(owner)
        del owner
        gc.collect()
        assert seen() is None
        assert not loop.timers[0].cancelled()

    run(main)


@pytest.mark.parametrize("kind", [AiohttpTransport, AnyioTransport], ids=lambda kind: kind.__name__)
def test_reads_of_a_stream_set_few_timers(kind: type[AiohttpTransport | AnyioTransport]) -> None:
    """And none is left when the stream is closed, though its body goes on."""
    events = 20

    def script(peer: Peer) -> None:
        peer.answer(head())
        for _ in range(events):
            peer.send(chunk(DELTAS[0]))
            peer.wait_for_event()
        peer.wait_until_closed()

    async def main(loop: CountedTimers) -> None:
        async with kind() as transport:
            stream = await transport.send(QUERY.to_http(Endpoint(url=server.url)), Timeouts())
            before = len(loop.timers)
            for _ in range(events):
                assert await stream.read(LONGEST_WAIT) == DELTAS[0]
                server.saw_event()
            made = loop.timers[before:]
            assert 1 <= len(made) < events / 2
            await stream.aclose()
            assert all(timer.cancelled() for timer in made)

    with FaultServer(script) as server:
        run(main)
