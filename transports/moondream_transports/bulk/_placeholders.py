"""The texts of a template: `{column}` is replaced by a value, `{{` and `}}` are braces."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from typing import Any

from sansio_moondream._repr import short_repr
from sansio_moondream._wire.json import BeyondLimit, decode

_PLACEHOLDER = re.compile(r"\{\{|\}\}|\{([^{}]*)\}|[{}]")
_BRACES = "For a brace that is no placeholder, write {{ or }}"


def names_in(field: str, text: Any) -> frozenset[str]:
    """Return the names of the columns in a text of the template. Raises ValueError."""
    if not isinstance(text, str):
        return frozenset()
    names: set[str] = set()
    for match in _PLACEHOLDER.finditer(text):
        if match[1]:
            names.add(match[1])
        elif match[0] not in ("{{", "}}"):
            raise ValueError(
                f"{field} should have placeholders such as {{column}}, not {match[0]} alone "
                f"(character {match.start() + 1} of {short_repr(text, 60)}). {_BRACES}"
            )
    return frozenset(names)


def fill(text: str, columns: Mapping[str, Any]) -> str:
    """Return a text of the template with the values of an item.

    Raises:
        ValueError: a column is missing or empty.
        TypeError: a value is neither text nor a number.
    """

    def value_of(match: re.Match[str]) -> str:
        if match[1] is None:
            return match[0][0]
        if match[1] not in columns:
            raise ValueError(no_column(match[1], columns))
        return _text(match[1], columns[match[1]])

    return _PLACEHOLDER.sub(value_of, text)


def _text(name: str, value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str | int | float):
        text = str(value)
        if text.strip():
            return text
    if value is None or isinstance(value, str):
        raise ValueError(f"the column {name!r} is empty, and the template uses it")
    raise TypeError(
        f"the column {name!r} should have text or a number, as the template uses it, not "
        f"{type(value).__name__}"
    )


def from_json(text: str) -> Any:
    """Return the value that a text has as JSON, as in a CSV file. Other texts are returned."""
    try:
        return decode(text.lower().encode(), 10, 1000)
    except (BeyondLimit, ValueError):
        return text


def no_column(name: str, names: Collection[str]) -> str:
    """Return the words for a missing column, with the names of those that are there."""
    shown = ", ".join(short_repr(other, 60) for other in list(names)[:30]) or "none"
    return (
        f"the template uses the column {short_repr(name, 60)}, which the input does not have. Its "
        f"columns: {shown}. {_BRACES}"
    )
