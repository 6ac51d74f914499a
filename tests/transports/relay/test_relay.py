"""`relay`: its arguments, and the relay over each transport."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import anyio
import pytest

from moondream_tools import FakeServer
from moondream_transports import AsyncClient, Client
from moondream_transports.relay import AsyncRelay, AsyncRelayGroup, Relay, RelayGroup, relay
from sansio_moondream import Completed, Endpoint, Event, QueryResult
from sansio_moondream.relay import EventsEncoder, Format
from tests.helpers import CHAT, QUERY, SEGMENT
from tests.transports.adapters import ADAPTERS, Adapter
from tests.transports.fakes import ENDPOINT, AsyncFakeStream, FakeStream, client

from .exchanges import Browser

EVENTS: Iterable[Event] = [Completed(QueryResult("A"))]


class TestArguments:
    @pytest.mark.parametrize("format_", [Format.EVENTS, "events", EventsEncoder()])
    def test_formats(self, format_: Any):
        assert b"".join(relay(EVENTS, format_)).startswith(b"id: 1\ndata: ")

    def test_each_name_of_a_format(self):
        for each in Format:
            assert b"".join(relay(EVENTS, each.value)) == b"".join(relay(EVENTS, each))

    def test_another_format(self):
        with pytest.raises(ValueError, match="should be one of 'events', .*, not 'xml'"):
            relay(EVENTS, "xml")

    def test_an_answer_without_a_place_is_refused_at_once(self):
        fake = FakeStream()
        with pytest.raises(ValueError, match="no place for a segment"):
            relay(client(fake).stream(SEGMENT), "openai")
        with pytest.raises(ValueError, match="chat"):
            relay(client(fake).stream(CHAT), "station")
        shorthand = client(fake).stream_segment(image=SEGMENT.image, object="moon")
        with pytest.raises(ValueError, match="no place for a segment"):
            relay(shorthand, Format.OPENAI)
        assert fake.requests == []

    def test_the_form_follows_the_stream(self):
        fake = FakeStream()
        assert isinstance(relay(client(fake).stream(QUERY)), Relay)
        asynchronous = AsyncClient(AsyncFakeStream(fake), ENDPOINT).stream(QUERY)
        assert isinstance(relay(asynchronous), AsyncRelay)
        with pytest.raises(TypeError, match="an async stream needs an AsyncRelayGroup"):
            relay(asynchronous, group=RelayGroup())  # type: ignore[call-overload]
        with pytest.raises(TypeError, match="a sync stream needs a RelayGroup"):
            relay(EVENTS, group=AsyncRelayGroup())  # type: ignore[call-overload]
        with pytest.raises(TypeError, match="an iterable of events, not 7"):
            relay(7)  # type: ignore[call-overload]

    @pytest.mark.parametrize("seconds", [0, -1])
    def test_a_heartbeat_takes_time(self, seconds: float):
        with pytest.raises(ValueError, match="more than 0 seconds, or None"):
            relay(EVENTS, heartbeat=seconds)


ONE_OF_EACH = [
    adapter
    for adapter in ADAPTERS
    if adapter.name
    in ("urllib", "httpx2", "httpx2-asyncio", "httpx2-trio", "aiohttp", "anyio-trio")
]


@pytest.mark.parametrize("adapter", ONE_OF_EACH, ids=lambda adapter: adapter.name)
def test_a_silent_upstream_is_left_on_each_transport(adapter: Adapter):
    async def main(url: str) -> None:
        if not adapter.is_async:
            with adapter.factory() as transport, Client(transport, Endpoint(url)) as moon:
                response = relay(moon.stream(QUERY))
                assert b"The" in next(response)
                response.close()
            return
        browser = Browser()
        async with (
            adapter.factory() as transport,
            AsyncClient(transport, Endpoint(url)) as moon,
            anyio.create_task_group() as tasks,
        ):
            tasks.start_soon(browser.ask, relay(moon.stream(QUERY)))
            await browser.wait_for(2)
            browser.leave()
        assert b"The" in browser.parts[0]

    with FakeServer() as server:
        server.answer(text="The moon", fault="stall@1")
        if adapter.is_async:
            anyio.run(main, server.url, backend=adapter.backend)
        else:
            adapter.run(main, server.url)
        server.wait_until_left()
