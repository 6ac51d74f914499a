"""The only decoder of JSON in this library.

msgspec is fast and strict. Three cases need more:

1. msgspec nests as deep as the caller's stack allows, so the same bytes could pass or fail. We
   bound the depth before msgspec sees the bytes.
2. msgspec refuses lone surrogates. Servers that cut their text by UTF-16 units do send them.
3. msgspec refuses numbers beyond a double.

What msgspec refuses is decoded again by the standard library, which accepts cases 2 and 3.
"""

from __future__ import annotations

import json
import re
from typing import Any, NoReturn, cast

import msgspec

from sansio_moondream._unicode import well_formed

_decode = msgspec.json.Decoder().decode
_STRING_OR_BRACKET = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*("|\\?\Z)|[\[{]|[\]}]', re.DOTALL)

# Fields with the text of the answer. A high surrogate at the end of such a text stays, because the
# next message may begin with the low one (see `Deltas`).
_KEEP_SURROGATES = frozenset({"chunk", "text", "choices"})


class TooDeep(Exception):
    """Arrays and objects nest deeper than the limit."""


def decode(data: bytes, max_depth: int) -> Any:
    """Decode one JSON value.

    Surrogates are joined or replaced, except in an object's "chunk", "text" and "choices".

    Raises:
        TooDeep: Arrays and objects nest deeper than `max_depth`.
        ValueError: `data` is not one JSON value in UTF-8. Invalid UTF-8 is UnicodeDecodeError.
    """
    if _has_brackets(data, max_depth) and _nesting(data)[0] > max_depth:
        raise TooDeep
    try:
        return _decode(data)
    except UnicodeDecodeError:
        raise
    except msgspec.DecodeError:
        value = json.loads(data.decode("utf-8"), parse_constant=_refuse_constant)
    if isinstance(value, dict):
        fields = cast(dict[str, Any], value)
        return {
            well_formed(name): item if name in _KEEP_SURROGATES else well_formed(item)
            for name, item in fields.items()
        }
    return well_formed(value)


def is_unclosed(data: bytes) -> bool:
    """Whether `data` ends inside a string, an array or an object."""
    return _nesting(data)[1]


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def _has_brackets(data: bytes, count: int) -> bool:
    """Whether `data` has more than `count` opening brackets, inside strings or outside.

    If it has not, it cannot nest deeper than `count`.
    """
    for bracket in b"{[":  # `find` of one byte is many times faster than `count` and `split`
        at = data.find(bracket)
        while at >= 0:
            count -= 1
            if count < 0:
                return True
            at = data.find(bracket, at + 1)
    return False


def _nesting(data: bytes) -> tuple[int, bool]:
    """Return how deep brackets nest outside strings, and whether `data` ends inside something."""
    depth = deepest = 0
    for match in _STRING_OR_BRACKET.finditer(data):
        token = match[0]
        if token in b"[{":
            depth += 1
            deepest = max(deepest, depth)
        elif token in b"]}":
            depth -= 1
        elif match[1] != b'"':
            return deepest, True
    return deepest, depth > 0
