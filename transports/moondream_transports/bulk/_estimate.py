"""How long a run takes at least, and what it may cost: arithmetic, before anything is asked."""

from __future__ import annotations

import math
from collections.abc import Sequence

from msgspec import Struct

from sansio_moondream._requests.checks import check, is_number
from sansio_moondream.limiter import RateLimit

_MILLION = 1_000_000
_AMOUNT = "a number of at least 0"


class Prices(Struct, frozen=True, kw_only=True):
    """What a server charges. This library knows no prices: these are the user's own.

    Attributes:
        per_request: of each request.
        per_million_input, per_million_output: of a million tokens.
        currency: its name or sign, for people.

    Raises:
        ValueError: a price is below 0 or not finite.
        TypeError: a price is no number.
    """

    per_request: float = 0.0
    per_million_input: float = 0.0
    per_million_output: float = 0.0
    currency: str = ""

    def __post_init__(self) -> None:
        for name in ("per_request", "per_million_input", "per_million_output"):
            value = getattr(self, name)
            check(is_number(value) and value >= 0, name, _AMOUNT, value)


class Estimate(Struct, frozen=True, kw_only=True):
    """What a run takes. `estimate` makes it.

    Attributes:
        items: of the input.
        in_ledger: of these, how many are not asked, as they ended in an earlier run.
        requests: to be made, without those that are sent again.
        limits: of the endpoints that are asked.
        latency: seconds from the beginning of a request to its end, or None if it is not known.
        seconds: that the run takes at least, or None if neither a rate nor a latency is known.
        input_tokens, output_tokens: of all requests together, or None.
        prices: that the cost is of, or None.
        cost: of the run, or None.
    """

    items: int
    in_ledger: int
    requests: int
    limits: tuple[RateLimit, ...]
    latency: float | None
    seconds: float | None
    input_tokens: float | None
    output_tokens: float | None
    prices: Prices | None
    cost: float | None

    def describe(self) -> str:
        """Describe the estimate in sentences for people, one a line."""
        lines = [self._requests(), self._time(), self._tokens(), self._cost()]
        return "\n".join(line for line in lines if line)

    def _requests(self) -> str:
        text = _count(self.items, "item")
        if self.in_ledger:
            have = "has" if self.in_ledger == 1 else "have"
            text += f", of which {self.in_ledger:,} {have} ended before"
        return f"{text}: {_count(self.requests, 'request')} to send."

    def _time(self) -> str:
        if self.seconds is None:
            return "Time: give a rate or the seconds of a request to see it."
        paces = [pace for limit in self.limits if (pace := _pace(limit))]
        pace = paces[0] if len(set(paces)) == 1 else "; ".join(paces)
        if len(paces) > 1 and len(set(paces)) == 1:
            pace += f", at each of {len(paces)} endpoints"
        taken = "" if self.latency is None else f", if each takes {self.latency:,.3g} s"
        return f"At {pace or 'any rate'}{taken}: at least {_duration(self.seconds)}."

    def _tokens(self) -> str:
        parts = [
            f"{tokens:,.0f} {name} tokens"
            for name, tokens in (("input", self.input_tokens), ("output", self.output_tokens))
            if tokens is not None
        ]
        return f"About {' and '.join(parts)}." if parts else ""

    def _cost(self) -> str:
        if self.cost is None or self.prices is None:
            return "Cost: give your prices to see it."
        given = [
            f"{_amount(price)} a {unit}"
            for price, unit in (
                (self.prices.per_request, "request"),
                (self.prices.per_million_input, "million input tokens"),
                (self.prices.per_million_output, "million output tokens"),
            )
            if price
        ]
        currency = f" {self.prices.currency}" if self.prices.currency else ""
        return f"About {self.cost:,.2f}{currency}, at {' and '.join(given) or 'no price'}."

    def __str__(self) -> str:
        return self.describe()


