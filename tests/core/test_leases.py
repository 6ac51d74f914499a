"""Leases: the lines of a `LeaseQueue`, and its promise for workers and limiters that die."""

from __future__ import annotations

import heapq
from fractions import Fraction
from math import nextafter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sansio_moondream.limiter import Lease, LeaseQueue, RateLimit
from tests.core.limiters import windows_are_kept

LIMITS = st.builds(
    RateLimit,
    per_second=st.sampled_from([1 / 3, 0.5, 2, 3.7, 10, 250.0]),
    burst=st.none() | st.sampled_from([1, 2, 3, 5, 40]),
    recovery=st.sampled_from([0, 2.5]),
)
LENGTHS = st.sampled_from([0.001, 0.05, 0.1, 0.25, 0.5, 1.0, 3.0])


def grants(queue: LeaseQueue, now: float, *, until: float) -> list[tuple[float, int]]:
    """Return when the calls in line get a lease, and of how many."""
    granted: list[tuple[float, int]] = []
    while (moment := queue.next_at(now)) is not None and moment <= until:
        now = moment
        admitted = queue.admit(now)
        assert admitted  # next_at is exact
        granted += [(now, ticket.count) for ticket in admitted]
    return granted


class TestLine:
    def test_the_burst_is_empty_at_first_and_fills(self) -> None:
        queue = LeaseQueue(RateLimit(2, 4), 0.5, now=100.0)
        assert queue.granted == RateLimit(2, 3)  # one is kept for half a second
        ticket = queue.join(5, 100.0)
        assert queue.admit(nextafter(100.5, 0)) == []
        assert (queue.admit(100.5), ticket.count, ticket.want) == ([ticket], 1, 5)
        assert queue.next_at(100.5) is None
        late = queue.join(5, 110.0)
        assert (queue.admit(110.0), late.count) == ([late], 3)

    def test_first_come_first_served(self) -> None:
        queue = LeaseQueue(RateLimit(4, 2), 0.25, now=0.0)
        first, second, third = (queue.join(2, 0.0) for _ in range(3))
        queue.leave(second)
        queue.leave(second)
        assert queue.waiting == 2
        assert grants(queue, 0.0, until=1.0) == [(0.25, 1), (0.5, 1)]
        assert (first.count, second.count, third.count) == (1, 0, 1)
        assert (third.joined_at, third.granted_at, second.granted_at) == (0.0, 0.5, 0.0)
        assert repr(third) == "<LeaseTicket, 1 of 2>"
        assert queue.waiting == 0

    def test_without_a_rate_all_that_wait_begin(self) -> None:
        queue = LeaseQueue(RateLimit(), 0.25, now=5.0)
        tickets = [queue.join(want, 5.0) for want in (3, 1)]
        assert queue.admit(5.0) == tickets
        assert [ticket.count for ticket in tickets] == [3, 1]

    @pytest.mark.parametrize("limit", [RateLimit(), RateLimit(10, recovery=0)])
    def test_a_pause_is_for_all(self, limit: RateLimit) -> None:
        queue = LeaseQueue(limit, 0.25, now=0.0)
        queue.pause(3.0, 1.0)
        queue.pause(1.0, 2.0)  # ends earlier
        assert (queue.paused(1.0), queue.paused(3.5), queue.paused(5.0)) == (3.0, 0.5, 0.0)
        queue.join(1, 2.0)
        [(moment, count)] = grants(queue, 2.0, until=10.0)
        assert (moment, count) == (4.0 if limit.per_second is None else pytest.approx(4.1), 1)

    @pytest.mark.parametrize(
        ("limit", "seconds", "burst", "granted"),
        [
            (RateLimit(10), 0.25, 4, RateLimit(10, 1)),
            (RateLimit(10, 4), 0.25, 4, RateLimit(10, 1)),
            (RateLimit(10, 9), 0.25, 9, RateLimit(10, 6)),
            (RateLimit(10, 1), 0.25, 1, RateLimit(10 / 3.5, 1)),
            (RateLimit(10, 3, recovery=1), 0.25, 3, RateLimit(30 / 3.5, 1, recovery=1)),
            (RateLimit(2), 0.5, 2, RateLimit(2, 1)),
            (RateLimit(2, 1), 0.5, 1, RateLimit(1, 1)),
        ],
    )
    def test_what_is_granted(
        self, limit: RateLimit, seconds: float, burst: int, granted: RateLimit
    ) -> None:
        queue = LeaseQueue(limit, seconds, now=0.0)
        assert queue.limit == RateLimit(limit.per_second, burst, recovery=limit.recovery)
        assert (queue.granted, queue.seconds) == (granted, seconds)

    @pytest.mark.parametrize(
        ("arguments", "error", "message"),
        [
            ((RateLimit(concurrent=3), 0.25), ValueError, "limit should have no concurrent"),
            ((RateLimit(2), 0.0009), ValueError, "seconds should be a number of at least 0.001"),
            ((RateLimit(2), None), TypeError, "seconds should be a number of at least"),
            ((2, 0.25), TypeError, r"limit should be RateLimit\(...\), not int"),
        ],
    )
    def test_refused(self, arguments: Any, error: type[Exception], message: str) -> None:
        limit, seconds = arguments
        with pytest.raises(error, match=message):
            LeaseQueue(limit, seconds, 0.0)

    def test_refused_calls(self) -> None:
        queue = LeaseQueue(RateLimit(2), 0.001, now=0.0)
        for want in (0, 1.0, True):
            with pytest.raises((ValueError, TypeError), match="want should be a whole number"):
                queue.join(want, 0.0)  # type: ignore[arg-type]
        with pytest.raises(ValueError, match="seconds should be a number of seconds"):
            queue.pause(-1, 0.0)


