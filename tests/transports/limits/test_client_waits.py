"""How long a client waits for its turn: timeouts, pauses, retries, and what its timeline says."""

from __future__ import annotations

import logging
from typing import Any

import pytest

from moondream_transports import Hooks, Limiter, RetryPolicy, Timeline, Timeouts
from sansio_moondream import MoondreamError, RateLimitError, ServerError, TotalTimeout, TurnTimeout
from tests.helpers import QUERY
from tests.transports.adapters import Adapter
from tests.transports.fakes import ENDPOINT, AsyncFakeStream, JSONFakeStream
from tests.transports.limits.clients import clock_of, sender, spend
from tests.transports.retries.exchanges import (
    EACH,
    NO_BACKOFF,
    Notes,
    Run,
    each_backend,
    http_error,
    whole,
)


@each_backend
def test_the_wait_counts_in_the_timeline(
    backend: Adapter, caplog: pytest.LogCaptureFixture
) -> None:
    async def main() -> None:
        clock = clock_of(backend)
        limiter = Limiter(0.5, clock=clock)
        await spend(backend, limiter)
        stream = whole()
        transport: Any = AsyncFakeStream(stream) if backend.is_async else stream
        transport.clock = clock
        client = backend.client(transport, ENDPOINT, limiter=limiter, hooks=notes)
        asking = client.stream(QUERY)
        with caplog.at_level(logging.DEBUG, "moondream_transports"):  # also when it is made before
            async with asking as answer:
                await answer.result()

    notes = Notes()
    backend.run(main)
    timeline = notes.timeline
    assert timeline is not None
    assert (timeline.queued, timeline.opened_at, timeline.head_at) == (2.0, 0.0, 2.0)
    assert "queued 2.000 s" in str(timeline)
    lines = [record.message for record in caplog.records]  # as they were formatted then
    assert [line.partition(":")[0] for line in lines] == [
        *("start", "turn", "head", "first_event", "end")
    ]
    assert "queued" not in lines[0]
    assert lines[1] == f"turn: query at {ENDPOINT.url}/query, 0.000 s, queued 2.000 s"


@each_backend
def test_the_total_timeout_ends_the_wait(backend: Adapter) -> None:
    async def main() -> None:
        clock = clock_of(backend)
        limiter = Limiter(0.1, clock=clock)
        await spend(backend, limiter)
        stream = whole()
        transport: Any = AsyncFakeStream(stream) if backend.is_async else stream
        transport.clock = clock
        timeouts = Timeouts(connect=1, first_event=1, total=4)
        client = backend.client(
            transport, ENDPOINT, limiter=limiter, hooks=notes, timeouts=timeouts, retries=NO_BACKOFF
        )
        with pytest.raises(TotalTimeout) as caught:
            await client.send(QUERY)
        error = caught.value
        assert type(error) is TurnTimeout
        assert error.message == (
            "the request did not have its turn within 4 seconds (Timeouts.total), so it was not"
            " sent: raise the timeout, or open fewer at once"
        )
        assert error.retryable
        assert error.partial is None
        assert (stream.requests, clock.monotonic()) == ([], 4.0)
        assert (limiter.status().waiting, limiter.status().open) == (0, 0)

    notes = Notes()
    backend.run(main)
    assert notes.called == ["start", "end"]
    timeline = notes.timeline
    assert timeline is not None
    assert timeline.queued == 4.0
    assert type(timeline.error) is TurnTimeout


@each_backend
def test_the_other_timeouts_do_not_count_the_wait(backend: Adapter) -> None:
    async def main() -> None:
        clock = clock_of(backend)
        limiter = Limiter(0.1, clock=clock)
        await spend(backend, limiter)
        stream = whole()
        transport: Any = AsyncFakeStream(stream) if backend.is_async else stream
        transport.clock = clock
        timeouts = Timeouts(connect=1, first_event=2, idle=3, total=60)
        client = backend.client(transport, ENDPOINT, limiter=limiter, timeouts=timeouts)
        assert (await client.send(QUERY)).text == "A moon"
        assert stream.timeouts == Timeouts(connect=1, first_event=2, idle=3, total=50)
        assert stream.reads[0] == 2

    backend.run(main)


@each_backend
@pytest.mark.parametrize("retry_after", ["3", None])
def test_a_429_pauses_all_even_without_retries(backend: Adapter, retry_after: str | None) -> None:
    async def main() -> None:
        clock = clock_of(backend)
        limiter = Limiter(concurrent=2, clock=clock)
        seen: list[float] = []

        class Noting(Hooks):
            def on_head(self, timeline: Timeline) -> None:
                seen.append(limiter.status().paused)

        client = sender(backend, http_error(429, retry_after), limiter=limiter, hooks=Noting())
        with pytest.raises(RateLimitError):
            await client.send(QUERY)
        seconds = 3.0 if retry_after else 1.0
        assert seen == [seconds]  # before its body is read
        assert (await sender(backend, whole(), limiter=limiter).send(QUERY)).text == "A moon"
        assert clock.monotonic() == seconds

    backend.run(main)


@each_backend
def test_a_rate_limit_in_a_200_pauses_all(backend: Adapter) -> None:
    async def main() -> None:
        limiter = Limiter(clock=clock_of(backend))
        body = b'{"error": {"message": "slowly", "type": "rate_limit_error"}}'
        with pytest.raises(RateLimitError):
            await sender(backend, JSONFakeStream(body, b""), limiter=limiter).send(QUERY)
        assert limiter.status().paused == 1.0

    backend.run(main)


@each_backend
def test_a_retry_waits_as_its_policy_says_and_then_for_its_turn(backend: Adapter) -> None:
    run = Run(
        backend,
        http_error(429, "3"),
        whole(),
        limiter=(limiter := Limiter(clock=clock_of(backend))),
        retries=NO_BACKOFF,
    )
    assert (run.waits, run.outcome.text) == ([3.0], "A moon")
    assert run.notes.timeline is not None
    # The waits of `Run` take no time on this clock, so the turn has waited for all of the pause.
    assert run.notes.timeline.queued == 3.0
    assert limiter.status().open == 0


@each_backend
def test_the_last_error_is_raised_if_no_turn_for_another_attempt_comes(backend: Adapter) -> None:
    async def main() -> None:
        clock = clock_of(backend)
        limiter = Limiter(clock=clock)
        stream = http_error(503, "9")
        transport: Any = AsyncFakeStream(stream) if backend.is_async else stream
        transport.clock = clock
        policy = RetryPolicy(initial_backoff=0)
        with pytest.raises(ServerError, match="503"):
            await backend.client(
                transport,
                ENDPOINT,
                limiter=limiter,
                retries=Impatient(),
                timeouts=Timeouts(total=5),
            ).send(QUERY)
        assert policy.max_attempts > len(stream.requests) == 1
        assert clock.monotonic() == 5.0
        assert (limiter.status().waiting, limiter.status().open) == (0, 0)

    class Impatient(RetryPolicy, frozen=True):
        def wait(
            self, error: MoondreamError, attempt: int, now: float, random: float = 1.0
        ) -> float | None:
            return 0.0

    backend.run(main)


def test_without_a_limiter_nothing_is_queued() -> None:
    run = Run(EACH[0], whole())
    assert run.notes.timeline is not None
    assert run.notes.timeline.queued == 0.0
    assert "queued" not in str(run.notes.timeline)
