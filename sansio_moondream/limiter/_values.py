"""What limits a server has."""

from __future__ import annotations

from typing import Final, cast

from msgspec import Struct

from sansio_moondream._requests.checks import check, is_number

_SLOWEST: Final = 1e-6  # requests a second
_FASTEST: Final = 1e6


class RateLimit(Struct, frozen=True):
    """How many requests may begin, and how many may be open. None is no limit.

    In any window of w seconds at most `burst + per_second * w` requests begin.

    Attributes:
        per_second: requests that may begin in a second, from 0.000001 to 1,000,000.
        burst: how many may begin at once after a rest. The default is 1: two requests begin at
            least `1 / per_second` seconds apart. A service that allows 2 requests a second counts
            those of any second, and a larger burst would exceed that.
        concurrent: requests that may be open at once.
        recovery: seconds in which the rate grows back after a pause, from a tenth of `per_second`
            to all of it.

    Raises:
        ValueError: a number that is out of range, or a burst without a rate.
        TypeError: a value that is no number.
    """

    per_second: float | None = None
    burst: int | None = None
    concurrent: int | None = None
    recovery: float = 5.0

    def __post_init__(self) -> None:
        if (rate := self.per_second) is not None:
            valid = is_number(rate) and _SLOWEST <= rate <= _FASTEST
            check(valid, "per_second", "a number from 0.000001 to 1,000,000", rate)
        for name in ("burst", "concurrent"):
            value = getattr(self, name)
            valid = value is None or (type(value) is int and value >= 1)
            check(valid, name, "a whole number of at least 1", value)
        if self.burst is not None and self.per_second is None:
            raise ValueError("burst needs a rate: give per_second, too")
        check_seconds("recovery", self.recovery)


class Cooldown(Struct, frozen=True):
    """How long a server that failed is left alone, in seconds.

    Attributes:
        initial: after the first failure. It doubles with each further one.
        maximum: seconds that it does not exceed.

    Raises:
        ValueError: a number below 0.
        TypeError: a value that is no number.
    """

    initial: float = 1.0
    maximum: float = 60.0

    def __post_init__(self) -> None:
        check_seconds("initial", self.initial)
        check_seconds("maximum", self.maximum)


def check_seconds(name: str, value: object) -> None:
    """Raise an error unless `value` is a finite number of at least 0."""
    valid = is_number(value) and cast(float, value) >= 0
    check(valid, name, "a number of seconds, 0 or above", value)
