"""The calls of an `AdmissionQueue` in any order, against an account of its promises."""

from __future__ import annotations

from copy import deepcopy
from fractions import Fraction
from math import inf, nextafter

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from sansio_moondream.limiter import AdmissionQueue, Cooldown, RateLimit, Ticket
from tests.core.limiters import Account, windows_are_kept

LATE = Fraction(1, 10**6)  # seconds: rounding may delay a request by less

RATES = st.sampled_from([0.3, 0.5, 1 / 3, 2, 3.7, 10, 997.0])
LIMITS = st.one_of(
    st.builds(RateLimit, concurrent=st.none() | st.integers(1, 3)),
    st.builds(
        RateLimit,
        per_second=RATES,
        burst=st.none() | st.integers(1, 4),
        concurrent=st.none() | st.integers(1, 3),
        recovery=st.sampled_from([0, 1, 2.5, 5.0]),
    ),
)
SECONDS = st.sampled_from([0.0, 1e-9, 0.001, 0.1, 0.3, 0.5, 1.0, 2.7, 13.0])


class AnyOrder(RuleBasedStateMachine):
    @initialize(limits=st.lists(LIMITS, min_size=1, max_size=3), start=SECONDS)
    def begin(self, limits: list[RateLimit], start: float) -> None:
        self.now = 1000 * start
        self.limits = limits
        self.cooldown = Cooldown(1.0, 5.0)
        self.queue = AdmissionQueue(limits, self.cooldown)
        self.accounts = [Account(limit) for limit in limits]
        self.line: list[Ticket] = []
        self.open: list[Ticket] = []
        self.begun: list[list[float]] = [[] for _ in limits]  # without what was handed back
        self.last: list[tuple[Ticket, Fraction] | None] = [None for _ in limits]
        self.paused = [-inf for _ in limits]
        self.cooling = [(-inf, -inf, 0) for _ in limits]  # since, until, failures

    def admit(self) -> None:
        """Whose turn it is has to be in order, and at gates that are free. Then nothing waits."""
        for ticket in self.queue.admit(self.now):
            assert ticket is self.line.pop(0)
            assert ticket.began_at == self.now
            assert ticket.gate is not None
            self.check_turn(ticket, ticket.gate)
        assert self.queue.waiting == len(self.line)
        assert self.queue.first is (self.line[0] if self.line else None)
        assert not self.line or all(self.is_held(gate) for gate in self.usable())

    def check_turn(self, ticket: Ticket, gate: int) -> None:
        opened, account = self.opened(), self.accounts[gate]
        assert gate in self.usable()
        assert self.now >= self.paused[gate]
        concurrent = self.limits[gate].concurrent
        assert concurrent is None or opened[gate] < concurrent
        better = [other for other in self.usable() if opened[other] < opened[gate]]
        assert all(self.is_held(other) for other in better)
        self.last[gate] = (ticket, account.level)
        if self.limits[gate].per_second is not None:
            assert account.tokens(self.now) >= 1
            account.begin(self.now)
        self.open.append(ticket)
        self.begun[gate].append(self.now)

    def opened(self) -> list[int]:
        gates = [ticket.gate for ticket in self.open]
        return [gates.count(gate) for gate in range(len(self.limits))]

    def usable(self) -> list[int]:
        """The gates that do not cool down, or else the one whose cool-down ends first."""
        until = [until for _, until, _ in self.cooling]
        warm = [gate for gate, end in enumerate(until) if end <= self.now]
        return warm or [until.index(min(until))]

    def is_held(self, gate: int) -> bool:
        limit = self.limits[gate]
        is_full = limit.concurrent is not None and self.opened()[gate] >= limit.concurrent
        if is_full or self.now < self.paused[gate]:
            return True
        later = Fraction(self.now) - LATE
        # Rounding may hold a request back for a moment after the account has its token.
        return limit.per_second is not None and self.accounts[gate].tokens(float(later)) < 1

    @rule(count=st.integers(1, 6))
    def join(self, count: int) -> None:
        for _ in range(count):
            ticket = self.queue.join(self.now)
            assert (ticket.state, ticket.gate, ticket.joined_at) == ("waiting", None, self.now)
            self.line.append(ticket)
        self.admit()

    @rule(seconds=SECONDS)
    def wait(self, seconds: float) -> None:
        self.now += seconds
        self.admit()

    @precondition(lambda self: self.line)
    @rule()
    def wait_until_the_next(self) -> None:
        moment = self.queue.next_at(self.now)
        if moment is None:
            far = deepcopy(self.queue)
            assert far.admit(self.now + 1e6) == []
            return
        assert moment > self.now
        assert deepcopy(self.queue).admit(nextafter(moment, 0)) == []
        first = self.line[0]
        self.now = moment
        self.admit()
        assert first.state == "open"

    @precondition(lambda self: self.line)
    @rule(at=st.integers(0, 100))
    def leave_the_line(self, at: int) -> None:
        ticket = self.line.pop(at % len(self.line))
        self.queue.leave(ticket, self.now)
        assert ticket.state == "ended"
        self.admit()

    @precondition(lambda self: self.open)
    @rule(at=st.integers(0, 100))
    def hand_back(self, at: int) -> None:
        ticket = self.open.pop(at % len(self.open))
        gate = ticket.gate
        assert gate is not None
        assert ticket.began_at is not None
        self.begun[gate].remove(ticket.began_at)
        last = self.last[gate]
        if last is not None and last[0] is ticket:
            self.last[gate] = None
            self.accounts[gate].level += 1
        self.queue.leave(ticket, self.now)
        self.admit()

    @precondition(lambda self: self.open)
    @rule(at=st.integers(0, 100))
    def release(self, at: int) -> None:
        self.queue.release(self.open.pop(at % len(self.open)), self.now)
        self.admit()

    @precondition(lambda self: self.open)
    @rule(at=st.integers(0, 100), seconds=SECONDS)
    def pause(self, at: int, seconds: float) -> None:
        ticket = self.open[at % len(self.open)]
        gate = ticket.gate
        assert gate is not None
        self.queue.fail(ticket, self.now, seconds)
        if self.now + seconds > self.paused[gate]:
            self.paused[gate] = self.now + seconds
            self.accounts[gate].pause(self.paused[gate])
            self.last[gate] = None
        self.admit()

    @precondition(lambda self: self.open)
    @rule(at=st.integers(0, 100), is_failure=st.booleans())
    def report(self, at: int, is_failure: bool) -> None:
        ticket = self.open[at % len(self.open)]
        gate, began_at = ticket.gate, ticket.began_at
        assert gate is not None
        assert began_at is not None
        since, _, failures = self.cooling[gate]
        if is_failure:
            self.queue.fail(ticket, self.now)
        else:
            self.queue.succeed(ticket, self.now)
        if began_at >= since and is_failure:
            seconds = [1.0, 2.0, 4.0, 5.0][min(failures, 3)]
            self.cooling[gate] = (self.now, self.now + seconds, failures + 1)
        elif began_at >= since:
            self.cooling[gate] = (since, -inf, 0)
        self.admit()

    @invariant()
    def promises_hold(self) -> None:
        for limit, begun in zip(self.limits, self.begun, strict=True):
            assert windows_are_kept(limit, begun)
        status = self.queue.status(self.now)
        assert [gate.open for gate in status] == self.opened()
        assert [gate.paused for gate in status] == [max(end - self.now, 0) for end in self.paused]
        assert [gate.cooling for gate in status] == [
            max(until - self.now, 0) for _, until, _ in self.cooling
        ]


TestAnyOrder = AnyOrder.TestCase
TestAnyOrder.settings = settings(stateful_step_count=30)
