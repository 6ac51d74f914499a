"""Whose turn it is, by example: rates, bursts and pauses."""

from __future__ import annotations

from fractions import Fraction
from itertools import pairwise
from math import ceil, inf, nextafter
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from sansio_moondream import LocalProtocolError
from sansio_moondream.limiter import AdmissionQueue, Cooldown, GateStatus, RateLimit
from tests.core.limiters import moments, turn, windows_are_kept


def test_two_a_second_begin_half_a_second_apart():
    queue = AdmissionQueue([RateLimit(2)])
    assert moments(queue, 4, 10.0) == [10.0, 10.5, 11.0, 11.5]
    assert moments(queue, 3, 20.0) == [20.0, 20.5, 21.0]  # a rest saves up nothing


def test_a_burst_begins_at_once_after_a_rest():
    queue = AdmissionQueue([RateLimit(2, burst=3)])
    assert moments(queue, 5) == [0.0, 0.0, 0.0, 0.5, 1.0]
    assert moments(queue, 4, 1.9) == [1.9, 2.0, 2.5, 3.0]  # not all of it is back
    assert moments(queue, 4, 9.0) == [9.0, 9.0, 9.0, 9.5]


def test_without_limits_all_begin_at_once():
    assert moments(AdmissionQueue([RateLimit()]), 1000, 7.0) == [7.0] * 1000


def test_as_many_are_open_as_may_be():
    queue = AdmissionQueue([RateLimit(concurrent=2)])
    first, second, third = (queue.join(0.0) for _ in range(3))
    assert queue.admit(0.0) == [first, second]
    assert queue.next_at(0.0) is None  # only a release can help
    queue.release(first, 1.0)
    assert queue.next_at(1.0) == 1.0
    assert queue.admit(1.0) == [third]
    assert (queue.waiting, queue.first) == (0, None)
    assert queue.next_at(1.0) is None  # nobody waits


def test_a_place_in_line_is_kept_if_another_leaves():
    queue = AdmissionQueue([RateLimit(1)])
    turn(queue, 0.0)
    first, second, third = (queue.join(0.0) for _ in range(3))
    queue.leave(second, 0.5)
    assert (second.state, queue.first, queue.waiting) == ("ended", first, 2)
    queue.leave(first, 0.5)
    assert queue.first is third
    assert queue.next_at(0.5) == 1.0
    assert queue.admit(nextafter(1.0, 0)) == []
    assert queue.admit(1.0) == [third]
    assert (third.began_at, third.joined_at, third.gate) == (1.0, 0.0, 0)


def test_a_turn_that_is_handed_back_unused_is_free_again():
    queue = AdmissionQueue([RateLimit(1, concurrent=1)])
    unused = turn(queue, 0.0)
    waiting = queue.join(0.0)
    queue.leave(unused, 0.2)
    assert queue.admit(0.2) == [waiting]


def test_a_turn_that_is_handed_back_late_frees_no_rate():
    queue = AdmissionQueue([RateLimit(1, burst=2)])
    unused, used = turn(queue, 0.0), turn(queue, 0.0)
    queue.leave(unused, 0.0)
    queue.join(0.0)
    assert queue.next_at(0.0) == 1.0  # `used` began after it
    queue.leave(used, 0.0)
    assert queue.next_at(0.0) == 0.0
    for state in (unused, used):
        assert state.state == "ended"


def test_a_turn_that_is_handed_back_after_a_pause_frees_no_rate():
    queue = AdmissionQueue([RateLimit(1, recovery=0)])
    other, unused = turn(queue, 0.0), turn(queue, 1.0)
    queue.fail(other, 1.0, 0.0)
    queue.leave(unused, 1.0)
    assert queue.status(1.0)[0].open == 1
    queue.join(1.0)
    assert queue.next_at(1.0) == 2.0


@pytest.mark.parametrize("state", ["waiting", "ended"])
def test_a_turn_ends_once_and_after_its_beginning(state: str):
    queue = AdmissionQueue([RateLimit(concurrent=1)])
    ticket = turn(queue, 0.0)
    if state == "ended":
        queue.release(ticket, 0.0)
    else:
        ticket = queue.join(0.0)
    for call in (queue.release, queue.succeed, queue.fail):
        with pytest.raises(LocalProtocolError, match=f"the ticket is {state}: a turn ends once"):
            call(ticket, 0.0)
    if state == "ended":
        with pytest.raises(LocalProtocolError, match="the ticket is ended"):
            queue.leave(ticket, 0.0)


