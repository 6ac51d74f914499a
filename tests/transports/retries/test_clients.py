"""What clients do around retries: requests, hooks, logs, and errors that are not retried."""

from __future__ import annotations

import gc
import logging
import sys
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import Any

import pytest

from moondream_transports import RetryPolicy, Timeline
from sansio_moondream import (
    CaptionRequest,
    ConnectionLost,
    MoondreamError,
    RateLimitError,
    ServerError,
)
from tests.helpers import PIXEL, QUERY, delta
from tests.transports.adapters import Adapter, assert_no_key
from tests.transports.fakes import ENDPOINT, FakeStream
from tests.transports.retries.exchanges import (
    NO_BACKOFF,
    NOW,
    AsyncResponseSequence,
    Notes,
    ResponseSequence,
    Run,
    each_backend,
    http_error,
    refused,
    whole,
)


@each_backend
class TestClient:
    def test_the_request_is_the_same_each_time(self, backend: Adapter) -> None:
        run = Run(backend, refused(), http_error(500), whole(), retries=RetryPolicy())
        assert [response.requests for response in run.sequence.begun] == [
            [QUERY.to_http(ENDPOINT)]
        ] * 3

    def test_retry_after(self, backend: Adapter, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("moondream_transports._exchange.time", lambda: NOW)
        date = format_datetime(datetime.fromtimestamp(NOW + 20, UTC), usegmt=True)
        run = Run(
            backend, http_error(429, "7"), http_error(503, date), whole(), retries=RetryPolicy()
        )
        assert run.waits == [7, 20]
        run = Run(backend, http_error(429, "61"), retries=RetryPolicy())
        assert (type(run.outcome), run.outcome.retry_after, run.waits) == (RateLimitError, 61, [])

    def test_hooks_and_the_timeline(self, backend: Adapter) -> None:
        run = Run(backend, refused(), http_error(503), whole(), retries=RetryPolicy())
        assert run.notes.called == [
            "start",
            "retry",
            "head 503",
            "retry",
            "head 200",
            "first event",
            "end",
        ]
        timeline = run.notes.timeline
        assert timeline is not None
        assert (timeline.attempts, timeline.status_code, timeline.error) == (3, 200, None)
        assert timeline.completed_at is not None
        run = Run(backend, http_error(503), refused(), retries=RetryPolicy(max_attempts=2))
        timeline = run.notes.timeline
        assert timeline is not None
        assert (timeline.attempts, timeline.status_code, timeline.head_at, timeline.error) == (
            2,
            None,
            None,
            run.outcome,
        )

    def test_the_log(self, backend: Adapter, caplog: pytest.LogCaptureFixture) -> None:
        caplog.set_level(logging.DEBUG, "moondream_transports")
        run = Run(backend, http_error(503), refused(), http_error(429, "61"), retries=RetryPolicy())
        lines = [
            (entry.levelname, entry.message)
            for entry in caplog.records
            if entry.name == "moondream_transports"
        ]
        assert [line.partition(":")[0] for _, line in lines] == [
            "start",
            "head",
            "retry",
            "retry",
            "head",
            "end",
        ]
        level, retry = lines[2]
        assert level == "INFO"
        assert retry == (
            f"retry: query at {ENDPOINT.url}/query, attempt 1 failed (ServerError, status 503), "
            f"the next in {run.waits[0]:.3f} s"
        )
        assert_no_key(run.outcome, caplog.text, repr(run.notes.timeline), str(run.notes.timeline))
        assert run.outcome.__notes__ == ["3 attempts were made (RetryPolicy)"]
        assert QUERY.question not in caplog.text

    def test_a_hook_that_raises_or_is_missing_does_no_harm(
        self, backend: Adapter, caplog: pytest.LogCaptureFixture
    ) -> None:
        class Broken(Notes):
            def on_retry(self, timeline: Timeline, error: MoondreamError, seconds: float) -> None:
                raise ZeroDivisionError

        class Old:
            """Written before there were retries, without `Hooks` as its base."""

            def on_start(self, timeline: Timeline) -> None: ...
            def on_head(self, timeline: Timeline) -> None: ...
            def on_first_event(self, timeline: Timeline) -> None: ...
            def on_end(self, timeline: Timeline) -> None: ...

        for hooks in (Broken(), Old()):

            async def main(hooks: Any = hooks) -> None:
                sequence = ResponseSequence(refused(), whole())
                client = backend.client(
                    AsyncResponseSequence(sequence) if backend.is_async else sequence,
                    ENDPOINT,
                    retries=NO_BACKOFF,
                    hooks=hooks,
                )
                assert (await client.send(QUERY)).text == "A moon"

            backend.run(main)
        assert caplog.text.count("a hook raised in on_retry; the exchange goes on") == 2

    def test_send_and_shorthands(self, backend: Adapter) -> None:
        async def main() -> None:
            sequence = ResponseSequence(refused(), http_error(502), whole(), refused(), whole())
            client = backend.client(
                AsyncResponseSequence(sequence) if backend.is_async else sequence,
                ENDPOINT,
                retries=NO_BACKOFF,
            )
            assert (await client.send(QUERY)).text == "A moon"
            assert (await client.query(question="?")).text == "A moon"
            assert len(sequence.begun) == 5

        backend.run(main)

    def test_a_subclass_has_rules_of_its_own(self, backend: Adapter) -> None:
        class Bold(RetryPolicy, frozen=True):
            def wait(
                self, error: MoondreamError, attempt: int, now: float, random: float = 1.0
            ) -> float | None:
                if isinstance(error, ConnectionLost) and attempt < self.max_attempts:
                    return 3.0
                return super().wait(error, attempt, now, random)

        run = Run(
            backend,
            FakeStream(ConnectionLost("stale")),
            FakeStream(refuses=ConnectionLost("stale")),
            whole(),
            retries=Bold(),
        )
        assert (run.outcome.text, run.waits) == ("A moon", [3, 3])
        run = Run(backend, FakeStream(delta("A"), ConnectionLost("reset")), retries=Bold())
        assert (type(run.outcome), run.waits) == (ConnectionLost, [])

    @pytest.mark.parametrize("where", ["before the head", "after the head"])
    def test_what_is_no_fault_of_the_exchange_passes(self, backend: Adapter, where: str) -> None:
        class Greedy(RetryPolicy, frozen=True):
            def wait(
                self, error: MoondreamError, attempt: int, now: float, random: float = 1.0
            ) -> float | None:
                return 0.0

        bug = ZeroDivisionError()
        run = Run(
            backend,
            FakeStream(refuses=bug) if where == "before the head" else FakeStream(bug),
            retries=Greedy(),
        )
        assert (run.outcome, run.waits) == (bug, [])

    def test_an_error_of_the_user_is_none_to_retry(self, backend: Adapter) -> None:
        async def main() -> None:
            sequence = ResponseSequence(refused(), whole())
            client = backend.client(
                AsyncResponseSequence(sequence) if backend.is_async else sequence,
                ENDPOINT,
                retries=NO_BACKOFF,
            )
            inner = ServerError("of another exchange", status_code=503)
            with pytest.raises(ServerError) as caught:
                async with client.stream(QUERY):
                    raise inner
            assert caught.value is inner
            assert not hasattr(inner, "__notes__")
            assert len(sequence.begun) == 2

        backend.run(main)

    def test_a_bug_in_a_policy_leaves_nothing_open(self, backend: Adapter) -> None:
        class Broken(RetryPolicy, frozen=True):
            def wait(
                self, error: MoondreamError, attempt: int, now: float, random: float = 1.0
            ) -> float | None:
                raise ZeroDivisionError

        for response in (refused(), http_error(503)):
            run = Run(backend, response, retries=Broken())
            assert type(run.outcome) is ZeroDivisionError

    def test_interrupted_while_it_waits(self, backend: Adapter) -> None:
        def interrupt() -> None:
            raise KeyboardInterrupt

        for response in (refused(), http_error(503)):
            run = Run(backend, response, before_wait=interrupt, retries=RetryPolicy())
            assert type(run.outcome) is KeyboardInterrupt
            assert run.notes.timeline is not None
            assert run.notes.timeline.error is run.outcome
            assert not hasattr(run.outcome, "__notes__")

    def test_after_the_last_fault_it_is_over(self, backend: Adapter) -> None:
        async def main() -> None:
            sequence = ResponseSequence(http_error(503), http_error(503), whole())
            client = backend.client(
                AsyncResponseSequence(sequence) if backend.is_async else sequence,
                ENDPOINT,
                retries=RetryPolicy(2, 0, 0),
            )
            async with client.stream(QUERY) as stream:
                for _ in range(3):
                    with pytest.raises(ServerError) as caught:
                        await anext(stream)
                    assert caught.value.__notes__ == ["2 attempts were made (RetryPolicy)"]
            assert len(sequence.begun) == 2

        backend.run(main)

    def test_the_picture_is_released_at_the_first_event(self, backend: Adapter) -> None:
        async def main() -> None:
            sequence = ResponseSequence(refused(), whole())
            client = backend.client(
                AsyncResponseSequence(sequence) if backend.is_async else sequence,
                ENDPOINT,
                retries=NO_BACKOFF,
            )
            request = CaptionRequest(image=PIXEL)
            held = sys.getrefcount(request)
            async with client.stream(request) as stream:
                assert sys.getrefcount(request) > held
                await anext(stream)
                sequence.begun.clear()
                gc.collect()
                assert sys.getrefcount(request) == held

        backend.run(main)
