"""The relay as an async iterator, for frameworks that iterate over the body of a response."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncGenerator, AsyncIterator

import anyio
import pytest

from moondream_transports.relay import AsyncRelay, AsyncRelayGroup, relay
from sansio_moondream import (
    Completed,
    ConnectError,
    Event,
    LocalProtocolError,
    QueryResult,
    RateLimitError,
    TextDelta,
)
from sansio_moondream.relay import SSE_HEADERS
from tests.helpers import delta
from tests.transports.fakes import WHOLE

from .exchanges import HEARTBEAT, Browser, Upstream, on_each_loop, records, run
from .upstreams import DELTAS, DONE, AsyncUpstream, body_of

HEAD = [TextDelta("A"), TextDelta(" moon")]


async def parts_of(response: AsyncRelay) -> list[bytes]:
    return [part async for part in response]


async def until_closed(upstream: Upstream) -> None:
    while not upstream.is_closed:  # noqa: ASYNC110
        await anyio.sleep(0.001)  # a task that was cancelled closes it


@on_each_loop
class TestIterating:
    def test_a_whole_answer(self, loop: str):
        async def main() -> None:
            upstream = Upstream(*WHOLE)
            response = relay(upstream.stream())
            body = b"".join(await parts_of(response))
            assert (response.status_code, response.headers) == (200, SSE_HEADERS)
            assert body.startswith(b"".join(records(*HEAD)))
            assert body.count(b'"kind":"completed"') == 1
            assert upstream.is_closed
            assert await parts_of(response) == []

        run(loop, main)

    def test_open_fixes_the_head(self, loop: str):
        async def main() -> None:
            response = relay(Upstream(*WHOLE).stream())
            for name in ("status_code", "headers"):
                with pytest.raises(LocalProtocolError, match="call `open` first"):
                    getattr(response, name)
            await response.open()
            await response.open()
            assert response.status_code == 200
            assert (await anext(response)).startswith(records(*HEAD)[0])
            await response.aclose()

        run(loop, main)

    def test_an_error_before_the_first_event_is_the_response(self, loop: str):
        async def main() -> None:
            response = relay(Upstream(refuses=ConnectError("no route")).stream())
            await response.open()
            assert response.status_code == 502
            assert response.headers == (("content-type", "application/json"),)
            (body,) = await parts_of(response)
            assert b'"error"' in body

        run(loop, main)

    def test_an_error_in_the_stream_is_the_last_part(self, loop: str):
        async def main() -> None:
            async def events() -> AsyncIterator[Event]:
                yield TextDelta("A")
                raise RateLimitError("slowly")

            body = b"".join(await parts_of(relay(events())))
            assert body.startswith(records(TextDelta("A"))[0])
            assert body.count(b'"kind":"rate_limit_error"') == 1

        run(loop, main)

    def test_heartbeats(self, loop: str):
        async def main() -> None:
            goes_on = anyio.Event()

            async def events() -> AsyncIterator[Event]:
                await goes_on.wait()
                yield Completed(QueryResult("A"))

            response = relay(events(), heartbeat=0.01)
            await response.open()
            assert response.status_code == 200
            assert [await anext(response) for _ in range(3)] == [HEARTBEAT] * 3
            goes_on.set()
            rest = [part for part in await parts_of(response) if part != HEARTBEAT]
            assert rest == records(Completed(QueryResult("A")))

        run(loop, main)

    def test_a_reader_that_is_slow_holds_the_upstream_back(self, loop: str):
        async def main() -> None:
            made = 0

            async def events() -> AsyncIterator[Event]:
                nonlocal made
                for _ in range(100):
                    made += 1
                    yield TextDelta("A")
                yield Completed(QueryResult("A" * 100))

            response = relay(events())
            await response.open()
            await anyio.wait_all_tasks_blocked()
            assert made < 50
            body = b"".join(await parts_of(response))
            assert (made, body.count(b"data:")) == (100, 101)

        run(loop, main)


@on_each_loop
class TestLeaving:
    """The upstream is closed however the reader leaves."""

    def test_aclose(self, loop: str):
        async def main() -> None:
            upstream = Upstream(delta("A"))
            response = relay(upstream.stream())
            await anext(response)
            await response.aclose()
            assert upstream.is_closed
            assert await parts_of(response) == []
            await response.aclose()

        run(loop, main)

    def test_before_it_was_opened(self, loop: str):
        async def main() -> None:
            upstream = Upstream(delta("A"))
            response = relay(upstream.stream())
            await response.aclose()
            with pytest.raises(LocalProtocolError, match="was sent or closed before"):
                await response.open()
            assert upstream.fake.requests == []

        run(loop, main)

    def test_it_is_never_started(self, loop: str):
        async def main() -> None:
            upstream = Upstream(delta("A"))
            relay(upstream.stream())
            gc.collect()
            assert upstream.fake.requests == []

        run(loop, main)

    @pytest.mark.parametrize("takes", [0, 1])
    def test_it_is_dropped(self, loop: str, takes: int):
        async def main() -> None:
            upstream = Upstream(delta("A"))
            response = relay(upstream.stream())
            await response.open()
            for _ in range(takes):
                await anext(response)
            del response
            gc.collect()
            await until_closed(upstream)

        run(loop, main)

    @pytest.mark.parametrize("takes", [0, 1])
    def test_its_reader_is_cancelled(self, loop: str, takes: int):
        async def main() -> None:
            upstream = Upstream(*[delta("A")] * takes)
            response = relay(upstream.stream())
            with anyio.CancelScope() as scope:
                async with anyio.create_task_group() as tasks:
                    for _ in range(takes):
                        await anext(response)
                    tasks.start_soon(anext, response)
                    await anyio.wait_all_tasks_blocked()
                    scope.cancel()
            assert scope.cancelled_caught
            await until_closed(upstream)

        run(loop, main)

    def test_a_generator_around_it_is_closed(self, loop: str):
        async def main() -> None:
            upstream = Upstream(delta("A"))
            response = relay(upstream.stream())

            async def framework(parts: AsyncIterator[bytes]) -> AsyncGenerator[bytes]:
                async for part in parts:
                    yield part

            body = framework(response)
            await anext(body)
            await body.aclose()
            del body, response
            gc.collect()
            await until_closed(upstream)

        run(loop, main)


def test_dropped_after_its_event_loop(recwarn: pytest.WarningsRecorder):
    """The tasks of a loop are cancelled when it ends, and so is the pump."""
    upstream = Upstream(delta("A"))
    responses: list[AsyncRelay] = []

    async def main() -> None:
        responses.append(relay(upstream.stream()))
        await anext(responses[0])

    asyncio.run(main())
    assert upstream.is_closed
    responses.clear()
    gc.collect()
    assert list(recwarn) == []


@on_each_loop
class TestOnce:
    def test_a_response_is_not_sent_twice(self, loop: str):
        """The second one would be an empty body with status 200."""

        async def main() -> None:
            for is_opened in (False, True):
                response = relay(AsyncUpstream(*DELTAS, DONE))
                if is_opened:
                    await response.open()
                await Browser().ask(response)
                browser = Browser()
                with pytest.raises(LocalProtocolError, match="make one for each request"):
                    await browser.ask(response)
                assert browser.messages == []

        run(loop, main)

    def test_a_source_that_was_not_begun_is_closed(self, loop: str):
        async def main() -> None:
            upstream = AsyncUpstream()
            await relay(upstream).aclose()
            assert upstream.closed == 1
            refused = AsyncUpstream()
            body = await body_of(relay(refused, group=AsyncRelayGroup(0)))
            assert b"too_many_streams" in body
            assert refused.closed == 1

        run(loop, main)
