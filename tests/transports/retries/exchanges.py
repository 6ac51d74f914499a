"""Fake exchanges with retries: one response after the other, without waiting."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

import pytest

from moondream_transports import Hooks, RetryPolicy, Timeline, Timeouts
from sansio_moondream import (
    APIError,
    ConnectError,
    MoondreamError,
)
from tests.helpers import QUERY
from tests.transports.adapters import Adapter, never
from tests.transports.fakes import ENDPOINT, WHOLE, AsyncFakeStream, FakeStream, JSONFakeStream

EACH = [Adapter(name, name, never) for name in ("sync", "asyncio", "trio")]
each_backend = pytest.mark.parametrize("backend", EACH, ids=lambda backend: backend.name)
each_async_backend = pytest.mark.parametrize("backend", EACH[1:], ids=lambda backend: backend.name)
NO_BACKOFF = RetryPolicy(initial_backoff=0, max_backoff=0)
NOW = datetime(2026, 10, 21, 7, 28, tzinfo=UTC).timestamp()


class ResponseSequence:
    """A transport that answers each attempt with the next of these."""

    def __init__(self, *responses: FakeStream, clock: Any = None) -> None:
        self.clock = clock
        self.responses = list(responses)
        self.begun: list[FakeStream] = []

    def next(self) -> FakeStream:
        self.begun.append(self.responses[len(self.begun)])
        return self.begun[-1]

    def send(self, request: Any, timeouts: Timeouts) -> FakeStream:
        return self.next().send(request, timeouts)

    @property
    def open(self) -> int:
        return sum(response.refuses is None for response in self.begun) - sum(
            bool(response.closed) for response in self.begun
        )


class AsyncResponseSequence:
    def __init__(self, sequence: ResponseSequence) -> None:
        self.sequence = sequence

    async def send(self, request: Any, timeouts: Timeouts) -> AsyncFakeStream:
        return await AsyncFakeStream(self.sequence.next()).send(request, timeouts)


class Notes(Hooks):
    """The calls of the hooks, and the last timeline."""

    def __init__(self) -> None:
        self.called: list[str] = []
        self.retries: list[tuple[int, MoondreamError, float]] = []
        self.timeline: Timeline | None = None

    def on_start(self, timeline: Timeline) -> None:
        self.called.append("start")
        self.timeline = timeline

    def on_head(self, timeline: Timeline) -> None:
        self.called.append(f"head {timeline.status_code}")

    def on_first_event(self, timeline: Timeline) -> None:
        self.called.append("first event")

    def on_retry(self, timeline: Timeline, error: MoondreamError, seconds: float) -> None:
        self.called.append("retry")
        self.retries.append((timeline.attempts, error, seconds))

    def on_end(self, timeline: Timeline) -> None:
        assert timeline is self.timeline
        self.called.append("end")


class Run:
    """One exchange of a client over these responses: its events, its outcome, and how long
    it waited between attempts.
    """

    def __init__(
        self,
        backend: Adapter,
        *responses: FakeStream,
        before_wait: Callable[[], object] = lambda: None,
        clock: Any = None,
        **options: Any,
    ) -> None:
        self.sequence = ResponseSequence(*responses, clock=clock or Clock())  # no real time passes
        self.notes = Notes()
        self.waits: list[float] = []
        self.events: list[Any] = []
        self.outcome: Any = None

        def sleep(seconds: float) -> None:
            assert (
                self.sequence.open == 0
            )  # the connection of the attempt before is closed, or given back
            before_wait()
            self.waits.append(seconds)

        async def sleep_async(seconds: float) -> None:
            sleep(seconds)

        async def main() -> None:
            transport = AsyncResponseSequence(self.sequence) if backend.is_async else self.sequence
            sleeping = sleep_async if backend.is_async else sleep
            client = backend.client(
                transport, ENDPOINT, **{"sleep": sleeping, "hooks": self.notes} | options
            )
            try:
                async with client.stream(QUERY) as stream:
                    async for event in stream:
                        self.events.append(event)
                    self.outcome = await stream.result()
            except BaseException as error:
                self.outcome = error
                if not isinstance(error, Exception):
                    raise

        with suppress(KeyboardInterrupt):
            backend.run(main)
        assert self.sequence.open == 0
        assert self.notes.called[0] == "start"
        assert [self.notes.called.count("start"), self.notes.called.count("end")] == [1, 1]
        assert self.notes.called[-1] == "end"
        assert self.notes.timeline is not None
        self.attempts = self.notes.timeline.attempts
        assert self.attempts == len(self.sequence.begun)


def http_error(
    status_code: int, retry_after: str | None = None, body: bytes = b'{"error": "no"}'
) -> FakeStream:
    """An error answer."""
    response = JSONFakeStream(body, b"", status_code=status_code)
    response.headers = (
        [*response.headers, ("Retry-After", retry_after)]
        if retry_after is not None
        else response.headers
    )
    return response


def whole() -> FakeStream:
    return FakeStream(*WHOLE)


def refused() -> FakeStream:
    return FakeStream(refuses=ConnectError("refused"))


def busy(retry_after: str | None = None, status_code: int = 503) -> APIError:
    """The error of such an answer, as the core makes it."""
    (attempt,) = Run(EACH[0], http_error(status_code, retry_after)).sequence.begun
    assert attempt.closed == 1
    error = Run(EACH[0], http_error(status_code, retry_after)).outcome
    assert isinstance(error, APIError)
    return error


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now

    def passes(self, seconds: float, data: bytes = b"") -> bytes:
        self.now += seconds
        return data


LONG = RetryPolicy(initial_backoff=30, max_backoff=30)


class Calls(Notes):
    """Does something when a retry is reported."""

    def __init__(self, then: Callable[[], object]) -> None:
        super().__init__()
        self.then = then

    def on_retry(self, timeline: Timeline, error: MoondreamError, seconds: float) -> None:
        super().on_retry(timeline, error, seconds)
        self.then()