def estimate(
    items: int,
    limits: Sequence[RateLimit] = (),
    *,
    in_ledger: int = 0,
    limit: int | None = None,
    latency: float | None = None,
    input_tokens: float | None = None,
    output_tokens: float | None = None,
    prices: Prices | None = None,
) -> Estimate:
    """Compute how long a run takes at least, and what it may cost.

    Args:
        items: of the input.
        limits: of each endpoint that is asked. They share the items.
        in_ledger: how many items are not asked, as they ended in an earlier run.
        limit: the most requests of this run.
        latency: seconds that a request takes, for example as a few answers have shown.
        input_tokens, output_tokens: of one request, for example as a few answers have shown.
        prices: for the cost.

    Raises:
        ValueError: a number is out of its range, or a price of tokens is given without tokens.
        TypeError: a value is no number.
    """
    for name, count in (("items", items), ("in_ledger", in_ledger), ("limit", limit)):
        valid = type(count) is int and count >= 0
        check(valid or (name == "limit" and count is None), name, "a count", count)
    amounts = {"latency": latency, "input_tokens": input_tokens, "output_tokens": output_tokens}
    for name, amount in amounts.items():
        check(amount is None or (is_number(amount) and amount >= 0), name, _AMOUNT, amount)
    requests = max(items - in_ledger, 0)
    if limit is not None:
        requests = min(requests, limit)
    return Estimate(
        items=items,
        in_ledger=in_ledger,
        requests=requests,
        limits=tuple(limits),
        latency=latency,
        seconds=_least_seconds(requests, limits, latency),
        input_tokens=None if input_tokens is None else requests * input_tokens,
        output_tokens=None if output_tokens is None else requests * output_tokens,
        prices=prices,
        cost=None if prices is None else _cost(requests, prices, input_tokens, output_tokens),
    )


def _cost(
    requests: int, prices: Prices, input_tokens: float | None, output_tokens: float | None
) -> float:
    each = prices.per_request
    for name, price, tokens in (
        ("input", prices.per_million_input, input_tokens),
        ("output", prices.per_million_output, output_tokens),
    ):
        if price and tokens is None:
            raise ValueError(f"a price of {name} tokens needs the {name} tokens of a request")
        each += price * (tokens or 0) / _MILLION
    return requests * each


def _least_seconds(
    requests: int, limits: Sequence[RateLimit], latency: float | None
) -> float | None:
    """Return the shortest time in which the endpoints can answer so many requests together."""
    if latency is None and not any(limit.per_second for limit in limits):
        return None
    seconds = latency or 0.0
    limits = limits or [RateLimit()]
    if not requests:
        return 0.0
    low, high = 0.0, min(_last_end(requests, limit, seconds) for limit in limits)
    if len(limits) == 1:
        return high
    for _ in range(60):  # halves the interval: then it is below any unit that is shown
        middle = (low + high) / 2
        if sum(_most_ends(middle, limit, seconds, requests) for limit in limits) >= requests:
            high = middle
        else:
            low = middle
    return high


def _last_end(requests: int, limit: RateLimit, latency: float) -> float:
    """Return when the last of so many requests ends at the earliest."""
    begins = 0.0
    if limit.per_second is not None:
        begins = max(requests - (limit.burst or 1), 0) / limit.per_second
    if limit.concurrent is not None:
        begins = max(begins, (math.ceil(requests / limit.concurrent) - 1) * latency)
    return begins + latency


def _most_ends(seconds: float, limit: RateLimit, latency: float, requests: int) -> int:
    """Return how many of so many requests can end within some seconds."""
    low, high = 0, requests
    while low < high:
        middle = (low + high + 1) // 2
        if _last_end(middle, limit, latency) <= seconds:
            low = middle
        else:
            high = middle - 1
    return low


def _pace(limit: RateLimit) -> str:
    parts: list[str] = []
    if limit.per_second is not None:
        requests = "request" if limit.per_second == 1 else "requests"
        parts.append(f"{limit.per_second:,.12g} {requests} a second")
    if limit.burst is not None and limit.burst > 1:
        parts.append(f"in bursts of {limit.burst:,}")
    if limit.concurrent is not None:
        parts.append(f"{limit.concurrent:,} at once")
    return ", ".join(parts)


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def _amount(price: float) -> str:
    return f"{price:,.12f}".rstrip("0").rstrip(".")


def _duration(seconds: float) -> str:
    """Return a duration in its two largest units."""
    if seconds < 60:
        return f"{seconds:.3g} seconds" if seconds != 1 else "1 second"
    whole = round(seconds)
    units = ((86400, "day"), (3600, "hour"), (60, "minute"), (1, "second"))
    first = next(at for at, (size, _) in enumerate(units) if whole >= size)
    parts: list[str] = []
    for size, noun in units[first : first + 2]:
        number, whole = divmod(whole, size)
        if number:
            parts.append(_count(number, noun))
    return " and ".join(parts)
