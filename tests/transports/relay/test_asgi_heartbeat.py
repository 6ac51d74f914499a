"""The relay as an ASGI application: heartbeats."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import anyio

from moondream_transports.relay import relay
from sansio_moondream import (
    Completed,
    ConnectError,
    Event,
    QueryResult,
    RateLimitError,
    TextDelta,
)
from tests.helpers import delta
from tests.transports.fakes import WHOLE

from .exchanges import HEARTBEAT, Browser, Upstream, on_each_loop, records, run
from .upstreams import ALL, DELTAS, DONE, AsyncUpstream, until


@on_each_loop
class TestHeartbeat:
    def test_it_is_sent_while_the_upstream_is_silent(self, loop: str):
        async def main() -> None:
            browser = Browser()
            async with anyio.create_task_group() as tasks:
                response = relay(Upstream(delta("A")).stream(), heartbeat=0.01)
                tasks.start_soon(browser.ask, response)
                await browser.wait_for(5)
                browser.leave()
            assert browser.parts[:4] == [*records(TextDelta("A")), *[HEARTBEAT] * 3]

        run(loop, main)

    def test_the_first_one_sends_the_head(self, loop: str):
        async def main() -> None:
            browser, fails = Browser(), anyio.Event()

            async def events() -> AsyncIterator[Event]:
                await fails.wait()
                raise RateLimitError("slowly")
                yield

            async with anyio.create_task_group() as tasks:
                tasks.start_soon(browser.ask, relay(events(), heartbeat=0.01))
                await browser.wait_for(3)
                fails.set()
            assert (browser.status, browser.parts[:2]) == (200, [HEARTBEAT] * 2)
            assert browser.parts[-1] == records(RateLimitError("slowly"))[0]
            assert browser.is_ended

        run(loop, main)

    def test_there_is_none_while_the_client_does_not_read(self, loop: str):
        async def main() -> None:
            upstream, browser = Upstream(*WHOLE), Browser(stops_reading_at=1)
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(browser.ask, relay(upstream.stream(), heartbeat=0.01))
                await browser.wait_for(2)
                await anyio.sleep(0.1)
                browser.leave()
            assert (len(browser.messages), upstream.is_closed) == (2, True)

        run(loop, main)

    def test_there_is_none_while_an_error_is_sent(self, loop: str):
        async def main() -> None:
            upstream = Upstream(refuses=ConnectError("no route"))
            browser = Browser(stops_reading_at=0)
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(browser.ask, relay(upstream.stream(), heartbeat=0.01))
                await browser.wait_for(1)
                await anyio.sleep(0.1)
                browser.leave()
            assert [message["status"] for message in browser.messages] == [502]

        run(loop, main)

    def test_an_event_waits_for_the_heartbeat_that_is_being_sent(self, loop: str):
        async def main() -> None:
            browser, may_send, comes = Browser(), anyio.Event(), anyio.Event()
            sending = 0

            async def send(message: Any) -> None:
                nonlocal sending
                sending += 1
                assert sending == 1
                if message.get("body") == HEARTBEAT:
                    comes.set()
                    await may_send.wait()
                await browser.send(message)
                sending -= 1

            async def events() -> AsyncIterator[Event]:
                await comes.wait()
                yield Completed(QueryResult("A"))

            async with anyio.create_task_group() as tasks:
                response = relay(events(), heartbeat=0.01)
                tasks.start_soon(response, {"type": "http"}, browser.receive, send)
                await comes.wait()
                await anyio.wait_all_tasks_blocked()
                may_send.set()
            assert browser.parts == [HEARTBEAT, *records(Completed(QueryResult("A")))]

        run(loop, main)

    def test_none_is_never(self, loop: str):
        async def main() -> None:
            browser = Browser()
            await browser.ask(relay(Upstream(*WHOLE).stream(), heartbeat=None))
            assert browser.is_ended

        run(loop, main)

    def test_there_is_none_behind_the_end(self, loop: str):
        """The source may take long to close. A server refuses what is sent then."""

        async def main() -> None:
            upstream, browser = AsyncUpstream(*DELTAS, DONE, closing=True), Browser()
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(browser.ask, relay(upstream, heartbeat=0.01))
                await until(lambda: upstream.is_closing)
                browser.leave()  # as a server says after each end
                await anyio.sleep(0.05)
                upstream.release()
            assert (browser.parts, browser.is_ended, upstream.closed) == (ALL, True, 1)

        run(loop, main)
