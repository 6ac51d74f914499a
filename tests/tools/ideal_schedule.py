"""The seconds that a bulk run takes without any overhead: a simulation of it on virtual time.

The simulation has the library's own `AdmissionQueue` and `RetryPolicy`, and the faults that
`moondream-stream serve` gives to the same requests. It has no overhead: no encoding, no connection,
no ledger. How much slower a real run is, is its overhead. Which faults come together, and share a
pause, depends on the order of the answers. So a real run may differ by a pause or two.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Generator, Iterable
from itertools import count

from msgspec import Struct

from moondream_tools._faults import HTTPFault
from moondream_transports import RetryPolicy
from sansio_moondream import APIError, ConnectionLost, MoondreamError
from sansio_moondream.limiter import AdmissionQueue, RateLimit, Ticket

FaultOf = Callable[[str, int], HTTPFault | None]
"""Return the fault of a request by its digest, and by how often it has come."""

_Worker = Generator[float | Ticket, None, None]
"""Yields the seconds that it waits, or the ticket whose turn it waits for."""


class IdealSchedule(Struct, frozen=True):
    """How a run without overhead goes.

    Attributes:
        seconds: from the start of the run to the end of the last answer.
        errors: what ended each request, by its digest; None for a result.
        attempts: that each request took.
    """

    seconds: float
    errors: dict[str, MoondreamError | None]
    attempts: dict[str, int]


def ideal_schedule(
    digests: Iterable[str],
    *,
    concurrent: int,
    latency: float,
    fault: FaultOf,
    limit: RateLimit | None = None,
    retries: RetryPolicy | None = None,
) -> IdealSchedule:
    """Simulate a run.

    Args:
        digests: of the requests, in their order. Each is another.
        concurrent: how many requests are asked at once. A request that waits for its next attempt
            is one of them, as in a run.
        latency: seconds that each answer takes.
        fault: of each answer.
        limit: of the server.
        retries: of the client. Its random waits have their least length.
    """
    run = _Run(digests, latency, fault, limit or RateLimit(), retries or RetryPolicy())
    seconds = run.simulate(concurrent)
    return IdealSchedule(seconds, run.errors, run.attempts)


class _Run:
    def __init__(
        self,
        digests: Iterable[str],
        latency: float,
        fault: FaultOf,
        limit: RateLimit,
        retries: RetryPolicy,
    ) -> None:
        self.errors: dict[str, MoondreamError | None] = {}
        self.attempts: dict[str, int] = {}
        self._now = 0.0
        self._digests = iter(digests)
        self._latency = latency
        self._fault = fault
        self._queue = AdmissionQueue([limit])
        self._retries = retries

    def simulate(self, concurrent: int) -> float:
        """Run all workers. Returns the moment when the last one ends."""
        order = count()  # of what happens at the same moment
        due = [(0.0, next(order), self._work()) for _ in range(concurrent)]
        waiting: dict[Ticket, _Worker] = {}
        while due or waiting:
            while due and due[0][0] <= self._now:
                _, _, worker = heapq.heappop(due)
                wait = next(worker, None)
                if isinstance(wait, Ticket):
                    waiting[wait] = worker
                elif wait is not None:
                    heapq.heappush(due, (self._now + wait, next(order), worker))
            for ticket in self._queue.admit(self._now):
                heapq.heappush(due, (self._now, next(order), waiting.pop(ticket)))
            moments = [due[0][0]] if due else []
            if (turn := self._queue.next_at(self._now)) is not None:
                moments.append(turn)
            self._now = min(moments, default=self._now)
        return self._now

    def _work(self) -> _Worker:
        for digest in self._digests:
            self.errors[digest] = yield from self._ask(digest)

    def _ask(self, digest: str) -> Generator[float | Ticket, None, MoondreamError | None]:
        for attempt in count(1):
            ticket = self._queue.join(self._now)
            yield ticket
            yield self._latency
            self.attempts[digest] = attempt
            error = _error(self._fault(digest, attempt))
            self._report(ticket, error)
            self._queue.release(ticket, self._now)
            if error is None:
                return None
            wait = self._retries.wait(error, attempt, self._now, 0.0)
            if wait is None:
                return error
            yield wait
        raise AssertionError("unreachable")

    def _report(self, ticket: Ticket, error: MoondreamError | None) -> None:
        if isinstance(error, APIError) and error.status_code in (429, 503):
            self._queue.fail(ticket, self._now, error.retry_after)
        elif error is None or isinstance(error, APIError):
            self._queue.succeed(ticket, self._now)
        else:
            self._queue.fail(ticket, self._now)


def _error(fault: HTTPFault | None) -> MoondreamError | None:
    """Return the error that a client raises for a fault."""
    if fault is None:
        return None
    return fault.error or ConnectionLost(f"fault {fault.kind}")
