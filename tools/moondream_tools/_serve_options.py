"""How `moondream-stream serve` answers: what the command line says, and what a request's own
headers say otherwise.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from sansio_moondream import Dialect, Headers
from sansio_moondream.recording import Match

from ._faults import HTTPFault

_MAX_DIGITS = 12  # int() refuses thousands of them in words of its own


class Options(Struct, frozen=True):
    """How requests are answered; see the command line's help."""

    dialect: Dialect | None = None
    match: Match = Match.SKILL
    speed: float | None = 1.0
    cut: int | None = None
    fault: HTTPFault | None = None

    def overridden(self, headers: Headers) -> Options:
        """These, with what the request's own headers say. Raises ValueError."""
        given = {
            name: parse(value)
            for header, (name, parse) in OVERRIDES.items()
            if (value := headers.get(header)) is not None
        }
        return replace(self, **given)


def parse_speed(text: str) -> float | None:
    """A pace. Raises ValueError."""
    if text == "max":
        return None
    try:
        speed = float(text)
    except ValueError:
        speed = 0.0
    if not 0 < speed < float("inf"):
        raise ValueError(f"a pace should be a number above 0, or max, not {text[:20]!r}")
    return speed


def parse_cut(text: str) -> int:
    """A number of bytes. Raises ValueError."""
    if not (text.isascii() and text.isdigit() and len(text) <= _MAX_DIGITS and int(text) > 0):
        raise ValueError(
            f"the size of chunks should be a number of bytes above 0, not {text[:20]!r}"
        )
    return int(text)


DIALECTS = {
    dialect.value: dialect for dialect in Dialect if dialect is not Dialect.CHAT
}  # chats are not served


def parse_dialect(text: str) -> Dialect:
    """One of DIALECTS, by its name. Raises ValueError."""
    if text not in DIALECTS:
        raise ValueError(f"the dialect should be one of {', '.join(DIALECTS)}, not {text[:20]!r}")
    return DIALECTS[text]


OVERRIDES: dict[str, tuple[str, Callable[[str], Any]]] = {
    "x-moondream-dialect": ("dialect", parse_dialect),
    "x-moondream-match": ("match", Match),
    "x-moondream-pace": ("speed", parse_speed),
    "x-moondream-cut": ("cut", parse_cut),
    "x-moondream-fault": ("fault", HTTPFault.parse),
}
