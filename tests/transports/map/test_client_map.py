"""`client.map` and `client.outcome`: many requests on a real connection, with faults among them."""

from __future__ import annotations

import gc
import pickle
from collections.abc import Iterator
from itertools import chain
from typing import Any

import pytest

from moondream_transports import (
    AsyncClient,
    Client,
    Hooks,
    Outcome,
    RetryPolicy,
    Timeline,
    Timeouts,
    UrllibTransport,
)
from sansio_moondream import (
    ConnectionLost,
    Endpoint,
    QueryRequest,
    QueryResult,
    RateLimitError,
    ServerError,
)
from tests.helpers import NewThreads
from tests.transports.adapters import ADAPTERS, SYNC_AND_ASYNC, Adapter
from tests.transports.fakes import FakeStream
from tests.transports.fakes import client as fake_client

from .answers import AnswerServer
from .maps import MapAsAsync

ERRORS = {
    "429": RateLimitError,
    "503": ServerError,
    "cut": ConnectionLost,
    "reset": ConnectionLost,
}
each_kind = pytest.mark.parametrize("adapter", SYNC_AND_ASYNC, ids=lambda adapter: adapter.name)
SYNC = [adapter for adapter in SYNC_AND_ASYNC if not adapter.is_async]


def client_on(transport: Any, adapter: Adapter, url: str, **options: Any) -> Any:
    kind: Any = AsyncClient if adapter.is_async else Client
    return kind(transport, Endpoint(url), **options)


def mapped(client: Any, requests: Any, **options: Any) -> Any:
    """Return the outcomes, which look like an async iterator."""
    outcomes = client.map(requests, **options)
    return MapAsAsync(outcomes) if isinstance(client, Client) else outcomes


def questions(count: int) -> list[str]:
    faults = ["ok", "later", "ok", "429", "ok", "503", "ok", "cut", "ok", "reset"]
    return [f"{faults[number % len(faults)]} {number}" for number in range(count)]


def check(outcome: Outcome[Any]) -> None:
    """An outcome is what its question asked for."""
    question = outcome.request.question  # type: ignore[attr-defined]
    fault = question.split(maxsplit=1)[0]
    assert outcome.attempts == (2 if fault in ("later", "429", "503") else 1), outcome
    if fault in ERRORS:
        assert type(outcome.error) is ERRORS[fault], outcome
        assert outcome.result is None
    else:
        assert outcome.error is None, outcome
        assert outcome.unwrap().text == f"about {question}"


@pytest.mark.parametrize(
    ("adapter", "ordered"),
    [(adapter, True) for adapter in ADAPTERS] + [(adapter, False) for adapter in SYNC_AND_ASYNC],
    ids=lambda value: getattr(value, "name", f"ordered={value}"),
)
def test_outcomes_are_those_of_the_servers_log(adapter: Adapter, ordered: bool) -> None:
    asked = questions(60)

    async def main() -> None:
        async with adapter.transport() as transport:
            policy = RetryPolicy(max_attempts=2, initial_backoff=0.001)
            client = client_on(transport, adapter, server.url, retries=policy)
            requests = (QueryRequest(question=question) for question in asked)
            outcomes = [
                outcome async for outcome in mapped(client, requests, concurrent=8, ordered=ordered)
            ]
        seen = [outcome.request.question for outcome in outcomes]
        assert (seen if ordered else sorted(seen)) == (asked if ordered else sorted(asked))
        for outcome in outcomes:
            check(outcome)
        attempts = {outcome.request.question: outcome.attempts for outcome in outcomes}
        assert attempts == server.counts()
        assert 1 < server.most <= 8

    with AnswerServer(0.002) as server:
        adapter.run(main)