def test_a_ticket_shows_its_gate():
    queue = AdmissionQueue([RateLimit(concurrent=1)])
    ticket = turn(queue, 0.0)
    assert repr(ticket) == "<Ticket, open, gate 0>"
    assert repr(queue.join(0.0)) == "<Ticket, waiting>"


def test_a_pause_is_for_all_and_then_the_rate_grows_back():
    queue = AdmissionQueue([RateLimit(10, burst=5, recovery=4)])
    queue.fail(turn(queue, 0.0), 0.0, 3.0)
    assert queue.status(1.0) == (GateStatus(1, 0.0, 2.0, 0.0),)
    begun = moments(queue, 120)
    # The integral of 1 + 9/4 t is 1 after 0.6 seconds, and 22 after the recovery.
    assert begun[0] == pytest.approx(3 + (5.5**0.5 - 1) / 2.25)
    gaps = [later - earlier for earlier, later in pairwise(begun)]
    assert all(gap > following - 1e-9 for gap, following in pairwise(gaps))
    assert begun[21] == pytest.approx(7.0)
    assert gaps[21:] == pytest.approx([0.1] * 98)
    rates = [queue.status(moment)[0].per_second for moment in (3.0, 4.0, 5.0, 7.0, 8.0)]
    assert rates == pytest.approx([1.0, 3.25, 5.5, 10.0, 10.0])


def test_a_rest_in_the_recovery_earns_by_its_rate():
    queue = AdmissionQueue([RateLimit(10, burst=2, recovery=4)])
    queue.fail(turn(queue, 0.0), 0.0, 0.0)
    # The integral of 1 + 9/4 t is 6.5 after 2 seconds, when the bucket is full, and then 7.5.
    assert moments(queue, 3, 2.0) == pytest.approx([2.0, 2.0, (34.75**0.5 - 1) / 2.25])
    assert moments(queue, 3, 10.0) == pytest.approx([10.0, 10.0, 10.1])


def exact_rate(m: int) -> float:
    """A rate whose first request after the pause has its token at a whole tick, for m >= 1.

    With a recovery of 5 * 2**40 ticks, 10 * 2**20 * m ticks earn 9 * m**2 + 2**20 * m.
    """
    rate = 2**40 / (9 * m**2 + 2**20 * m)
    return rate if Fraction(rate) * (9 * m**2 + 2**20 * m) >= 2**40 else nextafter(rate, inf)


@example(exact_rate(1000))
@example(exact_rate(77))
@given(st.sampled_from([0.37, 0.3637, 0.36, 0.5, 1.0, 7.3, 1000.0]) | st.floats(0.1, 2000))
def test_the_recovery_is_exact_to_the_tick(per_second: float):
    queue = AdmissionQueue([RateLimit(per_second, recovery=5)])
    queue.fail(turn(queue, 0.0), 0.0, 0.0)
    queue.join(0.0)
    moment = queue.next_at(0.0)
    assert moment is not None
    ticks, ramp = Fraction(moment) * 2**40, 5 * 2**40
    assert ticks.denominator == 1
    interval = ceil(2**40 / Fraction(per_second))

    def earned(ticks: Fraction) -> Fraction:
        ramped = min(ticks, Fraction(ramp))
        return ramped / 10 + Fraction(9, 20) * ramped**2 / ramp + (ticks - ramped)

    assert earned(ticks - 1) < interval <= earned(ticks)


def test_the_defaults():
    assert RateLimit() == RateLimit(None, None, None, 5.0)
    assert Cooldown() == Cooldown(1.0, 60.0)


def test_a_ticket_of_another_queue_is_refused():
    ticket = turn(AdmissionQueue([RateLimit()]), 0.0)
    waiting = AdmissionQueue([RateLimit()]).join(0.0)
    queue = AdmissionQueue([RateLimit()])
    for call in (queue.release, queue.leave):
        for other in (ticket, waiting):
            with pytest.raises(LocalProtocolError, match=f"the ticket is {other.state}"):
                call(other, 0.0)


def test_pauses_of_requests_in_flight_do_not_add_up():
    queue = AdmissionQueue([RateLimit(concurrent=9)])
    flight = [turn(queue, 0.0) for _ in range(4)]
    for ticket, seconds in zip(flight, (1.0, 2.0, 1.5, 0.0), strict=True):
        queue.fail(ticket, 0.5, seconds)
    waiting = queue.join(0.5)
    assert queue.next_at(0.5) == 2.5
    assert queue.admit(nextafter(2.5, 0)) == []
    assert queue.admit(2.5) == [waiting]
    assert queue.status(2.5) == (GateStatus(5, None, 0.0, 0.0),)


