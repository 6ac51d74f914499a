"""The relay as an ASGI application: what is sent, when, and how it ends."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import anyio
import pytest

from moondream_transports import RetryPolicy
from moondream_transports.relay import relay
from sansio_moondream import (
    Completed,
    ConnectError,
    Event,
    QueryResult,
    TextDelta,
)
from sansio_moondream.relay import Format
from tests.helpers import END, delta
from tests.transports.fakes import WHOLE

from .exchanges import Browser, Upstream, decoded, on_each_loop, records, run


@on_each_loop
class TestSending:
    def test_a_whole_answer(self, loop: str):
        async def main() -> None:
            upstream, browser = Upstream(*WHOLE), Browser()
            await browser.ask(relay(upstream.stream()))
            assert browser.status == 200
            assert browser.headers == {
                "content-type": "text/event-stream; charset=utf-8",
                "cache-control": "no-cache, no-transform",
                "x-accel-buffering": "no",
            }
            assert browser.parts[:2] == records(TextDelta("A"), TextDelta(" moon"))
            assert b'"kind":"completed"' in browser.parts[2]
            assert (len(browser.parts), browser.is_ended, upstream.is_closed) == (3, True, True)

        run(loop, main)

    def test_the_format_is_chosen(self, loop: str):
        async def main() -> None:
            for name in (Format.ENGINE, "station", "cloud"):
                browser = Browser()
                await browser.ask(relay(Upstream(*WHOLE).stream(), name))
                *events, last = decoded(browser.parts)
                assert events == [TextDelta("A"), TextDelta(" moon")]
                assert isinstance(last, Completed)

        run(loop, main)

    def test_events_that_arrive_together_are_sent_together(self, loop: str):
        async def main() -> None:
            texts = ["A", " moon", " over", " the", " sea"]
            upstream = Upstream(delta("A"), b"".join(map(delta, texts[1:])), END, b"")
            browser = Browser()
            await browser.ask(relay(upstream.stream()))
            first, *others = records(*map(TextDelta, texts))
            assert browser.parts[:2] == [first, b"".join(others)]
            assert len(browser.parts) == 3

        run(loop, main)

    def test_any_iterable_of_events(self, loop: str):
        async def main() -> None:
            closed = anyio.Event()

            async def events() -> AsyncIterator[Event]:
                try:
                    yield TextDelta("A")
                    yield Completed(QueryResult("A"))
                finally:
                    closed.set()

            browser = Browser()
            await browser.ask(relay(events()))
            assert browser.parts == records(TextDelta("A"), Completed(QueryResult("A")))
            assert closed.is_set()

        run(loop, main)


@on_each_loop
class TestLeaving:
    @pytest.mark.parametrize("steps", [(), (delta("A"),)], ids=["before an event", "after it"])
    def test_the_client_leaves_a_silent_upstream(self, loop: str, steps: tuple[bytes, ...]):
        async def main() -> None:
            upstream, browser = Upstream(*steps), Browser()
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(browser.ask, relay(upstream.stream()))
                await browser.wait_for(2 * len(steps))
                browser.leave()
            assert (upstream.is_closed, browser.is_ended) == (True, False)

        run(loop, main)

    def test_the_client_leaves_before_the_head_of_the_upstream(self, loop: str):
        async def main() -> None:
            upstream, browser = Upstream(), Browser()
            upstream.is_silent_at_head = True
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(browser.ask, relay(upstream.stream()))
                await anyio.wait_all_tasks_blocked()
                browser.leave()
            assert (upstream.is_closed, browser.messages) == (True, [])

        run(loop, main)

    def test_the_client_leaves_in_the_wait_before_a_retry(self, loop: str):
        async def main() -> None:
            upstream = Upstream(refuses=ConnectError("no route"))
            browser = Browser()
            retries = RetryPolicy(initial_backoff=60, max_backoff=60, jitter=0)
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(browser.ask, relay(upstream.stream(retries)))
                await anyio.wait_all_tasks_blocked()
                browser.leave()
            assert (len(upstream.fake.requests), browser.messages) == (1, [])

        run(loop, main)

    def test_the_rest_of_the_request_is_no_disconnect(self, loop: str):
        async def main() -> None:
            browser = Browser()
            unread = [{"type": "http.request", "body": b"{", "more_body": True}] * 3

            async def receive() -> Any:
                return unread.pop() if unread else await browser.receive()

            await relay(Upstream(*WHOLE).stream())({"type": "http"}, receive, browser.send)
            assert browser.is_ended

        run(loop, main)

    @pytest.mark.parametrize("number", range(3))
    def test_a_send_that_fails_ends_it(self, loop: str, number: int):
        """As of version 2.4 of ASGI, `send` raises OSError when the client has left."""

        async def main() -> None:
            upstream = Upstream(*WHOLE[:2])
            browser = Browser(error=BrokenPipeError("the client has left"), fails_at=number)
            await browser.ask(relay(upstream.stream()))
            assert (len(browser.messages), upstream.is_closed) == (number, True)

        run(loop, main)

    def test_another_error_of_send_is_the_servers(self, loop: str):
        async def main() -> None:
            upstream, browser = Upstream(*WHOLE), Browser(error=RuntimeError("a mistake"))
            with pytest.raises(RuntimeError, match="a mistake"):
                await browser.ask(relay(upstream.stream()))
            assert upstream.is_closed

        run(loop, main)

    @pytest.mark.parametrize("number", [None, 0, 1], ids=["in a read", "at the head", "in a send"])
    def test_the_server_cancels_it(self, loop: str, number: int | None):
        async def main() -> None:
            upstream, browser = Upstream(delta("A")), Browser(stops_reading_at=number)
            with anyio.CancelScope() as scope:
                async with anyio.create_task_group() as tasks:
                    tasks.start_soon(browser.ask, relay(upstream.stream()))
                    await browser.wait_for(2 if number is None else number + 1)
                    scope.cancel()
            assert scope.cancelled_caught
            assert (upstream.is_closed, browser.is_ended) == (True, False)

        run(loop, main)


@on_each_loop
class TestAfterOpen:
    """`open` is called first, to look at the head."""

    def test_the_answer(self, loop: str):
        async def main() -> None:
            upstream, browser = Upstream(*WHOLE), Browser()
            response = relay(upstream.stream())
            await response.open()
            assert (response.status_code, browser.messages) == (200, [])
            await browser.ask(response)
            assert (browser.status, browser.is_ended, upstream.is_closed) == (200, True, True)
            assert b"".join(browser.parts).startswith(records(TextDelta("A"))[0])

        run(loop, main)

    def test_the_client_leaves(self, loop: str):
        async def main() -> None:
            upstream, browser = Upstream(delta("A")), Browser()
            response = relay(upstream.stream())
            await response.open()
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(browser.ask, response)
                await browser.wait_for(2)
                browser.leave()
            assert upstream.is_closed

        run(loop, main)

    def test_a_send_that_fails(self, loop: str):
        async def main() -> None:
            upstream, browser = Upstream(delta("A")), Browser(error=ConnectionResetError())
            response = relay(upstream.stream())
            await response.open()
            await browser.ask(response)
            assert upstream.is_closed

        run(loop, main)


def test_other_scopes_are_refused():
    async def main() -> None:
        never: Callable[..., Awaitable[Any]] = anyio.sleep_forever
        with pytest.raises(TypeError, match="'websocket'"):
            await relay(Upstream().stream())({"type": "websocket"}, never, never)

    run("asyncio", main)
