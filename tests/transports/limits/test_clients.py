"""Clients with a limiter: each attempt has a turn, until its connection is closed."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest

from moondream_transports import Client, Limiter, RetryPolicy, Timeouts, VirtualClock
from moondream_transports.sdk import vl
from sansio_moondream import ConnectError, ConnectionLost, LocalProtocolError
from tests.helpers import QUERY, delta
from tests.transports.adapters import LONGEST_WAIT, Adapter
from tests.transports.fakes import ENDPOINT, WHOLE, FakeStream, JSONFakeStream
from tests.transports.limits.clients import clock_of, sender
from tests.transports.limits.turns import taken, until
from tests.transports.retries.exchanges import (
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
