"""Workers that share a limiter: their clients, and the actor without Ray."""

from __future__ import annotations

import asyncio
import logging
import time

import pytest

from moondream_transports import AsyncClient, RetryPolicy, Timeouts
from moondream_transports._map.running import Running
from moondream_transports.bulk.ray import LeasedLimiter, LimiterActor, _actor, limiter_name
from moondream_transports.bulk.ray._leasing import Leasing, Permit
from sansio_moondream import Endpoint, QueryRequest, TurnTimeout
from sansio_moondream.limiter import Lease, RateLimit
from tests.core.limiters import windows_are_kept
from tests.transports.bulk.on_ray.local_limiter import LocalLimiter, run
from tests.transports.bulk.runs import Answers, wait_until, whole

URL = "http://localhost:2020/v1"
QUESTION = QueryRequest(question="why")


def client_of(
    transport: Answers, shared: LocalLimiter | Script, total: float = 60, attempts: int = 1
) -> AsyncClient:
    return AsyncClient(
        transport,
        Endpoint(URL),
        limiter=LeasedLimiter(shared, concurrent=8),
        timeouts=Timeouts(total=total),
        retries=RetryPolicy(max_attempts=attempts, initial_backoff=0, jitter=0),
    )


class Script:
    """A limiter that answers as it was told, and then with whole leases."""

    def __init__(self, *steps: Lease | BaseException | float | None) -> None:
        self.steps = list(steps)
        self.calls: list[tuple[int, float]] = []
        self.pauses: list[float] = []

    async def ask(self, want: int, pause: float) -> Lease | None:
        self.calls.append((want, pause))
        step = self.steps.pop(0) if self.steps else Lease(want, 0.0, 60.0)
        if isinstance(step, BaseException):
            raise step
        if isinstance(step, float):  # the answer is so late
            await asyncio.sleep(step)
            return Lease(want, 0.0, 0.001)
        return step

    def pause(self, seconds: float) -> None:
        self.pauses.append(seconds)


def test_workers_keep_the_limit_together_while_limiters_die() -> None:
    limit = RateLimit(100, 12)

    async def main() -> None:
        shared = LocalLimiter(limit, lease=0.05)
        workers = [Leasing(shared) for _ in range(3)]
        begun: list[float] = []

        async def begin(worker: Leasing) -> None:
            permit = Permit()
            assert await worker.take(permit)
            assert permit.taken_at is not None
            begun.append(permit.taken_at)
            if len(begun) in (5, 30):
                shared.die()

        await asyncio.gather(*(begin(workers[number % 3]) for number in range(60)))
        assert windows_are_kept(limit, sorted(begun))
        assert len(begun) == 60

    run(main())


def test_a_pause_of_one_worker_is_for_all() -> None:
    async def main() -> None:
        shared = LocalLimiter(RateLimit())
        moments: list[float] = []

        async def refuse_once(question: str) -> bytes | int:
            moments.append(time.monotonic())
            return 429 if len(moments) == 1 else whole("because")

        transport = Answers(refuse_once, headers=[("Retry-After", "1")])
        first, second = (client_of(transport, shared, attempts=2) for _ in range(2))
        asked = asyncio.create_task(first.outcome(QUESTION))
        await wait_until(lambda: shared.reports)
        await shared.reports[0]
        outcomes = [await asked, await second.outcome(QUESTION)]
        assert [outcome.attempts for outcome in outcomes] == [2, 1]
        assert all(outcome.error is None for outcome in outcomes)
        assert min(moments[1:]) >= moments[0] + 1

    run(main())


def test_a_new_limiter_learns_of_a_pause() -> None:
    async def main() -> None:
        shared = LocalLimiter(RateLimit())
        first, second = (LeasedLimiter(shared) for _ in range(2))
        async with first.turn() as turn:
            turn.fail(1.0)
            paused_at = time.monotonic()
        shared.die()
        waiting = asyncio.create_task(first.turn().async_begin())
        await wait_until(lambda: any(pause for _, pause in shared.calls))
        async with second.turn():
            assert time.monotonic() >= paused_at + 1
        assert await waiting

    run(main())


