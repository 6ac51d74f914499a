"""AsyncBroadcast on both event loops: readers who are too slow."""

from __future__ import annotations

import anyio

from moondream_transports.relay import AsyncBroadcast
from sansio_moondream import TextDelta
from sansio_moondream.relay import ReplayLimits

from .asgi import Exchange
from .exchanges import on_each_loop, run
from .upstreams import DELTAS, DONE, AsyncUpstream, body_of, encoded, until


@on_each_loop
class TestSlowReaders:
    def test_one_that_does_not_read_is_dropped_and_nobody_else_notices(self, loop: str):
        async def main() -> None:
            upstream = AsyncUpstream()
            limits = ReplayLimits(max_waiting=5000)
            events = [TextDelta("x" * 1000) for _ in range(40)]
            async with (
                AsyncBroadcast(upstream, limits=limits) as broadcast,
                anyio.create_task_group() as tasks,
            ):
                slow = Exchange(broadcast.subscribe(), "/", is_blocked=True)
                others = [Exchange(broadcast.subscribe(), "/") for _ in range(3)]
                for exchange in (slow, *others):
                    tasks.start_soon(exchange.run)
                await until(lambda: broadcast.readers == 4)
                upstream.give(*events[:20])  # at once: the others have their turns in between
                await until(lambda: broadcast.last_id == 20)
                assert broadcast.readers == 3
                upstream.give(*events[20:], DONE)
                await until(lambda: all(exchange.is_complete for exchange in others))
                assert not slow.parts
                slow.unblock()
            for exchange in others:
                assert exchange.body == b"".join(encoded(*events, DONE))
            *first, last = slow.parts  # what was being sent when it stopped, and the error
            assert b"".join(encoded(*events)).startswith(b"".join(first))
            assert b"reader_too_slow" in last
            assert slow.is_complete

        run(loop, main)

    def test_one_that_never_reads_again_ends_when_its_client_leaves(self, loop: str):
        async def main() -> None:
            upstream = AsyncUpstream(DELTAS[0])
            async with AsyncBroadcast(upstream, limits=ReplayLimits(max_waiting=5)) as broadcast:
                slow = Exchange(broadcast.subscribe(), "/", is_blocked=True)
                async with anyio.create_task_group() as tasks:
                    tasks.start_soon(slow.run)
                    await until(lambda: broadcast.readers == 1)
                    upstream.give(*DELTAS, *DELTAS)
                    await until(lambda: broadcast.readers == 0)
                    slow.left.set()
                assert not slow.is_complete

        run(loop, main)

    def test_its_last_record_has_no_id(self, loop: str):
        """An iterator that is read again gets what it had before the error."""

        async def main() -> None:
            upstream = AsyncUpstream(DELTAS[0])
            async with AsyncBroadcast(upstream, limits=ReplayLimits(max_waiting=5)) as broadcast:
                relay = broadcast.subscribe()
                await anext(relay)
                for count in range(2, 40):  # the pump of the iterator takes some before
                    upstream.give(DELTAS[1])
                    await until(lambda: broadcast.last_id == count)  # noqa: B023
                assert broadcast.readers == 0
                body = await body_of(relay)
                *whole, last = body.removesuffix(b"\n\n").split(b"\n\n")
                assert all(record.startswith(b"id: ") for record in whole)
                assert last.startswith(b"data: ")
                assert b"reader_too_slow" in last
                again = await anext(broadcast.subscribe(len(whole) + 1))
                assert again.startswith(b"id: %d\n" % (len(whole) + 2))

        run(loop, main)

    def test_only_who_listens_keeps_it_running(self, loop: str):
        async def main() -> None:
            upstream = AsyncUpstream()
            limits = ReplayLimits(max_waiting=5)
            async with (
                AsyncBroadcast(upstream, limits=limits, cancel_after=0.01) as broadcast,
                anyio.create_task_group() as tasks,
            ):
                slow = Exchange(broadcast.subscribe(), "/", is_blocked=True)
                tasks.start_soon(slow.run)
                await until(lambda: broadcast.readers == 1 or broadcast.is_ended)
                upstream.give(*DELTAS, *DELTAS)
                await until(lambda: broadcast.is_ended)
                slow.left.set()

        run(loop, main)
