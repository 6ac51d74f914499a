"""Surrogates: the two UTF-16 units that stand for one character beyond U+FFFF.

JSON can spell each of the two as an escape of its own (`\\ud83c\\udf19`), and some servers cut
their text between them. Python strings can hold a lone surrogate, but UTF-8 cannot encode it.
"""

from __future__ import annotations

import re
from typing import Any, cast

TEXT_FIELDS = frozenset({"chunk", "text", "choices"})
"""Fields with the text of the answer.

A high surrogate at the end of such a text stays when a message is decoded, because the next message
may begin with the low one (see `Deltas`).
"""
_LONE = re.compile("[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]")


def ends_in_high_surrogate(text: str) -> bool:
    """Whether the last character of `text` may form a pair with the next text."""
    return "\ud800" <= text[-1:] <= "\udbff"


def well_formed(value: Any) -> Any:
    """Return a JSON value without surrogates: pairs are joined, lone ones become U+FFFD.

    Strings are converted at any depth, keys of objects included.
    """
    if isinstance(value, str):
        if value.isascii():
            return value
        paired = _LONE.sub("\ufffd", value)
        return paired.encode("utf-16-le", "surrogatepass").decode("utf-16-le")
    if isinstance(value, list):
        return [well_formed(item) for item in cast(list[Any], value)]
    if isinstance(value, dict):
        fields = cast(dict[str, Any], value)
        return {well_formed(name): well_formed(item) for name, item in fields.items()}
    return value


def with_well_formed_texts(fields: dict[str, Any]) -> dict[str, Any]:
    """Return a decoded message whose `TEXT_FIELDS` have no surrogates either."""
    texts = {name: well_formed(fields[name]) for name in TEXT_FIELDS if name in fields}
    return fields | texts if texts else fields