def test_a_lease_counts_from_the_call() -> None:
    assert Lease(3, held=1.5, seconds=0.5).end(asked_at=10.0) == pytest.approx(11.995)
    assert Lease(0, 0.0, 1.0).end(0.0) == 0.99


class Cluster:
    """Workers with clocks of their own, and one limiter after the other, on a virtual clock.

    A worker begins what it gets at any moment until its lease ends. Begins are counted although
    their worker dies then: nothing tells the limiter.
    """

    def __init__(self, data: st.DataObject, limit: RateLimit, seconds: float) -> None:
        self.data = data
        self.limit, self.seconds = limit, seconds
        self.now = Fraction(0)
        self.begun: list[Fraction] = []
        self.calls: list[tuple[Fraction, int, Any]] = []  # at the limiter, by arrival
        self.granted = 0
        self.start_limiter()

    def draw(self, strategy: st.SearchStrategy[Any]) -> Any:
        return self.data.draw(strategy)

    def start_limiter(self) -> None:
        """Let a limiter take the place of the last one, whose calls are lost."""
        self.shift: float = self.draw(st.sampled_from([0, 1000, 123456.789]))  # of its clock
        self.tickets: dict[Any, Fraction] = {}
        self.queue = LeaseQueue(self.limit, self.seconds, self.clock())

    def clock(self) -> float:
        return float(self.now) + self.shift

    def ask(self, ways: st.SearchStrategy[float]) -> None:
        want = self.draw(st.sampled_from([1, 2, 50]))
        heapq.heappush(self.calls, (self.now + Fraction(self.draw(ways)), len(self.begun), want))

    def step(self, moment: Fraction, ways: st.SearchStrategy[float]) -> None:
        """Let time pass, and all that happens meanwhile."""
        while True:
            next_at = self.queue.next_at(self.clock())
            wake = None if next_at is None else Fraction(next_at) - Fraction(self.shift)
            arrival = self.calls[0][0] if self.calls else None
            soonest = min((at for at in (wake, arrival) if at is not None), default=moment)
            if soonest > moment:
                break
            if wake is None and arrival is None:
                break
            self.now = max(self.now, soonest)
            if arrival is not None and arrival <= self.now:
                at, _, want = heapq.heappop(self.calls)
                self.tickets[self.queue.join(want, self.clock())] = at
            for ticket in self.queue.admit(self.clock()):
                self.take(self.tickets.pop(ticket), ticket.count, ways)
        self.now = max(self.now, moment)

    def take(self, arrived: Fraction, count: int, ways: st.SearchStrategy[float]) -> None:
        """Let a worker begin what it was granted now: as late as its lease allows, or sooner."""
        there, back = Fraction(self.draw(ways)), Fraction(self.draw(ways))
        sent, held = float(arrived - there), float(self.now - arrived)
        end = Fraction(Lease(count, held, self.seconds).end(sent))
        first = self.now + back
        self.granted += count
        for _ in range(count):
            share = self.draw(st.sampled_from([0, 1, Fraction(1, 3)]))
            if first <= end:
                self.begun.append(first + (end - first) * share)


