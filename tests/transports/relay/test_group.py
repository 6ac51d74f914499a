"""Groups of relays: admission, and the drain of a server that stops."""

from __future__ import annotations

import gc
import threading
from collections.abc import AsyncIterator
from time import monotonic

import anyio
import pytest

from moondream_transports.relay import AsyncRelay, AsyncRelayGroup, relay
from sansio_moondream import Completed, ConnectError, Event, QueryResult, TextDelta
from tests.helpers import delta
from tests.transports.fakes import WHOLE

from .exchanges import HEARTBEAT, SECONDS, Browser, Upstream, on_each_loop, records, run
from .upstreams import DELTAS, AsyncUpstream, until


async def refused(group: AsyncRelayGroup) -> Browser:
    """Ask for one more, which is refused without asking the upstream."""
    upstream, browser = Upstream(*WHOLE), Browser()
    await browser.ask(relay(upstream.stream(), group=group))
    assert upstream.fake.requests == []
    assert (browser.status, browser.is_ended) == (503, True)
    return browser


@on_each_loop
class TestAdmission:
    def test_one_more_than_allowed_is_refused(self, loop: str):
        async def main() -> None:
            group = AsyncRelayGroup(max_streams=1, retry_after=2.5)
            upstream, browser = Upstream(delta("A")), Browser()
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(browser.ask, relay(upstream.stream(), group=group))
                await browser.wait_for(2)
                assert group.open_streams == 1
                other = await refused(group)
                assert (other.headers["retry-after"], group.open_streams) == ("3", 1)
                assert b"too_many_streams" in other.parts[0]
                iterator = relay(Upstream().stream(), group=group)
                await iterator.open()
                assert iterator.status_code == 503
                assert [b"too_many_streams" in part async for part in iterator] == [True]
                browser.leave()
            assert group.open_streams == 0
            browser = Browser()
            await browser.ask(relay(Upstream(*WHOLE).stream(), group=group))
            assert browser.status == 200

        run(loop, main)

    def test_it_is_counted_until_it_ends_however_it_ends(self, loop: str):
        async def main() -> None:
            group = AsyncRelayGroup(max_streams=1)
            for upstream, browser in [
                (Upstream(*WHOLE), Browser()),
                (Upstream(refuses=ConnectError("no route")), Browser()),
                (Upstream(delta("A"), ZeroDivisionError()), Browser()),
                (Upstream(delta("A")), Browser(error=BrokenPipeError())),
            ]:
                await browser.ask(relay(upstream.stream(), group=group))
                assert group.open_streams == 0
            browser = Browser(error=RuntimeError("a mistake"))
            with pytest.raises(RuntimeError):
                await browser.ask(relay(Upstream(*WHOLE).stream(), group=group))
            assert group.open_streams == 0
            response = relay(Upstream(delta("A")).stream(), group=group)
            await anext(response)
            assert group.open_streams == 1
            await response.aclose()
            assert group.open_streams == 0
            response = relay(Upstream(delta("A")).stream(), group=group)
            await anext(response)
            del response
            assert group.open_streams == 0
            async for _ in relay(Upstream(*WHOLE).stream(), group=group):
                assert group.open_streams <= 1
            assert group.open_streams == 0

        run(loop, main)

    def test_without_a_limit(self, loop: str):
        async def main() -> None:
            group = AsyncRelayGroup()
            responses = [relay(Upstream(delta("A")).stream(), group=group) for _ in range(20)]
            for response in responses:
                await response.open()
            assert {response.status_code for response in responses} == {200}
            assert group.open_streams == 20
            for response in responses:
                await response.aclose()

        run(loop, main)