def test_a_pause_that_ends_no_later_does_not_begin_the_recovery_anew():
    queue = AdmissionQueue([RateLimit(2, burst=2, recovery=0)])
    first, second = turn(queue, 0.0), turn(queue, 0.0)
    queue.fail(first, 0.0, 1.0)
    queue.fail(second, 0.5, 0.5)
    assert moments(queue, 2, 1.0) == [1.5, 2.0]
    queue.fail(second, 2.0, 0.0)
    assert moments(queue, 2, 2.0) == [2.5, 3.0]  # a pause of no time, and an empty bucket


@pytest.mark.parametrize("seconds", [-1e-9, -1, inf, float("nan"), True])
def test_a_pause_has_a_length(seconds: float):
    queue = AdmissionQueue([RateLimit()])
    with pytest.raises(ValueError, match="^pause should be a number of seconds, 0 or above"):
        queue.fail(turn(queue, 0.0), 0.0, seconds)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"per_second": 0}, "per_second should be a number from 0.000001 to 1,000,000, not 0"),
        ({"per_second": 9.9e-7}, "per_second should be"),
        ({"per_second": 1_000_001}, "per_second should be"),
        ({"per_second": True}, "per_second should be"),
        ({"burst": 0, "per_second": 1}, "burst should be a whole number of at least 1, not 0"),
        ({"burst": 1.5, "per_second": 1}, "burst should be a whole number"),
        ({"burst": 2}, "burst needs a rate: give per_second, too"),
        ({"concurrent": 0}, "concurrent should be a whole number of at least 1, not 0"),
        ({"concurrent": True}, "concurrent should be a whole number"),
        ({"recovery": -1}, "recovery should be a number of seconds, 0 or above, not -1"),
    ],
)
def test_a_limit_that_cannot_be_is_refused(arguments: dict[str, Any], message: str):
    with pytest.raises(ValueError, match=f"^{message}"):
        RateLimit(**arguments)


def test_what_is_no_number_is_refused():
    with pytest.raises(TypeError, match="per_second should be .*, not list"):
        RateLimit([2])  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="recovery should be .*, not NoneType"):
        RateLimit(recovery=None)  # type: ignore[arg-type]


def test_the_least_and_the_greatest_numbers_are_taken():
    assert moments(AdmissionQueue([RateLimit(1e-6)]), 2) == pytest.approx([0.0, 1e6])
    assert moments(AdmissionQueue([RateLimit(1e6)]), 2) == pytest.approx([0.0, 1e-6])
    RateLimit(1, burst=1, concurrent=1, recovery=0)


@pytest.mark.parametrize("name", ["initial", "maximum"])
def test_a_cool_down_that_cannot_be_is_refused(name: str):
    with pytest.raises(ValueError, match=f"^{name} should be a number of seconds, 0 or above"):
        Cooldown(**{name: -1})
    Cooldown(0, 0)


@pytest.mark.parametrize(
    ("value", "name"),
    [(RateLimit(), "burst"), (Cooldown(), "initial"), (GateStatus(0, None, 0.0, 0.0), "open")],
)
def test_values_cannot_be_changed(value: object, name: str):
    with pytest.raises(AttributeError):
        setattr(value, name, 1)


def test_a_queue_needs_limits():
    with pytest.raises(ValueError, match="limits should have a RateLimit for each gate"):
        AdmissionQueue([])
    with pytest.raises(TypeError, match=r"a limit should be RateLimit\(...\), not int"):
        AdmissionQueue([2])  # type: ignore[list-item]


@given(
    per_second=st.floats(1e-6, 1e6),
    burst=st.integers(1, 5),
    recovery=st.floats(0, 20),
    start=st.floats(0, 1e10),
    waits=st.lists(st.floats(0, 3) | st.none(), min_size=5, max_size=30),
    pauses=st.lists(st.floats(0, 2), min_size=1, max_size=3),
)
def test_rounding_breaks_no_promise(
    per_second: float,
    burst: int,
    recovery: float,
    start: float,
    waits: list[float | None],
    pauses: list[float],
):
    """Any rate, at any moment: no window has too many, and `next_at` is exact."""
    limit = RateLimit(per_second, burst, recovery=recovery)
    queue, now, begun = AdmissionQueue([limit]), start, list[float]()
    for number, wait in enumerate(waits):
        ticket = queue.join(now)
        moment = queue.next_at(now)
        assert moment is not None
        if moment > now:
            assert queue.admit(nextafter(moment, now)) == []
        now = moment
        assert queue.admit(now) == [ticket]
        begun.append(now)
        if number % 7 == 6:
            queue.fail(ticket, now, pauses[number % len(pauses)])
        now += 0.0 if wait is None else wait
    assert windows_are_kept(limit, begun)
