"""JSON as this library reads it: every place that decodes JSON goes through here.

msgspec is fast and strict, and needs taming in three ways. It nests as deep as the caller's stack
allows, so the same bytes could pass or fail: depth is bounded before it sees them. It refuses lone
halves of surrogate pairs, which servers that cut strings by UTF-16 units do send, and numbers
beyond a double: those records are read again by the standard library. Whatever is wrong comes out
as a ValueError (UnicodeDecodeError is one), or as TooDeep."""

from __future__ import annotations

import json
import re
from typing import Any, NoReturn, cast

import msgspec

_any = msgspec.json.Decoder().decode
_STRING_OR_BRACKET = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*("|\\?\Z)|[\[{]|[\]}]', re.DOTALL)


class TooDeep(Exception):
    """Arrays and objects nest deeper than the limit."""


# Text that goes on in the next message, or what holds such text: a half at its end may meet the
# other half there (see `Deltas`).
_CONTINUED = frozenset({"chunk", "text", "choices"})


def decode(data: bytes, max_depth: int) -> Any:
    """The JSON value in `data`, without lone surrogate halves, but for those in an object's
    "chunk", "text" or "choices".

    Raises TooDeep, or ValueError for anything that is not one JSON value in UTF-8.
    """
    if _has_brackets(data, max_depth) and _nesting(data)[0] > max_depth:
        raise TooDeep
    try:
        return _any(data)
    except UnicodeDecodeError:
        raise
    except msgspec.DecodeError:
        value = json.loads(data.decode("utf-8"), parse_constant=_refuse_constant)
    if isinstance(value, dict):
        fields = cast(dict[str, Any], value)
        return {
            mend(key): item if key in _CONTINUED else mend(item) for key, item in fields.items()
        }
    return mend(value)


def _has_brackets(data: bytes, count: int) -> bool:
    """Whether `data` has more opening brackets than `count`, in strings or not: if not, it cannot
    nest deeper.
    """
    for bracket in b"{[":  # `find` looks for one byte many times faster than `count` and `split` do
        at = data.find(bracket)
        while at >= 0:
            count -= 1
            if count < 0:
                return True
            at = data.find(bracket, at + 1)
    return False


def is_unclosed(data: bytes) -> bool:
    """Whether `data` stops inside a string, an array or an object: the beginning of a JSON value,
    not the whole of it.
    """
    return _nesting(data)[1]


def mend(value: Any) -> Any:
    """`value` with surrogate halves joined where they meet and replaced by U+FFFD where they are
    alone, all through.
    """
    if isinstance(value, str):
        return (
            value
            if value.isascii()
            else value.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
        )
    if isinstance(value, list):
        items = cast(list[Any], value)
        return [mend(item) for item in items]
    if isinstance(value, dict):
        fields = cast(dict[str, Any], value)
        return {mend(key): mend(item) for key, item in fields.items()}
    return value


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def _nesting(data: bytes) -> tuple[int, bool]:
    """How deep brackets nest outside strings, and whether one of them or a string is still open at
    the end.
    """
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
