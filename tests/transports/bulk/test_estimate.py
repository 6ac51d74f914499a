"""The arithmetic of a dry run."""

from __future__ import annotations

import heapq
import math
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moondream_transports.bulk import Prices, estimate
from sansio_moondream.limiter import AdmissionQueue, RateLimit, Ticket


def test_the_requests_of_a_run():
    made = estimate(3120, in_ledger=120)
    assert (made.items, made.in_ledger, made.requests) == (3120, 120, 3000)
    assert estimate(3120, in_ledger=120, limit=20).requests == 20
    assert estimate(3120, in_ledger=3110, limit=20).requests == 10
    assert estimate(5, in_ledger=9).requests == 0  # of an older input
    assert estimate(5, limit=0).requests == 0


@pytest.mark.parametrize(
    ("items", "limits", "latency", "seconds"),
    [
        (0, [RateLimit(2)], 1, 0),
        (1, [RateLimit(2)], None, 0),
        (1, [RateLimit(2)], 1, 1),
        (3001, [RateLimit(2)], None, 1500),
        (3001, [RateLimit(2, burst=11)], 0.5, 1495.5),
        (10, [RateLimit(2, burst=11)], 0.5, 0.5),
        (16, [RateLimit(concurrent=16)], 3, 3),
        (17, [RateLimit(concurrent=16)], 3, 6),
        (100, [RateLimit(50, concurrent=4)], 2, 50),
        (100, [RateLimit(1, concurrent=4)], 2, 101),
        (100, [RateLimit()], 2, 2),
        (100, [], 2, 2),
        (100, [RateLimit(concurrent=4)], None, None),
        (100, [], None, None),
    ],
)
def test_the_shortest_time(
    items: int, limits: list[RateLimit], latency: float | None, seconds: float | None
):
    assert estimate(items, limits, latency=latency).seconds == seconds


def test_endpoints_share_the_items():
    one, two = RateLimit(2), RateLimit(4, burst=3)
    assert estimate(101, [one, one]).seconds == pytest.approx(25)
    # 13 begin at the first until the sixth second, and 27 at the second.
    assert estimate(40, [one, two], latency=1).seconds == pytest.approx(7)
    assert estimate(1, [two, one], latency=1).seconds == pytest.approx(1)


limits_drawn = st.builds(
    RateLimit,
    per_second=st.sampled_from([0.5, 1.0, 2.0, 10.0]),
    burst=st.integers(1, 5),
    concurrent=st.integers(1, 5),
)


@given(
    st.integers(1, 60),
    st.lists(limits_drawn, min_size=1, max_size=3),
    st.sampled_from([0.0, 0.25, 1.0, 3.0]),
)
def test_no_schedule_is_shorter(items: int, limits: list[RateLimit], latency: float):
    """The limiter itself, on a virtual clock, never ends earlier."""
    queue = AdmissionQueue(limits)
    for _ in range(items):
        queue.join(0.0)
    now, ended = 0.0, 0
    running: list[tuple[float, int, Ticket]] = []
    while ended < items:
        for ticket in queue.admit(now):
            heapq.heappush(running, (now + latency, id(ticket), ticket))
        nexts = [running[0][0]] if running else []
        if ended + len(running) < items and (at := queue.next_at(now)) is not None:
            nexts.append(at)
        now = max(now, min(nexts))
        while running and running[0][0] <= now:
            queue.release(heapq.heappop(running)[2], now)
            ended += 1
    seconds = estimate(items, limits, latency=latency).seconds
    assert seconds is not None
    assert seconds <= now + 1e-6
    if latency == 0:  # only the rates count, and they are used in full
        assert seconds == pytest.approx(now, abs=1e-6)


def test_the_cost_is_that_of_the_users_prices():
    prices = Prices(per_request=0.001, per_million_input=0.3, per_million_output=2.5)
    made = estimate(1000, in_ledger=500, input_tokens=700, output_tokens=20, prices=prices)
    assert made.cost == pytest.approx(500 * (0.001 + 0.00021 + 0.00005))
    assert (made.input_tokens, made.output_tokens) == (350_000, 10_000)
    assert estimate(1000, prices=Prices(per_request=0.002)).cost == pytest.approx(2)
    assert estimate(1000, prices=Prices()).cost == 0
    without = estimate(1000)
    assert (without.cost, without.input_tokens, without.output_tokens) == (None, None, None)


