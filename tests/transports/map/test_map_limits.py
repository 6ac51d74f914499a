"""Maps with a limiter: how many are asked at once, how fast, and what is left where one is left."""

from __future__ import annotations

from itertools import chain
from typing import Any

import pytest

from moondream_transports import AsyncClient, Client, EndpointPool, Limiter, RetryPolicy
from sansio_moondream import Endpoint, QueryRequest
from sansio_moondream.limiter import RateLimit
from tests.transports.adapters import SYNC_AND_ASYNC, Adapter

from .answers import AnswerServer
from .test_client_map import check, client_on, mapped, questions

each_kind = pytest.mark.parametrize("adapter", SYNC_AND_ASYNC, ids=lambda adapter: adapter.name)


@each_kind
def test_as_many_are_asked_at_once_as_the_limiter_allows(adapter: Adapter) -> None:
    async def main() -> None:
        async with adapter.transport() as transport:
            client = client_on(transport, adapter, server.url, limiter=limiter)
            waits = (QueryRequest(question=f"wait {number}") for number in range(1, 99))
            requests = chain([QueryRequest(question="ok 0")], waits)
            async with mapped(client, requests, ordered=False) as outcomes:
                check(await anext(outcomes))
                await adapter.until(lambda: server.open == 3, "the requests")
                status = limiter.status()
                assert (status.open, status.waiting) == (3, 0)
            await adapter.until(lambda: server.open == 0, "the connections to be closed")
            status = limiter.status()
            assert (status.open, status.waiting) == (0, 0)
        assert server.most == 3

    limiter = Limiter(concurrent=3)
    with AnswerServer() as server:
        adapter.run(main)


@each_kind
def test_leaving_ends_waits_for_a_turn_at_once(adapter: Adapter) -> None:
    """The next turn would come in a thousand seconds."""

    async def main() -> None:
        async with adapter.transport() as transport:
            client = client_on(transport, adapter, server.url, limiter=limiter)
            requests = (QueryRequest(question=f"ok {number}") for number in range(99))
            async with mapped(client, requests, concurrent=5) as outcomes:
                check(await anext(outcomes))
                await adapter.until(lambda: limiter.status().waiting == 5, "the waits")
            assert limiter.status().waiting == 0
            assert not adapter.tasks()
        assert [question for question, _ in server.log] == ["ok 0"]

    limiter = Limiter(per_second=0.001, burst=1)
    with AnswerServer() as server:
        adapter.run(main)


@each_kind
def test_outcomes_over_several_servers_are_those_of_their_logs(adapter: Adapter) -> None:
    asked = questions(30)

    async def main() -> None:
        pool = EndpointPool([(Endpoint(server.url), RateLimit(concurrent=4)) for server in servers])
        policy = RetryPolicy(max_attempts=2, initial_backoff=0.001)
        kind: Any = AsyncClient if adapter.is_async else Client
        async with adapter.transport() as transport:
            client = kind(transport, pool, retries=policy)
            requests = (QueryRequest(question=question) for question in asked)
            outcomes = [outcome async for outcome in mapped(client, requests)]
        assert [outcome.request.question for outcome in outcomes] == asked
        counts = servers[0].counts() + servers[1].counts()
        assert {outcome.request.question: outcome.attempts for outcome in outcomes} == counts
        assert all(server.log for server in servers)
        assert max(server.most for server in servers) <= 4
        assert pool.status().open == pool.status().waiting == 0

    with AnswerServer(0.002) as one, AnswerServer(0.002) as other:
        servers = [one, other]
        adapter.run(main)
