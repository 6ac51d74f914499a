"""AsyncBroadcast on both event loops: who gets what, and how it ends."""

from __future__ import annotations

import gc
import logging
from typing import Any

import anyio
import pytest

from moondream_transports import AsyncClient
from moondream_transports.relay import AsyncBroadcast, AsyncRelay, AsyncRelayGroup
from sansio_moondream import LocalProtocolError, RateLimitError, TextDelta
from sansio_moondream.relay import EventsEncoder, Format, ReplayLimits
from tests.helpers import END, QUERY, delta
from tests.transports.fakes import ENDPOINT, AsyncFakeStream, FakeStream

from .asgi import Exchange
from .exchanges import on_each_loop, run
from .upstreams import DELTAS, DONE, AsyncUpstream, encoded, until

BEAT = EventsEncoder.heartbeat
ALL = encoded(*DELTAS, DONE)


async def body_of(relay: AsyncRelay) -> bytes:
    return b"".join([part async for part in relay])


@on_each_loop
class TestReaders:
    @pytest.mark.parametrize("as_application", [False, True])
    def test_all_get_all_whenever_they_come(self, loop: str, as_application: bool):
        async def main() -> None:
            upstream = AsyncUpstream()
            bodies: dict[str, bytes] = {}

            async def read(name: str, last_id: int | None = None) -> None:
                relay = broadcast.subscribe(last_id)
                if as_application:
                    bodies[name] = (await Exchange(relay, "/").run()).body
                else:
                    bodies[name] = await body_of(relay)

            async with AsyncBroadcast(upstream) as broadcast, anyio.create_task_group() as tasks:
                tasks.start_soon(read, "first")
                tasks.start_soon(read, "also first")
                upstream.give(DELTAS[0])
                await until(lambda: broadcast.last_id == 1 and broadcast.readers == 2)
                tasks.start_soon(read, "later")
                tasks.start_soon(read, "again", 1)
                await until(lambda: broadcast.readers == 4)
                upstream.give(DELTAS[1], DONE)
                await until(lambda: broadcast.is_ended)
                tasks.start_soon(read, "late")
                tasks.start_soon(read, "late again", 2)
            assert bodies == {
                "first": b"".join(ALL),
                "also first": b"".join(ALL),
                "later": b"".join(ALL),
                "again": b"".join(ALL[1:]),
                "late": b"".join(ALL),
                "late again": b"".join(ALL[2:]),
            }
            assert (broadcast.readers, upstream.closed) == (0, 1)

        run(loop, main)

    def test_a_stream_of_a_client(self, loop: str):
        async def main() -> None:
            transport = FakeStream(delta("A"), delta(" moon"), END, b"")
            stream = AsyncClient(AsyncFakeStream(transport), ENDPOINT).stream(QUERY)
            async with AsyncBroadcast(stream) as broadcast:
                body = await body_of(broadcast.subscribe())
                await until(lambda: transport.closed)
            assert body.startswith(b"".join(ALL[:2]))
            assert body.count(b"\n\n") == 3
            assert (len(transport.requests), transport.closed) == (1, 1)

        run(loop, main)

    def test_another_format(self, loop: str):
        async def main() -> None:
            async with AsyncBroadcast(AsyncUpstream(*DELTAS, DONE), "engine") as broadcast:
                first = await body_of(broadcast.subscribe())
                assert first.startswith(b'data: {"chunk": "A"') or b'"chunk":"A"' in first
                assert await body_of(broadcast.subscribe()) == first

        run(loop, main)

    def test_silence_has_heartbeats(self, loop: str):
        async def main() -> None:
            async with AsyncBroadcast(AsyncUpstream(DELTAS[0])) as broadcast:
                relay = broadcast.subscribe(heartbeat=0.01)
                assert [await anext(relay) for _ in range(3)] == [
                    ALL[0],
                    EventsEncoder.heartbeat,
                    EventsEncoder.heartbeat,
                ]
                assert (relay.status_code, dict(relay.headers)["x-accel-buffering"]) == (200, "no")
                await relay.aclose()
                assert broadcast.readers == 0

        run(loop, main)

    @pytest.mark.parametrize(
        ("last_id", "status_code"), [("3", 204), ("4", 400), ("-1", 400), ("x", 400), (4, 400)]
    )
    def test_ids_that_have_nothing_behind_them(
        self, loop: str, last_id: str | int, status_code: int
    ):
        async def main() -> None:
            async with AsyncBroadcast(AsyncUpstream(*DELTAS, DONE)) as broadcast:
                await until(lambda: broadcast.is_ended)
                relay = broadcast.subscribe(last_id)
                body = await body_of(relay)
                assert relay.status_code == status_code
                assert body == b"" if status_code == 204 else b"last_event_id" in body
                assert broadcast.readers == 0

        run(loop, main)

    def test_records_that_are_no_longer_kept(self, loop: str):
        async def main() -> None:
            limits = ReplayLimits(max_bytes=len(ALL[1]) + len(ALL[2]))
            async with AsyncBroadcast(AsyncUpstream(*DELTAS, DONE), limits=limits) as broadcast:
                await until(lambda: broadcast.is_ended)
                relay = broadcast.subscribe()
                assert b"records_not_kept" in await body_of(relay)
                assert relay.status_code == 404
                assert await body_of(broadcast.subscribe(1)) == b"".join(ALL[1:])

        run(loop, main)

    def test_a_group_counts_and_drains_them(self, loop: str):
        async def main() -> None:
            group = AsyncRelayGroup(max_streams=1)
            async with AsyncBroadcast(AsyncUpstream(DELTAS[0])) as broadcast:
                relay = broadcast.subscribe(group=group)
                assert await anext(relay) == ALL[0]
                assert (
                    await Exchange(broadcast.subscribe(group=group), "/").run()
                ).status_code == 503
                async with anyio.create_task_group() as tasks:
                    tasks.start_soon(group.drain, 0)
                    last = await body_of(relay)
                assert b'"type":"server_stopping"' in last
                assert not last.startswith(b"id:")  # so it comes again behind the last event
                assert not broadcast.is_ended

        run(loop, main)


