"""AsyncBroadcasts: ids, bounds, and what goes when."""

from __future__ import annotations

import anyio
import pytest

from moondream_transports.relay import AsyncBroadcasts
from sansio_moondream import NotFoundError, ServerError, TextDelta
from sansio_moondream.relay import ReplayLimits

from .asgi import Exchange
from .exchanges import on_each_loop, run
from .upstreams import ALL, DELTAS, DONE, AsyncUpstream, body_of, encoded, until


async def opened(broadcasts: AsyncBroadcasts, *events: object) -> str:
    """Open a broadcast that ends, and return its id when it has."""
    id_ = broadcasts.open(AsyncUpstream(*events or (*DELTAS, DONE)))  # type: ignore[arg-type]
    broadcast = broadcasts.get(id_)
    await until(lambda: broadcast.is_ended)
    return id_


@on_each_loop
def test_by_id(loop: str):
    async def main() -> None:
        async with AsyncBroadcasts() as broadcasts:
            ids = [await opened(broadcasts) for _ in range(20)]
            assert len(set(ids)) == len(broadcasts) == 20
            assert all(len(id_) == 22 and id_.isascii() for id_ in ids)  # 128 bits in base64
            assert await body_of(broadcasts.get(ids[7]).subscribe(2)) == ALL[2]
            assert broadcasts.kept_bytes == 20 * len(b"".join(ALL))
            for unknown in ("", ids[7][:-1], ids[7] + "x"):
                with pytest.raises(NotFoundError) as caught:
                    broadcasts.get(unknown)
                assert caught.value.type == "stream_not_found"

    run(loop, main)


@on_each_loop
def test_what_was_kept_for_long_enough_goes_by_itself(loop: str):
    async def main() -> None:
        async with AsyncBroadcasts(limits=ReplayLimits(keep_seconds=0)) as broadcasts:
            upstream = AsyncUpstream(DELTAS[0])
            running = broadcasts.open(upstream)
            endless = AsyncUpstream(*DELTAS, DONE, ends=False)
            id_ = broadcasts.open(endless)
            await until(lambda: len(broadcasts) == 1)
            await until(lambda: endless.closed)
            with pytest.raises(NotFoundError):
                broadcasts.get(id_)
            assert not broadcasts.get(running).is_ended
            upstream.give(DONE)
            await until(lambda: len(broadcasts) == broadcasts.kept_bytes == 0)
            await opened(broadcasts)  # and again
            await until(lambda: len(broadcasts) == 0)

    run(loop, main)


@on_each_loop
def test_readers_get_the_rest_of_what_has_gone(loop: str):
    async def main() -> None:
        async with AsyncBroadcasts(max_bytes=0) as broadcasts:
            upstream = AsyncUpstream(DELTAS[0])
            id_ = broadcasts.open(upstream)
            broadcast = broadcasts.get(id_)
            relay = broadcast.subscribe()
            assert await anext(relay) == ALL[0]
            upstream.give(DELTAS[1], DONE)
            await until(lambda: len(broadcasts) == 0)
            assert (broadcast.is_closed, broadcast.kept_bytes) == (True, 0)
            assert await body_of(relay) == b"".join(ALL[1:])
            late = broadcast.subscribe()
            assert b"stream_not_found" in await body_of(late)
            assert late.status_code == 404

    run(loop, main)


@on_each_loop
def test_too_many(loop: str):
    """Of those that have ended, the oldest goes. One that runs does not."""

    async def main() -> None:
        async with AsyncBroadcasts(max_broadcasts=3, retry_after=7) as broadcasts:
            first = broadcasts.open(AsyncUpstream())
            ended = [await opened(broadcasts) for _ in range(2)]
            third = broadcasts.open(AsyncUpstream())
            with pytest.raises(NotFoundError):
                broadcasts.get(ended[0])
            broadcasts.open(AsyncUpstream())
            assert len(broadcasts) == 3
            for id_ in (first, third):
                assert not broadcasts.get(id_).is_ended
            with pytest.raises(ServerError) as caught:
                broadcasts.open(AsyncUpstream())
            assert (caught.value.type, caught.value.retry_after) == ("too_many_streams", 7)

    run(loop, main)


@on_each_loop
def test_too_many_bytes(loop: str):
    async def main() -> None:
        size = len(b"".join(encoded(TextDelta("x" * 1000), DONE)))
        async with AsyncBroadcasts(max_bytes=2 * size) as broadcasts:
            ids = [await opened(broadcasts, TextDelta("x" * 1000), DONE) for _ in range(4)]
            await until(lambda: broadcasts.kept_bytes <= 2 * size)
            assert len(broadcasts) == 2
            assert [broadcasts.get(id_).last_id for id_ in ids[2:]] == [2, 2]

    run(loop, main)


@on_each_loop
def test_cancelling(loop: str):
    async def main() -> None:
        upstream = AsyncUpstream(DELTAS[0])
        async with AsyncBroadcasts() as broadcasts:
            id_ = broadcasts.open(upstream)
            relay = broadcasts.get(id_).subscribe()
            await anext(relay)
            broadcasts.cancel(id_)
            for call in (broadcasts.get, broadcasts.cancel):
                with pytest.raises(NotFoundError):
                    call(id_)
            assert b"stream_cancelled" in await body_of(relay)
            await until(lambda: upstream.closed)

    run(loop, main)


@on_each_loop
def test_the_end_of_the_server(loop: str):
    async def main() -> None:
        upstreams = [AsyncUpstream(DELTAS[0]) for _ in range(3)]
        exchanges: list[Exchange] = []
        broadcasts = AsyncBroadcasts()
        async with anyio.create_task_group() as tasks:
            for upstream in upstreams:
                broadcast = broadcasts.get(broadcasts.open(upstream))
                exchanges.append(Exchange(broadcast.subscribe(), "/"))
                tasks.start_soon(exchanges[-1].run)
            await until(lambda: all(exchange.body for exchange in exchanges))
            await broadcasts.aclose()
            await broadcasts.aclose()
        for exchange in exchanges:
            assert exchange.is_complete
            assert b'"type":"server_stopping"' in exchange.body
        assert [upstream.closed for upstream in upstreams] == [1, 1, 1]
        with pytest.raises(ServerError) as caught:
            broadcasts.open(AsyncUpstream())
        assert caught.value.type == "server_stopping"

    run(loop, main)


def test_names():
    assert len(AsyncBroadcasts(name="Worker_7")) == 0
    for name in ("a-b", "a/b", "é", "a\n", " "):
        with pytest.raises(ValueError, match="name should have letters"):
            AsyncBroadcasts(name=name)
