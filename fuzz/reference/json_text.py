"""Bytes to JSON values by the standard library, and the surrogates in their texts."""

from __future__ import annotations

import json
import re
from typing import Any, NamedTuple, NoReturn

from sansio_moondream import Limits

_BLANKS = re.compile(rb"  +")


class TooLarge(Exception):
    """There are more values than `Limits` allows, or brackets nest deeper."""


class Scan(NamedTuple):
    """What is in some JSON text.

    Attributes:
        depth: how deep brackets nest outside strings.
        values: commas and opening brackets outside strings.
        quotes: those that begin or end a string.
        unclosed: whether the text ends inside something.
    """

    depth: int
    values: int
    quotes: int
    unclosed: bool


def scan(data: bytes) -> Scan:
    """Look at each byte. A backslash escapes a backslash or a quote, even outside strings."""
    data = _BLANKS.sub(b" ", data)  # a body of megabytes is mostly blanks
    open_now = depth = values = quotes = opened = closed = 0
    in_string = escaped = False
    for byte in data:
        if escaped:
            escaped = False
            if byte in b'\\"':
                continue  # any other byte is read as if it stood alone
        if byte == ord("\\"):
            escaped = True
        elif byte == ord('"'):
            in_string = not in_string
            quotes += 1
        elif in_string:
            continue
        elif byte in b"[{":
            open_now, opened, values = open_now + 1, opened + 1, values + 1
            depth = max(depth, open_now)
        elif byte in b"]}":
            open_now, closed = max(0, open_now - 1), closed + 1
        elif byte == ord(","):
            values += 1
    return Scan(depth, values, quotes, in_string or opened > closed)


def exceeds(data: bytes, limits: Limits) -> bool:
    """Whether some JSON text exceeds the limits.

    So many values have at most four times as many quotes, and four more. Text that is no JSON may
    have more of them, which the package does not look into if it has many brackets or commas.
    """
    depth, values, quotes, _ = scan(data)
    brackets = data.count(b"[") + data.count(b"{")
    many = brackets > limits.max_json_depth or brackets + data.count(b",") > limits.max_json_values
    return (
        depth > limits.max_json_depth
        or values > limits.max_json_values
        or (many and quotes > 4 * (limits.max_json_values + 1))
    )


def read_json(data: bytes, limits: Limits) -> Any:
    """Decode one JSON value. Lone surrogates stay in it.

    Raises:
        TooLarge: There are too many values, or brackets nest too deep.
        ValueError: The data is not one JSON value in UTF-8.
    """
    if exceeds(data, limits):
        raise TooLarge
    text = data.decode("utf-8")
    if text.startswith("\ufeff"):
        raise ValueError("JSON does not begin with a byte order mark")
    return json.loads(text, parse_constant=_refuse)


def is_whole_object(data: bytes, limits: Limits) -> bool:
    """Test if the data is one whole JSON object."""
    try:
        return isinstance(read_json(data, limits), dict)
    except (ValueError, TooLarge):
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
