"""AsyncBroadcast on both event loops: who gets what."""

from __future__ import annotations

import gc

import anyio
import pytest

from moondream_transports import AsyncClient
from moondream_transports.relay import AsyncBroadcast, AsyncRelayGroup
from sansio_moondream.relay import EventsEncoder, Format, ReplayLimits
from tests.helpers import END, QUERY, delta
from tests.transports.fakes import ENDPOINT, AsyncFakeStream, FakeStream

from .asgi import Exchange
from .exchanges import on_each_loop, run
from .upstreams import ALL, DELTAS, DONE, AsyncUpstream, body_of, until


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
