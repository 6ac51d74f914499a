"""Which of several gates is asked, and which cools down."""

from __future__ import annotations

from sansio_moondream.limiter import AdmissionQueue, Cooldown, GateStatus, RateLimit
from tests.core.limiters import turn


def test_the_gate_that_is_free_soonest_is_asked():
    queue = AdmissionQueue([RateLimit(1), RateLimit(4)])
    for _ in range(7):
        queue.join(0.0)
    now, gates = 0.0, []
    while (moment := queue.next_at(now)) is not None:
        now = moment
        gates += [(ticket.gate, now) for ticket in queue.admit(now)]
    assert gates[:5] == [(0, 0.0), (1, 0.0), (1, 0.25), (1, 0.5), (1, 0.75)]
    assert sorted(gates[5:]) == [(0, 1.0), (1, 1.0)]


def test_of_free_gates_the_least_busy_and_then_the_least_recent_is_asked():
    queue = AdmissionQueue([RateLimit(1), RateLimit(2), RateLimit(100, concurrent=8)])
    first, second, third = (turn(queue, moment) for moment in (0.0, 0.1, 0.2))
    assert [first.gate, second.gate, third.gate] == [0, 1, 2]
    queue.release(first, 0.3)
    again = turn(queue, 1.0)
    assert again.gate == 0
    queue.release(again, 1.0)
    queue.release(second, 1.0)
    assert turn(queue, 3.0).gate == 1  # 0 was used later; 2 has an open request
    assert turn(queue, 3.0).gate == 0


def test_a_gate_that_was_never_used_is_asked_before_one_that_was():
    queue = AdmissionQueue([RateLimit(), RateLimit()])
    first = turn(queue, 5.0)
    queue.release(first, 5.0)
    assert (first.gate, turn(queue, 5.0).gate) == (0, 1)


def test_a_gate_that_fails_cools_down_twice_as_long_each_time():
    queue = AdmissionQueue([RateLimit(), RateLimit(concurrent=1)], Cooldown(1.0, 5.0))
    blocking, other = turn(queue, 0.0), turn(queue, 0.0)
    assert (blocking.gate, other.gate) == (0, 1)
    queue.release(blocking, 0.0)
    for now, seconds in ((10.0, 1.0), (20.0, 2.0), (30.0, 4.0), (40.0, 5.0), (50.0, 5.0)):
        failing = turn(queue, now)
        assert failing.gate == 0
        queue.fail(failing, now)
        queue.release(failing, now)
        assert queue.status(now)[0].cooling == seconds
        waiting = queue.join(now)
        assert queue.next_at(now) == now + seconds
        queue.leave(waiting, now)
    recovered = turn(queue, 60.0)
    queue.succeed(recovered, 60.0)
    queue.fail(recovered, 60.0)
    assert queue.status(60.0)[0].cooling == 1.0


def test_a_request_that_began_before_the_cool_down_changes_nothing():
    queue = AdmissionQueue([RateLimit(), RateLimit(concurrent=1)], Cooldown(1.0, 60.0))
    turn(queue, 0.0)  # at gate 0
    turn(queue, 0.0)  # at gate 1, which is full
    flight = [turn(queue, 0.0) for _ in range(10)]
    for ticket in flight:
        assert ticket.gate == 0
        queue.fail(ticket, 3.0)
    queue.succeed(flight[0], 3.5)
    assert queue.status(3.5)[0].cooling == 0.5


def test_if_all_cool_down_the_first_to_end_is_used():
    queue = AdmissionQueue([RateLimit(), RateLimit(), RateLimit()], Cooldown(4.0, 4.0))
    tickets = [turn(queue, 0.0) for _ in range(3)]
    for ticket, now in zip(tickets, (2.0, 0.0, 1.0), strict=True):
        queue.fail(ticket, now)
    assert [turn(queue, 2.0).gate for _ in range(3)] == [1, 1, 1]
    queue.succeed(turn(queue, 3.0), 3.0)
    assert queue.status(3.0)[1].cooling == 0.0


def test_a_lone_gate_never_waits_for_a_cool_down():
    queue = AdmissionQueue([RateLimit()], Cooldown(60.0))
    queue.fail(turn(queue, 0.0), 0.0)
    assert queue.status(0.0) == (GateStatus(1, None, 0.0, 60.0),)
    turn(queue, 0.0)


def test_a_cool_down_of_ever_more_failures_stays_at_its_maximum():
    queue = AdmissionQueue([RateLimit()], Cooldown(0.001, 7.0))
    for _ in range(1100):
        queue.fail(turn(queue, 0.0), 0.0)
    assert queue.status(0.0)[0].cooling == 7.0
