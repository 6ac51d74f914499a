"""The relay as an ASGI application: what a client gets of an error."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import anyio
import pytest

from moondream_transports import AsyncClient
from moondream_transports.relay import AsyncRelayGroup, relay
from sansio_moondream import (
    ConnectError,
    ConnectionLost,
    Event,
    FirstEventTimeout,
    RateLimitError,
    TextDelta,
)
from sansio_moondream.relay import EventsEncoder, Format
from tests.helpers import delta, record
from tests.transports.fakes import ENDPOINT, WHOLE, AsyncFakeStream, FakeStream

from .asgi import Message
from .exchanges import Browser, Upstream, decoded, on_each_loop, records, run
from .upstreams import DELTAS, AsyncUpstream, body_of


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

    @pytest.mark.parametrize("format", ["engine", "openai"])
    @pytest.mark.parametrize(
        ("status_code", "message", "status"),
        [
            (200, {"error": {"message": "slowly", "type": "rate_limit_error"}}, 429),
            (200, {"error": "slowly"}, 500),
            (304, {"error": "slowly"}, 502),
        ],
    )
    def test_a_refusal_is_no_empty_answer(
        self, loop: str, format: str, status_code: int, message: Any, status: int
    ):
        """Readers of an event stream take a body without records for an answer without a word."""

        async def main() -> None:
            upstream = Upstream(record(message), b"", status_code=status_code)
            browser = Browser()
            await browser.ask(relay(upstream.stream(), format))
            assert (browser.status, browser.is_ended) == (status, True)

        run(loop, main)

    @pytest.mark.parametrize("format", Format)
    def test_each_format_refuses_with_a_status(self, loop: str, format: Format):
        """So a proxy sees it, and a client knows when to come again."""

        async def main() -> None:
            group, browser = AsyncRelayGroup(max_streams=0, retry_after=3), Browser()

            async def events() -> AsyncIterator[Event]:
                yield TextDelta("A")

            await browser.ask(relay(events(), format, group=group))
            assert (browser.status, browser.headers["retry-after"]) == (503, "3")
            assert b"too many streams" in browser.parts[0]

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


@pytest.mark.parametrize("form", ["application", "opened", "iterator"])
@pytest.mark.parametrize("events", [[], DELTAS])
def test_a_source_that_is_cancelled_by_somebody_else_is_no_end(form: str, events: list[Event]):
    """A task that it waited for was cancelled. A body without a last record would look whole."""

    async def main() -> None:
        browser = Browser()
        response = relay(AsyncUpstream(*events, asyncio.CancelledError()), heartbeat=None)
        if form == "opened":
            await response.open()
        if form == "iterator":
            body = await body_of(response)
        else:
            await browser.ask(response)
            assert browser.is_ended
            body = b"".join(browser.parts)
        assert body.startswith(b"".join(records(*events)))
        assert b"server_stopping" in body

    run("asyncio", main)


@on_each_loop
def test_nothing_is_sent_to_a_client_that_leaves_while_a_part_is_sent(loop: str):
    async def main() -> None:
        browser, moves = Browser(), anyio.Event()

        async def receive() -> Message:
            await moves.wait()
            return {"type": "http.disconnect"}

        async def send(message: Message) -> None:
            await browser.send(message)
            if len(browser.messages) == 2:
                await moves.wait()

        async with anyio.create_task_group() as tasks:
            response = relay(AsyncUpstream(DELTAS[0]), heartbeat=None)
            tasks.start_soon(response, {"type": "http"}, receive, send)
            await browser.wait_for(2)
            await anyio.wait_all_tasks_blocked()
            moves.set()
        assert browser.parts == records(DELTAS[0])

    run(loop, main)
