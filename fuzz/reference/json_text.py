"""Bytes to JSON values by the standard library, and the surrogates in their texts."""

from __future__ import annotations

import json
import re
from typing import Any, NoReturn

from sansio_moondream import Limits


class TooDeep(Exception):
    """Brackets nest deeper than `Limits.max_json_depth`."""


def scan(data: bytes) -> tuple[int, bool]:
    """Return how deep brackets nest outside strings, and whether the data ends inside something."""
    depth = deepest = 0
    in_string = escaped = False
    for byte in data:
        if in_string:
            in_string = escaped or byte != ord('"')
            escaped = not escaped and byte == ord("\\")
        elif byte == ord('"'):
            in_string = True
        elif byte in b"[{":
            depth += 1
            deepest = max(deepest, depth)
        elif byte in b"]}":
            depth -= 1
    return deepest, in_string or depth > 0


def read_json(data: bytes, limits: Limits) -> Any:
    """Decode one JSON value. Lone surrogates stay in it.

    Raises:
        TooDeep: Brackets nest too deep.
        ValueError: The data is not one JSON value in UTF-8.
    """
    if scan(data)[0] > limits.max_json_depth:
        raise TooDeep
    text = data.decode("utf-8")
    if text.startswith("\ufeff"):
        raise ValueError("JSON does not begin with a byte order mark")
    return json.loads(text, parse_constant=_refuse)


def is_whole_object(data: bytes, limits: Limits) -> bool:
    """Test if the data is one whole JSON object."""
    try:
        return isinstance(read_json(data, limits), dict)
    except (ValueError, TooDeep):
        return False


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not JSON")


def mend(value: Any) -> Any:
    """Join the surrogates of a pair and replace lone ones, in all texts of a value."""
    match value:
        case str():
            pattern = r"[\ud800-\udbff][\udc00-\udfff]|[\ud800-\udfff]"
            return re.sub(pattern, lambda found: _join(found[0]), value)
        case list():
            return [mend(item) for item in value]
        case dict():
            return {mend(key): mend(item) for key, item in value.items()}
        case _:
            return value


def _join(surrogates: str) -> str:
    if len(surrogates) == 1:
        return "\ufffd"
    high, low = map(ord, surrogates)
    return chr(0x10000 + ((high - 0xD800) << 10) + low - 0xDC00)