@given(data=st.data(), limit=LIMITS, seconds=LENGTHS)
def test_the_promise_holds_whoever_dies(
    data: st.DataObject, limit: RateLimit, seconds: float
) -> None:
    ways = st.sampled_from([0.0, 0.001, seconds / 3, seconds * 0.99, seconds, 2 * seconds])
    cluster = Cluster(data, limit, seconds)
    steps = st.sampled_from([0.0, 0.001, 0.1, seconds, 1.0, 7.0])
    for _ in range(data.draw(st.integers(1, 12))):
        for _ in range(data.draw(st.integers(0, 4))):
            cluster.ask(ways)
        if data.draw(st.integers(0, 3)) == 0:
            cluster.start_limiter()
        if data.draw(st.integers(0, 5)) == 0:
            cluster.queue.pause(data.draw(steps), cluster.clock())
        cluster.step(cluster.now + Fraction(data.draw(steps)), ways)
    promised = cluster.queue.limit
    begun: list[Any] = sorted(cluster.begun)
    assert windows_are_kept(promised, begun)
    assert len(begun) <= cluster.granted


@given(limit=LIMITS, seconds=LENGTHS)
def test_the_worst_case_is_just_kept(limit: RateLimit, seconds: float) -> None:
    """What is granted in a burst begins as late, and what follows as early as can be."""
    queue = LeaseQueue(limit, seconds, now=0.0)
    queue.join(10**6, 1e5)
    [burst] = queue.admit(1e5)
    assert burst.count == queue.granted.burst
    end = Lease(0, 0.0, seconds).end(1e5)
    begun = [end] * burst.count
    for _ in range(60):
        queue.join(1, end)
    begun += [max(moment, end) for moment, _ in grants(queue, 1e5, until=1e9)]
    assert windows_are_kept(queue.limit, begun)
    if queue.granted.burst == 1 and queue.limit.burst == 1:  # and no slower than it has to be
        slack = begun[1] - begun[0] - 1 / (limit.per_second or 1)
        assert 0 <= slack <= seconds * 0.011 + 1e-6


@given(limit=LIMITS, seconds=LENGTHS)
def test_a_new_limiter_grants_no_more_than_the_last_one_would(
    limit: RateLimit, seconds: float
) -> None:
    """The last one dies when it has just granted a burst. The new one grants as soon as it can."""
    last = LeaseQueue(limit, seconds, now=0.0)
    last.join(10**6, 1e5)
    [burst] = last.admit(1e5)
    new = LeaseQueue(limit, seconds, now=1e5)
    for _ in range(60):
        new.join(1, 1e5)
    granted = [1e5] * burst.count + [moment for moment, _ in grants(new, 1e5, until=1e9)]
    assert len(granted) == 60 + burst.count
    assert windows_are_kept(last.granted, granted)
