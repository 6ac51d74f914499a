"""Faults at rates: which answer gets which fault.

The choice depends only on a seed, on the request, and on how often this request came before. So a
client that is restarted, and a simulation of it, meet the same faults.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

from msgspec import Struct

from ._faults import HTTPFault


class RatedFault(Struct, frozen=True):
    """A fault, and the share of the answers that get it: above 0, at most 1."""

    fault: HTTPFault
    rate: float = 1.0

    @classmethod
    def parse(cls, text: str) -> RatedFault:
        """Read `KIND`, `KIND@N` or `KIND:2%` from a text. Raises ValueError."""
        kind, colon, percentage = text.strip().partition(":")
        return cls(HTTPFault.parse(kind), _rate(percentage) if colon else 1.0)


def check_rates(faults: Iterable[RatedFault]) -> None:
    """Raise ValueError if the rates add up to more than all answers."""
    percent = sum(100 * one.rate for one in faults)
    if percent > 100 + 1e-6:  # 0.1 % ten times is a little more than 1 %
        raise ValueError(
            f"the rates of all faults should add up to at most 100%, not {percent:g}%; a fault "
            "without a rate has 100%"
        )


def choose_fault(
    faults: Iterable[RatedFault], seed: int, path: str, digest: str, number: int
) -> HTTPFault | None:
    """Choose the fault of an answer, or None.

    Args:
        faults: with their rates.
        seed: another one gives other choices.
        path: of the request.
        digest: SHA-256 of the request's body, in hexadecimal.
        number: how often this request has come, this time included.
    """
    chosen = hashlib.sha256(f"{seed} {path} {digest} {number}".encode()).digest()
    left = int.from_bytes(chosen[:8]) / 2**64
    for one in faults:
        left -= one.rate
        if left < 0:
            return one.fault
    return None


def _rate(percentage: str) -> float:
    try:
        percent = float(percentage.removesuffix("%")) if percentage.endswith("%") else 0.0
    except ValueError:
        percent = 0.0
    if not 0 < percent <= 100:
        raise ValueError(
            f"the rate of a fault should be a percentage above 0, such as 2%, and at most 100%, "
            f"not {percentage[:20]!r}"
        )
    return percent / 100