class TestTurn:
    def test_it_waits_for_its_permission(self) -> None:
        async def main() -> None:
            shared = Script(None, Lease(0, 0.0, 1.0), 0.02)
            limiter = LeasedLimiter(shared, concurrent=1)
            turn = limiter.turn()
            assert (turn.has_come, turn.queued) == (False, 0.0)
            async with turn:
                assert turn.has_come and turn.queued >= 0.02
                assert limiter.status().open == 1
                turn.fail(2.5)
            assert limiter.status().open == 0
            assert (shared.calls, shared.pauses) == ([(1, 0.0)] * 4, [2.5])

        run(main())

    def test_a_lease_that_comes_too_late_is_lost(self, caplog: pytest.LogCaptureFixture) -> None:
        async def main() -> None:
            async with LeasedLimiter(Script(0.02)).turn():
                assert "a lease of 1 requests came" in caplog.text
                assert "give leases more than 0.001 s" in caplog.text

        with caplog.at_level(logging.WARNING, "moondream_transports"):
            run(main())

    def test_no_answer_in_time(self) -> None:
        async def main() -> None:
            shared = Script(60.0)
            client = client_of(Answers(), shared, total=0.05)
            outcome = await client.outcome(QUESTION)
            assert isinstance(outcome.error, TurnTimeout)
            assert outcome.attempts == 0

        run(main())

    def test_a_wait_that_is_withdrawn(self) -> None:
        async def main() -> None:
            shared, running = Script(60.0), Running()
            client = client_of(transport := Answers(), shared)
            task = asyncio.create_task(client.outcome(QUESTION, running=running))
            await wait_until(lambda: shared.calls)
            running.withdraw()
            await task
            assert running.is_withdrawn and transport.asked == []

        run(main())

    def test_a_mistake_is_raised_by_all_that_wait(self) -> None:
        async def main() -> None:
            limiter = LeasedLimiter(Script(TypeError("no such call")), concurrent=8)
            turns = [asyncio.create_task(limiter.turn().async_begin()) for _ in range(3)]
            for turn in turns:
                with pytest.raises(TypeError, match="no such call"):
                    await turn
            assert limiter.status().open == 0
            assert await limiter.turn().async_begin()

        run(main())

    def test_it_is_for_event_loops(self) -> None:
        with pytest.raises(TypeError, match="is for an AsyncClient"):
            LeasedLimiter(Script()).turn().begin()


class TestActor:
    def test_a_call_ends_without_a_lease(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(_actor, "_LONGEST_CALL", 0.05)

        async def main() -> None:
            actor = LimiterActor(RateLimit(), 0.25)
            lease = await actor.ask(3, 60.0)
            assert (lease.count, lease.seconds) == (0, 0.25)

        run(main())

    def test_it_ends_when_nobody_calls(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(_actor, "_IDLE", 0.02)

        async def main() -> None:
            ended: list[bool] = []
            actor = LimiterActor(RateLimit(), 0.25, end=lambda: ended.append(True))
            await wait_until(lambda: ended)  # nobody has ever called
            assert (await actor.ask(3, 0.0)).count == 3
            await wait_until(lambda: len(ended) == 2)

        run(main())

    def test_names(self) -> None:
        limit, endpoint = RateLimit(2), Endpoint(URL, api_key="secret-key")
        names = {
            limiter_name(endpoint, limit, 0.25),
            limiter_name(Endpoint(URL), limit, 0.25),
            limiter_name(endpoint, RateLimit(3), 0.25),
            limiter_name(endpoint, limit, 0.5),
        }
        assert len(names) == 4 and not any("secret" in name for name in names)
        assert limiter_name(endpoint, RateLimit(2.0), 0.25) in names