@each_kind
class TestOutcomes:
    def test_a_block_gives_the_same_and_closes(self, adapter: Adapter) -> None:
        async def main() -> None:
            async with adapter.transport() as transport:
                client = client_on(transport, adapter, server.url)
                requests = [QueryRequest(question="ok 1"), QueryRequest(question="wait 2")]
                async with mapped(client, requests) as outcomes:
                    outcome = await anext(outcomes)
                    assert outcome.unwrap().text == "about ok 1"
                    await adapter.until(lambda: ("wait 2", "wait") in server.log, "the request")
                await adapter.until(lambda: ("wait 2", "left") in server.log, "the close")
                assert [outcome async for outcome in outcomes] == []

        threads = NewThreads()
        with AnswerServer() as server:
            adapter.run(main)
        assert not threads.running()

    def test_the_time_is_that_of_the_exchange(self, adapter: Adapter) -> None:
        ended: list[Timeline] = []

        class Notes(Hooks):
            def on_end(self, timeline: Timeline) -> None:
                ended.append(timeline)

        async def main() -> None:
            async with adapter.transport() as transport:
                client = client_on(
                    transport,
                    adapter,
                    server.url,
                    hooks=Notes(),
                    retries=RetryPolicy(initial_backoff=0.1, jitter=0),
                )
                requests = [QueryRequest(question="later 1")]
                outcomes = [outcome async for outcome in mapped(client, requests, stream=True)]
                assert outcomes[0].seconds >= 0.1
                ended_at = ended[0].ended_at
                assert ended_at is not None
                assert 0 <= outcomes[0].seconds - (ended_at - ended[0].opened_at) < 1
                assert ended[0].attempts == outcomes[0].attempts == 2

        with AnswerServer() as server:
            adapter.run(main)

    def test_a_timeout_is_an_outcome(self, adapter: Adapter) -> None:
        async def main() -> None:
            async with adapter.transport() as transport:
                client = client_on(transport, adapter, server.url, timeouts=Timeouts(total=0.2))
                requests = (QueryRequest(question=f"wait {number}") for number in range(4))
                outcomes = [outcome async for outcome in mapped(client, requests, concurrent=4)]
                assert [type(outcome.error).__name__ for outcome in outcomes] == [
                    "TotalTimeout"
                ] * 4
                assert all(outcome.seconds >= 0.2 for outcome in outcomes)

        with AnswerServer() as server:
            adapter.run(main)

    def test_what_is_no_request_ends_the_map(self, adapter: Adapter) -> None:
        async def main() -> None:
            async with adapter.transport() as transport:
                client = client_on(transport, adapter, server.url)
                requests = [QueryRequest(question="ok 1"), "What is this?"]
                outcomes = mapped(client, requests)
                assert (await anext(outcomes)).unwrap().text == "about ok 1"
                with pytest.raises(TypeError, match="request should be a request.*not str"):
                    await anext(outcomes)
                with pytest.raises(TypeError, match="not iterable"):
                    mapped(client, QueryRequest(question="ok 1"))

        with AnswerServer() as server:
            adapter.run(main)

    def test_sixteen_are_asked_at_once_by_default(self, adapter: Adapter) -> None:
        async def main() -> None:
            async with adapter.transport() as transport:
                client = client_on(transport, adapter, server.url)
                waits = (QueryRequest(question=f"wait {number}") for number in range(100))
                async with mapped(
                    client, chain([QueryRequest(question="ok 0")], waits)
                ) as outcomes:
                    check(await anext(outcomes))
                    await adapter.until(lambda: server.open == 16, "the requests")
                assert server.most == 16

        with AnswerServer() as server:
            adapter.run(main)

    def test_many_maps_share_a_client_which_may_be_closed(self, adapter: Adapter) -> None:
        """Closing closes idle connections. What runs and what comes after it goes on."""

        async def main() -> None:
            async with adapter.transport() as transport:
                client = client_on(transport, adapter, server.url)

                def requests(n: int) -> Iterator[QueryRequest]:
                    return (QueryRequest(question=f"ok {n}.{number}") for number in range(12))

                maps = [mapped(client, requests(n), concurrent=2) for n in range(3)]
                for number in range(12):
                    for n, outcomes in enumerate(maps):
                        outcome = await anext(outcomes)
                        assert outcome.unwrap().text == f"about ok {n}.{number}"
                    if number == 5 and adapter.is_async:
                        await transport.aclose()
                    elif number == 5:
                        transport.close()
                for outcomes in maps:
                    assert [outcome async for outcome in outcomes] == []

        with AnswerServer() as server:
            adapter.run(main)

    def test_one_request_has_an_outcome_too(self, adapter: Adapter) -> None:
        async def main() -> None:
            async with adapter.transport() as transport:
                client = client_on(transport, adapter, server.url)

                async def ask(question: str) -> Any:
                    outcome = client.outcome(QueryRequest(question=question), stream=True)
                    return await outcome if adapter.is_async else outcome

                for question in ("ok 1", "cut 2", "reset 3"):
                    check(await ask(question))

        with AnswerServer() as server:
            adapter.run(main)