@on_each_loop
class TestDrain:
    def test_without_streams_it_returns_at_once(self, loop: str):
        async def main() -> None:
            group = AsyncRelayGroup()
            assert not group.is_draining
            before = monotonic()
            await group.drain(60)
            assert monotonic() - before < 30
            assert group.is_draining
            other = await refused(group)
            assert b"server_stopping" in other.parts[0]
            assert other.headers["retry-after"] == "1"

        run(loop, main)

    def test_a_stream_may_finish(self, loop: str):
        async def main() -> None:
            group, browser, goes_on = AsyncRelayGroup(), Browser(), anyio.Event()

            async def events() -> AsyncIterator[Event]:
                yield TextDelta("A")
                await goes_on.wait()
                yield Completed(QueryResult("A"))

            async with anyio.create_task_group() as tasks:
                tasks.start_soon(browser.ask, relay(events(), group=group))
                await browser.wait_for(2)
                tasks.start_soon(group.drain, 60)
                await anyio.wait_all_tasks_blocked()
                await refused(group)
                goes_on.set()
            assert browser.parts == records(TextDelta("A"), Completed(QueryResult("A")))

        run(loop, main)

    @pytest.mark.parametrize("format_", ["events", "engine"])
    def test_what_runs_at_the_deadline_is_ended_in_its_format(self, loop: str, format_: str):
        async def main() -> None:
            group = AsyncRelayGroup()
            upstreams = [Upstream(delta("A")), Upstream()]
            browsers = [Browser(), Browser()]
            iterated = Upstream(delta("A"))
            iterator = relay(iterated.stream(), format_, group=group)
            await iterator.open()
            async with anyio.create_task_group() as tasks:
                for browser, upstream in zip(browsers, upstreams, strict=True):
                    tasks.start_soon(browser.ask, relay(upstream.stream(), format_, group=group))
                await browsers[0].wait_for(2)
                tasks.start_soon(group.drain, 0.01)
                parts = [part async for part in iterator]
            started, waiting = browsers
            assert (started.status, waiting.status) == (200, 503)
            for last in (started.parts[-1], waiting.parts[-1], parts[-1]):
                assert b"server_stopping" in last or b"this server stops" in last
            assert waiting.headers["retry-after"] == "1"
            assert all(browser.is_ended for browser in browsers)
            assert all(upstream.is_closed for upstream in (*upstreams, iterated))
            assert group.open_streams == 0

        run(loop, main)

    def test_a_client_that_reads_nothing_does_not_hold_it_up(self, loop: str):
        async def main() -> None:
            group = AsyncRelayGroup()
            upstream, browser = Upstream(*WHOLE), Browser(stops_reading_at=1)
            browser.stops_for_good = True
            iterated = Upstream(delta("A"))
            iterator = relay(iterated.stream(), group=group)
            await anext(iterator)
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(browser.ask, relay(upstream.stream(), group=group))
                await browser.wait_for(2)
                await group.drain(0)
                assert (upstream.is_closed, iterated.is_closed) == (True, True)
            assert group.open_streams == 1  # the iterator, of which nobody took the end
            await iterator.aclose()
            assert group.open_streams == 0

        run(loop, main)

    def test_a_heartbeat_that_is_not_read(self, loop: str):
        async def main() -> None:
            group = AsyncRelayGroup()
            upstream, browser = Upstream(), Browser(stops_reading_at=1)
            async with anyio.create_task_group() as tasks:
                response = relay(upstream.stream(), heartbeat=0.01, group=group)
                tasks.start_soon(browser.ask, response)
                await browser.wait_for(2)
                await group.drain(0)
            assert browser.parts[0] == HEARTBEAT
            assert b"server_stopping" in browser.parts[1]
            assert browser.is_ended

        run(loop, main)

    def test_the_drain_is_cancelled(self, loop: str):
        async def main() -> None:
            group = AsyncRelayGroup()
            response = relay(Upstream(delta("A")).stream(), group=group)
            await response.open()
            with anyio.move_on_after(0.01):
                await group.drain(60)
            assert (group.is_draining, group.open_streams) == (True, 1)
            await response.aclose()

        run(loop, main)

    def test_a_second_drain_does_not_cancel_the_closing(self, loop: str):
        async def main() -> None:
            group, browser = AsyncRelayGroup(), Browser()
            upstream = AsyncUpstream(*DELTAS, closing=True)
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(browser.ask, relay(upstream, group=group))
                await browser.wait_for(2)
                tasks.start_soon(group.drain, 0)
                await until(lambda: upstream.is_closing)
                tasks.start_soon(group.drain, 0)
                await anyio.wait_all_tasks_blocked()
                upstream.release()
            assert (upstream.closed, browser.is_ended) == (1, True)

        run(loop, main)

    def test_it_ends_when_a_finalizer_in_a_thread_releases_the_last(self, loop: str):
        async def main() -> None:
            group = AsyncRelayGroup()
            response = relay(AsyncUpstream(DELTAS[0]), group=group)
            await response.open()

            class Owner:
                def __init__(self, response: AsyncRelay) -> None:
                    self.response = response
                    self.itself = self  # so that only a collection finalizes it

            Owner(response)
            del response
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(group.drain, 2 * SECONDS)
                await anyio.wait_all_tasks_blocked()
                thread = threading.Thread(target=gc.collect)
                thread.start()
            thread.join()
            assert group.open_streams == 0

        run(loop, main)
