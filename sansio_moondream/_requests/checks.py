"""Checks of what a caller gave, where it was given."""

from __future__ import annotations

import re
from typing import Final, cast

from sansio_moondream._errors import shorten

HUGE: Final = 2**63  # from here on, integers have no place in JSON
TEXT: Final = "text that is not blank and has no lone surrogates"
_SURROGATE = re.compile("[\ud800-\udfff]")


def check(right: bool, name: str, expected: str, seen: object) -> None:
    """Raise ValueError, or TypeError where the value cannot be shown in short, if it is not right."""
    if not right:
        if isinstance(seen, str | int | float | tuple):
            raise ValueError(
                f"{name} should be {expected}, not {shorten(repr(cast(object, seen)), 80)}"
            )
        raise TypeError(f"{name} should be {expected}, not {type(seen).__name__}")


def is_text(value: object) -> bool:
    """Whether it is what `TEXT` says."""
    return isinstance(value, str) and bool(value.strip()) and not has_lone_half(value)


def has_lone_half(text: str) -> bool:
    """Whether there is half a surrogate pair in it, which UTF-8 has no bytes for."""
    return not text.isascii() and bool(_SURROGATE.search(text))


def is_number(value: object) -> bool:
    """Whether it is a number that JSON has, and no truth value."""
    return (
        isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < HUGE
    )  # neither NaN nor infinite