@pytest.mark.parametrize("name", ["input", "output"])
def test_a_price_of_tokens_needs_the_tokens(name: str):
    prices = Prices(**{f"per_million_{name}": 1.0})  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=f"a price of {name} tokens needs the {name} tokens"):
        estimate(5, prices=prices)


@pytest.mark.parametrize("value", [-1, math.nan, math.inf])
def test_numbers_out_of_their_range(value: float):
    for name in ("per_request", "per_million_input", "per_million_output"):
        with pytest.raises(ValueError, match=f"{name} should be a number of at least 0"):
            Prices(**{name: value})  # type: ignore[arg-type]
    for name in ("latency", "input_tokens", "output_tokens"):
        with pytest.raises(ValueError, match=f"{name} should be a number of at least 0"):
            estimate(5, **{name: value})  # type: ignore[arg-type]
    counts = ({"items": value}, {"items": 5, "in_ledger": value}, {"items": 5, "limit": value})
    for numbers in counts:
        with pytest.raises(ValueError, match=f"{list(numbers)[-1]} should be a count"):
            estimate(**numbers)  # type: ignore[arg-type]


def test_values_of_other_types():
    with pytest.raises(ValueError, match="per_request should be a number"):
        Prices(per_request="0.1")  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="items should be a count, not NoneType"):
        estimate(None)  # type: ignore[arg-type]


PACED = RateLimit(2, concurrent=16)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (
            {"items": 3120, "limits": [PACED]},
            """3,120 items: 3,120 requests to send.
At 2 requests a second, 16 at once: at least 26 minutes.
Cost: give your prices to see it.""",
        ),
        (
            {
                "items": 3120,
                "limits": [PACED],
                "in_ledger": 20,
                "latency": 0.8,
                "input_tokens": 735,
                "output_tokens": 14,
                "prices": Prices(per_million_input=0.3, per_million_output=2.5, currency="USD"),
            },
            """3,120 items, of which 20 have ended before: 3,100 requests to send.
At 2 requests a second, 16 at once, if each takes 0.8 s: at least 25 minutes and 50 seconds.
About 2,278,500 input tokens and 43,400 output tokens.
About 0.79 USD, at 0.3 a million input tokens and 2.5 a million output tokens.""",
        ),
        (
            {
                "items": 100_000,
                "limits": [RateLimit(10, burst=5)] * 2,
                "prices": Prices(per_request=0.00004),
            },
            """100,000 items: 100,000 requests to send.
At 10 requests a second, in bursts of 5, at each of 2 endpoints: at least 1 hour and 23 minutes.
About 4.00, at 0.00004 a request.""",
        ),
        (
            {"items": 2, "limits": [RateLimit(1), RateLimit(4)], "in_ledger": 1, "latency": 1},
            """2 items, of which 1 has ended before: 1 request to send.
At 1 request a second; 4 requests a second, if each takes 1 s: at least 1 second.
Cost: give your prices to see it.""",
        ),
        (
            {"items": 1, "prices": Prices()},
            """1 item: 1 request to send.
Time: give a rate or the seconds of a request to see it.
About 0.00, at no price.""",
        ),
        (
            {"items": 2, "latency": 1.5},
            """2 items: 2 requests to send.
At any rate, if each takes 1.5 s: at least 1.5 seconds.
Cost: give your prices to see it.""",
        ),
    ],
)
def test_in_words(given: dict[str, Any], words: str):
    made = estimate(**given)
    assert str(made) == words
    assert made.describe() == words


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0.25, "0.25 seconds"),
        (59, "59 seconds"),
        (60, "1 minute"),
        (3599.6, "1 hour"),
        (3601, "1 hour"),
        (7260, "2 hours and 1 minute"),
        (86400 * 3 + 7200, "3 days and 2 hours"),
    ],
)
def test_durations(seconds: float, words: str):
    assert re.search(rf"at least {words}\.$", str(estimate(1, latency=seconds)), re.MULTILINE)