@on_each_loop
class TestEnds:
    @pytest.mark.parametrize("after", [0, 1])
    def test_an_error_is_a_record_for_all(self, loop: str, after: int):
        async def main() -> None:
            upstream = AsyncUpstream(*DELTAS[:after], RateLimitError("wait", status_code=429))
            async with AsyncBroadcast(upstream) as broadcast:
                await until(lambda: broadcast.is_ended)
                for _ in range(2):
                    relay = broadcast.subscribe()
                    body = await body_of(relay)
                    assert relay.status_code == 200
                    assert body.startswith(b"".join(ALL[:after]) + b"id: %d\n" % (after + 1))
                    assert b'"kind":"rate_limit_error"' in body
                assert upstream.closed == 1

        run(loop, main)

    def test_a_mistake_is_logged_and_says_nothing(
        self, loop: str, caplog: pytest.LogCaptureFixture
    ):
        async def main() -> None:
            async with AsyncBroadcast(AsyncUpstream(ValueError("a secret"))) as broadcast:
                body = await body_of(broadcast.subscribe())
                assert b"internal_error" in body
                assert b"secret" not in body

        with caplog.at_level(logging.ERROR):
            run(loop, main)
        assert "a secret" in caplog.text

    def test_events_without_an_end(self, loop: str):
        async def main() -> None:
            async def cut() -> Any:
                yield DELTAS[0]

            async with AsyncBroadcast(cut()) as broadcast:
                assert b'"kind":"incomplete_stream"' in await body_of(broadcast.subscribe())

        run(loop, main)

    @pytest.mark.parametrize("how", ["cancel", "aclose"])
    def test_it_is_ended_from_outside(self, loop: str, how: str):
        async def main() -> None:
            upstream = AsyncUpstream(DELTAS[0])
            async with AsyncBroadcast(upstream) as broadcast:
                relay = broadcast.subscribe()
                assert await anext(relay) == ALL[0]
                if how == "cancel":
                    broadcast.cancel()
                else:
                    await broadcast.aclose()
                expected = b"stream_cancelled" if how == "cancel" else b"server_stopping"
                assert expected in await body_of(relay)
                late = await body_of(broadcast.subscribe())
                assert late.startswith(ALL[0] + b"id: 2\n")
                assert expected in late
                await until(lambda: upstream.closed)
                broadcast.cancel()  # without effect
                await broadcast.aclose()
            assert (upstream.closed, broadcast.last_id) == (1, 2)

        run(loop, main)

    def test_at_once(self, loop: str):
        """Before its task has run for the first time."""

        async def main() -> None:
            async with AsyncBroadcast(AsyncUpstream()) as broadcast:
                relay = broadcast.subscribe()
            assert b"server_stopping" in await body_of(relay)

        run(loop, main)

    def test_it_starts_once(self, loop: str):
        async def main() -> None:
            broadcast = AsyncBroadcast(AsyncUpstream(DONE))
            with pytest.raises(LocalProtocolError, match="has not started"):
                broadcast.subscribe()
            async with broadcast:
                with pytest.raises(LocalProtocolError, match="has started before"):
                    broadcast.start()

        run(loop, main)


