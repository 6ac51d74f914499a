"""Clients with a pool: each attempt goes to the endpoint of its turn."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from moondream_transports import (
    AsyncVirtualClock,
    Client,
    EndpointPool,
    Limiter,
    RetryPolicy,
    VirtualClock,
)
from sansio_moondream import (
    AuthenticationError,
    ConnectError,
    Endpoint,
    HTTPRequest,
    RateLimitError,
    ServerError,
)
from sansio_moondream.limiter import Cooldown, RateLimit
from tests.helpers import QUERY
from tests.transports.adapters import Adapter
from tests.transports.fakes import AsyncFakeStream, FakeStream
from tests.transports.retries.exchanges import (
    NO_BACKOFF,
    Notes,
    each_backend,
    http_error,
    refused,
    whole,
)

ONE = Endpoint("http://localhost:2001/v1", api_key="key-of-the-first", model="first")
TWO = Endpoint("http://localhost:2002/v1", api_key="key-of-the-second", model="second")


class Servers:
    """A transport that gives each address the next of its responses."""

    def __init__(self, backend: Adapter | None = None, **responses: Sequence[FakeStream]) -> None:
        self.is_async = backend is not None and backend.is_async
        self.clock: Any = AsyncVirtualClock() if self.is_async else VirtualClock()
        self.left = {name: list(streams) for name, streams in responses.items()}
        self.asked: list[tuple[str, float]] = []

    def next(self, request: HTTPRequest) -> FakeStream:
        name = "one" if request.url.startswith(ONE.url) else "two"
        self.asked.append((name, self.clock.monotonic()))
        return self.left[name].pop(0)

    @property
    def transport(self) -> Any:
        return AsyncServers(self) if self.is_async else SyncServers(self)


class SyncServers:
    def __init__(self, servers: Servers) -> None:
        self.servers, self.clock = servers, servers.clock

    def send(self, request: HTTPRequest, timeouts: Any) -> FakeStream:
        return self.servers.next(request).send(request, timeouts)


class AsyncServers:
    def __init__(self, servers: Servers) -> None:
        self.servers, self.clock = servers, servers.clock

    async def send(self, request: HTTPRequest, timeouts: Any) -> AsyncFakeStream:
        return await AsyncFakeStream(self.servers.next(request)).send(request, timeouts)


def pool_for(servers: Servers, one: RateLimit | None = None, **options: Any) -> Any:
    limits = [(ONE, one or RateLimit()), (TWO, RateLimit())]
    return EndpointPool(limits, clock=servers.clock, **options)


@each_backend
def test_a_retry_goes_to_the_other_endpoint(backend: Adapter) -> None:
    async def main() -> None:
        servers = Servers(backend, one=[refused()], two=[whole()])
        pool = pool_for(servers)
        client = backend.client(
            servers.transport,
            pool,
            retries=NO_BACKOFF,
            hooks=notes,
        )
        assert (await client.send(QUERY)).text == "A moon"
        assert servers.asked == [("one", 0.0), ("two", 0.0)]
        assert [gate.cooling for gate in pool.status().gates] == [1.0, 0.0]
        assert pool.status().open == 0

    notes = Notes()
    backend.run(main)
    assert notes.timeline is not None
    assert (notes.timeline.url, notes.timeline.model) == (f"{TWO.url}/query", "second")


@each_backend
def test_a_retry_at_another_endpoint_does_not_wait_for_the_first(backend: Adapter) -> None:
    async def main() -> None:
        servers = Servers(backend, one=[http_error(429, "90")], two=[whole()])
        pool = pool_for(servers)
        client = backend.client(
            servers.transport,
            pool,
            retries=NO_BACKOFF,
        )
        assert (await client.send(QUERY)).text == "A moon"
        assert servers.asked == [("one", 0.0), ("two", 0.0)]
        assert [gate.paused for gate in pool.status().gates] == [90.0, 0.0]

    backend.run(main)


@each_backend
def test_an_error_is_about_the_endpoint_that_was_asked(backend: Adapter) -> None:
    async def main() -> None:
        body = b'{"error": "key-of-the-first, key-of-the-second"}'
        servers = Servers(backend, one=[refused()], two=[http_error(401, body=body)])
        client = backend.client(
            servers.transport,
            pool_for(servers),
            retries=NO_BACKOFF,
        )
        with pytest.raises(AuthenticationError) as caught:
            await client.send(QUERY)
        assert caught.value.url == f"{TWO.url}/query"
        assert "key-of-the-second" not in str(caught.value)
        assert "key-of-the-first" in str(caught.value)  # it was not sent there

    backend.run(main)


def test_the_first_endpoint_is_named_until_the_turn_has_come() -> None:
    servers = Servers(one=[whole()], two=[whole()])
    pool = pool_for(servers)
    turn = pool.turn()
    assert turn.begin()
    urls: list[str] = []

    class Starts(Notes):
        def on_start(self, timeline: Any) -> None:
            urls.append(timeline.url)

        def on_head(self, timeline: Any) -> None:
            urls.append(timeline.url)

        def on_end(self, timeline: Any) -> None:
            pass

    Client(servers.transport, pool, hooks=Starts()).send(QUERY)
    assert urls == [f"{ONE.url}/query", f"{TWO.url}/query"]
    turn.end()


def test_an_endpoint_that_fails_cools_down_and_comes_back() -> None:
    servers = Servers(one=[refused(), refused(), whole(), whole()], two=[whole() for _ in range(9)])
    pool = pool_for(servers, cooldown=Cooldown(2.0, 60.0))
    client = Client(servers.transport, pool, retries=RetryPolicy(3, 0, 0))
    for _ in range(8):
        assert client.send(QUERY).text == "A moon"
        servers.clock.sleep(1.0)
    assert servers.asked == [
        *(("one", 0.0), ("two", 0.0)),
        ("two", 1.0),
        *(("one", 2.0), ("two", 2.0)),
        *(("two", 3.0), ("two", 4.0), ("two", 5.0)),
        *(("one", 6.0), ("two", 7.0)),
    ]


def test_a_limiter_beside_a_pool_is_refused() -> None:
    pool = EndpointPool([(ONE, RateLimit())])
    with pytest.raises(TypeError, match="limiter should be None: an EndpointPool has a limit"):
        Client(whole(), pool, limiter=Limiter())
    with pytest.raises(TypeError, match=r"endpoint should be Endpoint\(...\), not Limiter"):
        Client(whole(), Limiter())  # type: ignore[arg-type]
    assert repr(Client(whole(), pool)) == f"<Client {pool!r} by FakeStream>"


def test_errors_are_as_expected() -> None:
    servers = Servers(one=[refused()], two=[http_error(500)])
    client = Client(servers.transport, pool_for(servers))
    with pytest.raises(ConnectError) as refusal:
        client.send(QUERY)
    assert refusal.value.url == f"{ONE.url}/query"
    with pytest.raises(ServerError) as failure:
        client.send(QUERY)
    assert failure.value.url == f"{TWO.url}/query"


@each_backend
def test_if_all_fail_each_attempt_still_goes_out(backend: Adapter) -> None:
    async def main() -> None:
        servers = Servers(backend, one=[refused(), refused()], two=[refused(), refused()])
        client = backend.client(
            servers.transport,
            pool_for(servers),
            retries=RetryPolicy(4, 0, 0),
        )
        with pytest.raises(ConnectError):
            await client.send(QUERY)
        assert [name for name, _ in servers.asked] == ["one", "two", "one", "two"]
        assert servers.clock.monotonic() == 0.0

    backend.run(main)


@each_backend
def test_all_endpoints_are_paused(backend: Adapter) -> None:
    async def main() -> None:
        servers = Servers(backend, one=[http_error(429, "5")], two=[http_error(429, "3"), whole()])
        pool = pool_for(servers)
        client = backend.client(servers.transport, pool)
        for _ in range(2):
            with pytest.raises(RateLimitError):
                await client.send(QUERY)
        assert pool.status().paused == 3.0
        assert (await client.send(QUERY)).text == "A moon"
        assert servers.asked[-1] == ("two", 3.0)

    backend.run(main)
