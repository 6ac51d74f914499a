"""AsyncBroadcast on both event loops: how it ends, and when nobody listens."""

from __future__ import annotations

import logging
from typing import Any

import anyio
import pytest

from moondream_transports.relay import AsyncBroadcast
from sansio_moondream import LocalProtocolError, RateLimitError

from .exchanges import on_each_loop, run
from .upstreams import ALL, DELTAS, DONE, AsyncUpstream, body_of, until


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

    def test_the_closing_after_a_whole_answer_is_not_cancelled(self, loop: str):
        async def main() -> None:
            upstream = AsyncUpstream(*DELTAS, DONE, closing=True)
            async with AsyncBroadcast(upstream) as broadcast:
                await until(lambda: upstream.is_closing)
                broadcast.cancel()
                await anyio.wait_all_tasks_blocked()
                upstream.release()
            assert upstream.closed == 1

        run(loop, main)

    def test_the_closing_is_not_cancelled_by_a_second_end(self, loop: str):
        async def main() -> None:
            upstream = AsyncUpstream(*DELTAS, closing=True)
            async with AsyncBroadcast(upstream) as broadcast:
                await until(lambda: broadcast.last_id)
                broadcast.cancel()
                await until(lambda: upstream.is_closing)
                broadcast.cancel()
                broadcast.expire(early=True)  # as `AsyncBroadcasts` does each second
                await anyio.wait_all_tasks_blocked()
                upstream.release()
            assert upstream.closed == 1

        run(loop, main)