def test_leaving_interrupts_waits_of_every_kind_at_once() -> None:
    """For a head, and for a retry."""
    policy = RetryPolicy(initial_backoff=60, max_backoff=60, jitter=0)
    threads = NewThreads()
    with AnswerServer() as server, UrllibTransport() as transport:
        client = Client(transport, Endpoint(server.url), retries=policy)
        requests = [QueryRequest(question=text) for text in ("ok 1", "wait 2", "429 3")]
        with client.map(requests) as outcomes:
            assert next(outcomes).error is None
            SYNC[0].run(SYNC[0].until, lambda: len(server.log) == 3, "the requests")
        assert len(threads.running()) == 1  # the server
        assert ("429 3", "429") in server.log
    assert not threads.running()


@pytest.mark.parametrize("adapter", SYNC, ids=lambda adapter: adapter.name)
def test_nothing_is_left_behind_where_a_loop_is_left(adapter: Adapter) -> None:
    with AnswerServer() as server, UrllibTransport() as transport:
        client = Client(transport, Endpoint(server.url))
        threads = NewThreads()
        for outcome in client.map(QueryRequest(question=f"{w} 1") for w in ("ok", "wait", "wait")):
            assert outcome.unwrap().text == "about ok 1"
            break
        gc.collect()
        adapter.run(adapter.until, lambda: not threads.running(), "the threads")


def test_a_mistake_of_the_program_is_raised_and_not_an_outcome() -> None:
    client = fake_client(FakeStream(refuses=ZeroDivisionError("a bug")))
    with pytest.raises(ZeroDivisionError, match="a bug"):
        next(client.map([QueryRequest(question="?")]))


class TestOutcome:
    REQUEST = QueryRequest(question="What is on this very private picture?")

    def failed(self) -> Outcome[Any]:
        return Outcome(self.REQUEST, None, RateLimitError("too many", status_code=429), 3, 1.5)

    def test_unwrap_returns_the_result_or_raises_the_error(self) -> None:
        result = QueryResult("A moon.")
        assert Outcome(self.REQUEST, result, None, 1, 0.1).unwrap() is result
        failed = self.failed()
        for _ in range(2):
            with pytest.raises(RateLimitError) as caught:
                failed.unwrap()
            assert caught.value is failed.error

    def test_its_repr_has_no_question_and_no_picture(self) -> None:
        done: Outcome[Any] = Outcome(self.REQUEST, None, None, 1, 0.1234)
        assert repr(done) == "<Outcome of QueryRequest: complete, 1 attempt, 0.123 s>"
        assert repr(self.failed()) == (
            "<Outcome of QueryRequest: RateLimitError('too many'), 3 attempts, 1.500 s>"
        )

    def test_it_can_be_matched_and_pickled(self) -> None:
        match pickle.loads(pickle.dumps(self.failed())):
            case Outcome(request=QueryRequest(question=question), error=RateLimitError() as error):
                assert question == self.REQUEST.question
                assert error.status_code == 429
            case other:
                pytest.fail(repr(other))
