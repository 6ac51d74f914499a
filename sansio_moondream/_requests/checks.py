"""Checks of values from the caller."""

from __future__ import annotations

import re
from typing import Final, cast

from sansio_moondream._errors import shorten
from sansio_moondream._repr import short_repr

MAX_NUMBER: Final = 2**63  # exclusive: msgspec encodes no larger integers
TEXT: Final = "text that is not blank and has no lone surrogates"
_SURROGATE = re.compile("[\ud800-\udfff]")


def check(valid: bool, name: str, expected: str, value: object) -> None:
    """Raise an error unless `valid` is true.

    Raises:
        ValueError: the message shows the value if it is text, a number or a tuple.
        TypeError: the message shows the type of any other value.
    """
    if not valid:
        if isinstance(value, str | int | float | tuple):
            shown = shorten(short_repr(cast(object, value), 320), 80)
            raise ValueError(f"{name} should be {expected}, not {shown}")
        raise TypeError(f"{name} should be {expected}, not {type(value).__name__}")


def check_model(model: object) -> None:
    """Raise an error unless `model` is None or the name of a model."""
    check(model is None or is_text(model), "model", f"a model's name, {TEXT}", model)


def is_text(value: object) -> bool:
    """Test if a value is what `TEXT` says."""
    return isinstance(value, str) and bool(value.strip()) and not has_lone_surrogate(value)


def has_lone_surrogate(text: str) -> bool:
    """Test for lone surrogates, which UTF-8 cannot encode."""
    return not text.isascii() and bool(_SURROGATE.search(text))


def is_number(value: object) -> bool:
    """Test if a value is a number in JSON: neither a bool, nor NaN, nor infinite."""
    return (
        isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < MAX_NUMBER
    )
