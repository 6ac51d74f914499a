"""The relay as an ASGI application: what is sent, when, and how it ends."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import anyio
import pytest

from moondream_transports import AsyncClient, RetryPolicy
from moondream_transports.relay import relay
from sansio_moondream import (
    Completed,
    ConnectError,
    ConnectionLost,
    Event,
    FirstEventTimeout,
    QueryResult,
    RateLimitError,
    ResponseStream,
    TextDelta,
)
from sansio_moondream.relay import EventsEncoder, Format
from tests.helpers import END, QUERY, delta, record
from tests.transports.fakes import ENDPOINT, WHOLE, AsyncFakeStream, FakeStream

from .exchanges import HEARTBEAT, Browser, Upstream, on_each_loop, records, run


def decoded(parts: list[bytes]) -> list[Event]:
    """Return the events in a body of the engine's format."""
    stream = ResponseStream(QUERY)
    stream.receive_response(200, {"content-type": "text/event-stream"})
    for part in parts:
        stream.receive_data(part)
    stream.receive_eof()
    return list(stream.events())


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
class TestErrors:
    @pytest.mark.parametrize(
        ("upstream", "status"),
        [
            (lambda: Upstream(refuses=ConnectError("no route to 10.0.0.7")), 502),
            (lambda: Upstream(FirstEventTimeout("too late")), 504),
            (lambda: Upstream(b""), 502),
        ],
        ids=["no connection", "no event in time", "nothing"],
    )
    @pytest.mark.parametrize("format", ["events", "engine", "openai"])
    def test_before_the_first_event_an_error_is_the_response(
        self, loop: str, format: str, upstream: Callable[[], Upstream], status: int
    ):
        async def main() -> None:
            browser = Browser()
            await browser.ask(relay(upstream().stream(), format))
            assert (browser.status, browser.is_ended) == (status, True)
            assert browser.headers == {"content-type": "application/json"}
            assert b"10.0.0.7" not in b"".join(browser.parts)

        run(loop, main)

    def test_a_refusal_of_the_upstream_keeps_its_status(self, loop: str):
        async def main() -> None:
            upstream = Upstream(b'{"error": "slowly"}', b"", status_code=429)
            upstream.fake.headers = (("Retry-After", "7"), ("Content-Type", "application/json"))
            browser = Browser()
            await browser.ask(relay(upstream.stream()))
            assert (browser.status, browser.headers["retry-after"]) == (429, "7")
            assert b"slowly" in browser.parts[0]
            assert upstream.is_closed

        run(loop, main)

    def test_in_the_stream_an_error_is_the_last_record(self, loop: str):
        async def main() -> None:
            error = record({"error": {"message": "slowly", "type": "rate_limit_error"}})
            upstream, browser = Upstream(delta("A") + delta(" moon"), error), Browser()
            await browser.ask(relay(upstream.stream(), "engine"))
            first, last = browser.parts
            assert first.count(b"data:") == 2
            with pytest.raises(RateLimitError, match="slowly"):
                decoded([first, last])
            assert (browser.status, browser.is_ended, upstream.is_closed) == (200, True, True)

        run(loop, main)

    def test_a_lost_connection_is_the_last_record(self, loop: str):
        async def main() -> None:
            browser = Browser()
            await browser.ask(relay(Upstream(delta("A"), ConnectionLost("10.0.0.7")).stream()))
            assert b'"kind":"connection_lost"' in browser.parts[1]
            assert b"10.0.0.7" not in browser.parts[1]
            assert browser.is_ended

        run(loop, main)

    def test_events_without_an_end_are_an_error(self, loop: str):
        async def main() -> None:
            async def events() -> AsyncIterator[Event]:
                yield TextDelta("A")

            browser = Browser()
            await browser.ask(relay(events()))
            assert b'"kind":"incomplete_stream"' in browser.parts[1]

        run(loop, main)

    def test_a_mistake_is_logged_and_says_nothing(
        self, loop: str, caplog: pytest.LogCaptureFixture
    ):
        async def main() -> None:
            async def events(count: int) -> AsyncIterator[Event]:
                for _ in range(count):
                    yield TextDelta("A")
                raise ZeroDivisionError("a secret")

            for count, status in ((0, 500), (1, 200)):
                browser = Browser()
                await browser.ask(relay(events(count)))
                assert (browser.status, browser.is_ended) == (status, True)
                assert b"internal_error" in browser.parts[-1]
                assert b"secret" not in browser.parts[-1]

        with caplog.at_level(logging.ERROR, "moondream_transports"):
            run(loop, main)
        assert [(entry.name, str((entry.exc_info or [0, 0])[1])) for entry in caplog.records] == [
            ("moondream_transports", "a secret")
        ] * 2

    def test_a_picture_that_is_missing_is_a_mistake(self, loop: str, tmp_path: Path):
        async def main() -> None:
            transport = AsyncFakeStream(FakeStream(*WHOLE))
            stream = AsyncClient(transport, ENDPOINT).stream_query(
                image=tmp_path / "no.jpg", question="What?"
            )
            browser = Browser()
            await browser.ask(relay(stream))
            assert (browser.status, b"no.jpg" in browser.parts[0]) == (500, False)

        run(loop, main)

    def test_a_mistake_of_an_encoder(self, loop: str):
        class Broken(EventsEncoder):
            def encode(self, event: Event) -> bytes:
                raise ZeroDivisionError

        async def main() -> None:
            upstream, browser = Upstream(*WHOLE), Browser()
            await browser.ask(relay(upstream.stream(), Broken()))
            assert (browser.status, upstream.is_closed) == (500, True)

        run(loop, main)

    def test_a_stream_that_is_open_already_is_a_mistake(
        self, loop: str, caplog: pytest.LogCaptureFixture
    ):
        async def main() -> None:
            async with Upstream(*WHOLE).stream() as stream:
                browser = Browser()
                await browser.ask(relay(stream))
            assert browser.status == 500

        run(loop, main)
        assert "a stream can be opened once" in caplog.text


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
