"""Clients with a limiter: each attempt has a turn, until its connection is closed."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import Any

import pytest

from moondream_transports import (
    AsyncVirtualClock,
    Client,
    Hooks,
    Limiter,
    RetryPolicy,
    Timeline,
    Timeouts,
    VirtualClock,
)
from moondream_transports.sdk import vl
from sansio_moondream import (
    ConnectError,
    ConnectionLost,
    LocalProtocolError,
    MoondreamError,
    RateLimitError,
    ServerError,
    TotalTimeout,
    TurnTimeout,
)
from tests.helpers import QUERY, delta
from tests.transports.adapters import LONGEST_WAIT, Adapter
from tests.transports.fakes import ENDPOINT, WHOLE, AsyncFakeStream, FakeStream, JSONFakeStream
from tests.transports.limits.test_turns import taken, until
from tests.transports.retries.exchanges import (
    EACH,
    NO_BACKOFF,
    Notes,
    Run,
    each_async_backend,
    each_backend,
    http_error,
    refused,
    whole,
)


class Watched(FakeStream):
    """It notes how many turns are open when its connection is closed."""

    open_at_close: int | None = None
    limiter: Limiter

    def close(self) -> None:
        super().close()
        self.open_at_close = self.limiter.status().open


def watched(limiter: Limiter, *steps: Any, status_code: int = 200) -> Watched:
    stream = Watched(*steps, status_code=status_code)
    stream.limiter = limiter
    return stream


def sender(backend: Adapter, stream: FakeStream, **options: Any) -> Any:
    """A client of this backend whose transport plays this stream."""
    transport = AsyncFakeStream(stream) if backend.is_async else stream
    return backend.client(transport, ENDPOINT, **options)


async def spend(backend: Adapter, limiter: Limiter) -> None:
    """Let a request begin and end."""
    if backend.is_async:
        async with limiter.turn():
            pass
    else:
        with limiter.turn():
            pass


def clock_of(backend: Adapter) -> Any:
    return AsyncVirtualClock() if backend.is_async else VirtualClock()


@each_backend
class TestTheTurnEndsAfterTheConnection:
    def test_of_a_whole_answer(self, backend: Adapter) -> None:
        async def main() -> None:
            stream = watched(limiter, *WHOLE)
            async with sender(backend, stream, limiter=limiter).stream(QUERY) as answer:
                assert limiter.status().open == 1
                assert (await answer.result()).text == "A moon"
            assert (stream.closed, stream.open_at_close) == (1, 1)
            assert limiter.status().open == 0

        limiter = Limiter(concurrent=1)
        backend.run(main)

    def test_that_is_left_early(self, backend: Adapter) -> None:
        async def main() -> None:
            stream = watched(limiter, *WHOLE)
            async with sender(backend, stream, limiter=limiter).stream(QUERY) as answer:
                await anext(aiter(answer))
            assert (stream.closed, stream.open_at_close) == (1, 1)
            assert limiter.status().open == 0

        limiter = Limiter(concurrent=1)
        backend.run(main)

    def test_that_breaks(self, backend: Adapter) -> None:
        async def main() -> None:
            stream = watched(limiter, delta("A"), ConnectionLost("reset"))
            with pytest.raises(ConnectionLost):
                await sender(backend, stream, limiter=limiter).send(QUERY)
            assert (stream.closed, stream.open_at_close) == (1, 1)
            assert limiter.status().open == 0

        limiter = Limiter(concurrent=1)
        backend.run(main)

    @pytest.mark.parametrize("kind", [ConnectError, ZeroDivisionError])
    def test_that_a_transport_raises(self, backend: Adapter, kind: type[Exception]) -> None:
        async def main() -> None:
            stream = FakeStream(refuses=kind("no"))
            with pytest.raises(kind):
                await sender(backend, stream, limiter=limiter).send(QUERY)
            assert limiter.status().open == 0

        limiter = Limiter(concurrent=1)
        backend.run(main)

    def test_whose_head_is_none(self, backend: Adapter) -> None:
        async def main() -> None:
            stream = watched(limiter, *WHOLE)
            stream.headers = [(1, 2)]  # type: ignore[list-item]
            with pytest.raises(TypeError, match="header names and values are str or bytes"):
                await sender(backend, stream, limiter=limiter).send(QUERY)
            assert (stream.closed, stream.open_at_close) == (1, 1)
            assert limiter.status().open == 0

        limiter = Limiter(concurrent=1)
        backend.run(main)

    def test_whose_request_cannot_be_encoded(self, backend: Adapter) -> None:
        async def main() -> None:
            client = sender(backend, whole(), limiter=limiter)
            with pytest.raises(TypeError, match="JSON values"):
                await client.send(QUERY, extra_body={"x": object()})
            assert limiter.status().open == 0

        limiter = Limiter(concurrent=1)
        backend.run(main)

    def test_of_each_attempt(self, backend: Adapter) -> None:
        def note() -> None:
            assert limiter.status().open == 0

        limiter = Limiter(concurrent=1)
        run = Run(
            backend,
            refused(),
            http_error(500),
            FakeStream(ConnectError("?")),
            whole(),
            limiter=limiter,
            retries=RetryPolicy(4, 0, 0),
            before_wait=note,
        )
        assert (run.outcome.text, run.attempts) == ("A moon", 4)
        assert limiter.status().open == 0


def test_a_stream_that_is_dropped_ends_its_turn() -> None:
    limiter = Limiter(concurrent=1)
    streams = [Client(FakeStream(*WHOLE), ENDPOINT, limiter=limiter).stream(QUERY).__enter__()]
    assert limiter.status().open == 1
    with pytest.warns(ResourceWarning, match="was never closed"):
        streams.clear()
    assert limiter.status().open == 0


@each_async_backend
def test_a_stream_that_is_dropped_in_a_task_ends_its_turn(backend: Adapter) -> None:
    async def main() -> None:
        streams = [await sender(backend, whole(), limiter=limiter).stream(QUERY).__aenter__()]
        with pytest.warns(ResourceWarning, match="was never closed"):
            streams.clear()
        await backend.until(lambda: limiter.status().open == 0, "the stream is closed")

    limiter = Limiter(concurrent=1)
    backend.run(main)


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
        await client.send(QUERY)

    notes = Notes()
    with caplog.at_level(logging.DEBUG, "moondream_transports"):
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


@each_async_backend
def test_cancelled_while_it_waits(backend: Adapter) -> None:
    async def main(cancel: Callable[[], object]) -> None:
        async def send() -> None:
            await sender(backend, stream, limiter=limiter, hooks=notes).send(QUERY)

        async def later() -> None:
            await backend.until(lambda: limiter.status().waiting, "it waits")
            cancel()

        await backend.together(send, later)

    limiter, stream, notes = Limiter(concurrent=1), whole(), Notes()
    holder = taken(limiter)
    backend.run(backend.cancelled, main)
    assert (stream.requests, notes.called) == ([], ["start", "end"])
    assert (limiter.status().waiting, limiter.status().open) == (0, 1)
    holder.end()


@each_async_backend
def test_closed_by_another_task_while_it_waits(backend: Adapter) -> None:
    async def main() -> None:
        stream = sender(backend, fake, limiter=limiter, hooks=notes).stream(QUERY)

        async def read() -> None:
            with pytest.raises(LocalProtocolError, match="not open"):
                async with stream:
                    pass

        async def close() -> None:
            await backend.until(lambda: limiter.status().waiting, "it waits")
            await stream.aclose()

        await backend.together(read, close)

    limiter, fake, notes = Limiter(concurrent=1), whole(), Notes()
    holder = taken(limiter)
    backend.run(main)
    assert (fake.requests, notes.called) == ([], ["start", "end"])
    assert (limiter.status().waiting, limiter.status().open) == (0, 1)
    holder.end()


def test_closed_by_another_thread_while_it_waits() -> None:
    limiter, fake = Limiter(concurrent=1), whole()
    holder = taken(limiter)
    stream = Client(fake, ENDPOINT, limiter=limiter).stream(QUERY)

    def close() -> None:
        until(lambda: limiter.status().waiting)
        stream.close()

    closing = threading.Thread(target=close)
    closing.start()
    with pytest.raises(LocalProtocolError, match="not open"), stream:
        pass
    closing.join()
    assert fake.requests == []
    assert (limiter.status().waiting, limiter.status().open) == (0, 1)
    holder.end()


def test_closed_by_another_thread_while_it_is_sent() -> None:
    """The turn lasts until the transport gives the connection, and that is closed."""
    limiter = Limiter(concurrent=1)
    is_sending, may_go_on = threading.Event(), threading.Event()

    class Slow(Watched):
        def send(self, request: Any, timeouts: Timeouts) -> FakeStream:
            is_sending.set()
            assert may_go_on.wait(LONGEST_WAIT)
            return super().send(request, timeouts)

    fake = Slow(*WHOLE)
    fake.limiter = limiter
    stream = Client(fake, ENDPOINT, limiter=limiter).stream(QUERY)

    def close() -> None:
        assert is_sending.wait(LONGEST_WAIT)
        stream.close()
        assert limiter.status().open == 1
        may_go_on.set()

    closing = threading.Thread(target=close)
    closing.start()
    with pytest.raises(LocalProtocolError, match="not open"), stream:
        pass
    closing.join()
    assert (fake.open_at_close, limiter.status().open) == (1, 0)


def test_closed_before_it_is_entered() -> None:
    limiter, fake = Limiter(concurrent=1), whole()
    holder = taken(limiter)
    stream = Client(fake, ENDPOINT, limiter=limiter).stream(QUERY)
    stream.close()
    with pytest.raises(LocalProtocolError, match="not open"), stream:
        pass
    assert fake.requests == []
    holder.end()


@each_backend
def test_clients_share_a_limiter(backend: Adapter) -> None:
    async def main() -> None:
        clock = clock_of(backend)
        limiter = Limiter(2, clock=clock)
        for number in range(4):
            await sender(backend, whole(), limiter=limiter).send(QUERY)
            assert clock.monotonic() == number / 2

    backend.run(main)


def test_the_official_surface_takes_a_limiter() -> None:
    clock = VirtualClock()
    limiter = Limiter(2, clock=clock)
    for _ in range(3):
        fake = JSONFakeStream(b'{"answer": "A moon"}', b"")
        model = vl(endpoint=ENDPOINT.url, transport=fake, limiter=limiter)
        assert model.query(question="What?")["answer"] == "A moon"
    assert clock.monotonic() == 1.0


def test_what_is_no_limiter_is_refused() -> None:
    with pytest.raises(TypeError, match=r"limiter should be Limiter\(...\), not int"):
        Client(whole(), ENDPOINT, limiter=2)  # type: ignore[arg-type]


def test_without_a_limiter_nothing_is_queued() -> None:
    run = Run(EACH[0], whole())
    assert run.notes.timeline is not None
    assert run.notes.timeline.queued == 0.0
    assert "queued" not in str(run.notes.timeline)
