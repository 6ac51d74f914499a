"""The options of `moondream-stream serve`, and the headers that replace them for one request."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from moondream_transports.replay import AnyFragmentation, Fragmentation
from sansio_moondream import Dialect, Headers
from sansio_moondream.recording import Match

from ._fault_rates import RatedFault, check_rates, choose_fault
from ._faults import HTTPFault

_MAX_DIGITS = 12  # int() has a limit and a message of its own for thousands of digits


class Options(Struct, frozen=True):
    """How requests are answered. The help of the command line describes each."""

    dialect: Dialect | None = None
    match: Match = Match.SKILL
    speed: float | None = 1.0
    fragmentation: AnyFragmentation = Fragmentation.AS_RECORDED
    faults: tuple[RatedFault, ...] = ()
    seed: int = 0
    retry_after: float | None = 1.0
    latency: float = 0.0

    def __post_init__(self) -> None:
        check_rates(self.faults)

    def fault(self, path: str, digest: str, number: int) -> HTTPFault | None:
        """Return the fault of an answer: see `choose_fault`."""
        chosen = choose_fault(self.faults, self.seed, path, digest, number)
        return replace(chosen, retry_after=self.retry_after) if chosen is not None else None

    def overridden(self, headers: Headers) -> Options:
        """Return these options with those in the headers of a request. Raises ValueError."""
        given = {
            name: parse(value)
            for header, (name, parse) in OVERRIDES.items()
            if (value := headers.get(header)) is not None
        }
        return replace(self, **given)


def parse_speed(text: str) -> float | None:
    """Read a speed: a number, or `max` for None. Raises ValueError."""
    if text == "max":
        return None
    try:
        speed = float(text)
    except ValueError:
        speed = 0.0
    if not 0 < speed < float("inf"):
        raise ValueError(f"the speed should be a number above 0, or max, not {text[:20]!r}")
    return speed


def parse_fragmentation(text: str) -> int:
    """Read the size of chunks in bytes. Raises ValueError."""
    if not (text.isascii() and text.isdigit() and len(text) <= _MAX_DIGITS and int(text) > 0):
        raise ValueError(
            f"the size of chunks should be a number of bytes above 0, not {text[:20]!r}"
        )
    return int(text)


def parse_retry_after(text: str) -> float | None:
    """Read the whole seconds of Retry-After, or `none`. Raises ValueError."""
    return None if text == "none" else float(_whole("Retry-After, if not none,", text))


def parse_latency(text: str) -> float:
    """Read the seconds before the head of an answer. Raises ValueError."""
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds <= 1_000_000:
        raise ValueError(
            f"the latency should be a number of seconds from 0 to 1,000,000, not {text[:20]!r}"
        )
    return seconds


def parse_seed(text: str) -> int:
    """Read a whole number. Raises ValueError."""
    return _whole("the seed", text)


def parse_match(text: str) -> Match:
    """Read the name of a Match. Raises ValueError."""
    names = [match.value for match in Match]
    if text not in names:
        raise ValueError(f"the match should be one of {', '.join(names)}, not {text[:20]!r}")
    return Match(text)


def parse_fault(text: str) -> tuple[RatedFault, ...]:
    """Read one fault, with or without a rate. Raises ValueError."""
    return (RatedFault.parse(text),)


def _whole(what: str, text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= _MAX_DIGITS):
        raise ValueError(f"{what} should be a whole number from 0 on, not {text[:20]!r}")
    return int(text)


# That of chats is for nothing else, and they have no other.
DIALECTS = {dialect.value: dialect for dialect in Dialect if dialect is not Dialect.CHAT}


def parse_dialect(text: str) -> Dialect:
    """Read the name of one of DIALECTS. Raises ValueError."""
    if text not in DIALECTS:
        raise ValueError(f"the dialect should be one of {', '.join(DIALECTS)}, not {text[:20]!r}")
    return DIALECTS[text]


OVERRIDES: dict[str, tuple[str, Callable[[str], Any]]] = {
    "x-moondream-dialect": ("dialect", parse_dialect),
    "x-moondream-match": ("match", parse_match),
    "x-moondream-speed": ("speed", parse_speed),
    "x-moondream-fragmentation": ("fragmentation", parse_fragmentation),
    "x-moondream-latency": ("latency", parse_latency),
    "x-moondream-fault": ("faults", parse_fault),
    "x-moondream-retry-after": ("retry_after", parse_retry_after),
}