@on_each_loop
class TestNobodyListens:
    def test_it_goes_on(self, loop: str):
        async def main() -> None:
            async with AsyncBroadcast(AsyncUpstream(*DELTAS, DONE)) as broadcast:
                await until(lambda: broadcast.is_ended)
                assert await body_of(broadcast.subscribe()) == b"".join(ALL)

        run(loop, main)

    def test_or_is_cancelled(self, loop: str):
        async def main() -> None:
            upstream = AsyncUpstream(DELTAS[0])
            async with AsyncBroadcast(upstream, cancel_after=0.01) as broadcast:
                await until(lambda: broadcast.is_ended)
                assert b"stream_cancelled" in await body_of(broadcast.subscribe())
            assert upstream.closed == 1

        run(loop, main)

    def test_or_is_cancelled_when_the_last_reader_has_left(self, loop: str):
        async def main() -> None:
            async with AsyncBroadcast(AsyncUpstream(DELTAS[0]), cancel_after=1) as broadcast:
                relay = broadcast.subscribe()
                await anext(relay)
                await anyio.sleep(1.1)
                assert not broadcast.is_ended
                await relay.aclose()
                await until(lambda: broadcast.is_ended)

        run(loop, main)

    def test_one_who_comes_back_in_time_finds_it_running(self, loop: str):
        async def main() -> None:
            upstream = AsyncUpstream(DELTAS[0])
            async with AsyncBroadcast(upstream, cancel_after=20) as broadcast:
                for _ in range(3):
                    relay = broadcast.subscribe()
                    assert await anext(relay) == ALL[0]
                    await relay.aclose()
                upstream.give(DELTAS[1], DONE)
                assert await body_of(broadcast.subscribe(1)) == b"".join(ALL[1:])

        run(loop, main)

    @pytest.mark.parametrize("seconds", [0, -1, float("nan")])
    def test_times_that_make_no_sense(self, loop: str, seconds: float):
        with pytest.raises(ValueError, match="cancel_after should be more than 0"):
            AsyncBroadcast(AsyncUpstream(), cancel_after=seconds)


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


@on_each_loop
def test_nothing_is_left_of_many_readers(loop: str):
    async def main() -> None:
        upstream = AsyncUpstream(DELTAS[0])
        async with AsyncBroadcast(upstream) as broadcast:
            relays = [broadcast.subscribe() for _ in range(100)]
            for relay in relays:
                await anext(relay)
            assert broadcast.readers == 100
            for relay in relays[:50]:
                await relay.aclose()
            assert broadcast.readers == 50
            relays.clear()
            del relay
            gc.collect()  # those that were dropped leave, too
            await until(lambda: broadcast.readers == 0)

    run(loop, main)


def test_formats_are_checked():
    with pytest.raises(ValueError, match="format should be one of"):
        AsyncBroadcast(AsyncUpstream(), "html")
    assert AsyncBroadcast(AsyncUpstream(), Format.EVENTS).last_id == 0
