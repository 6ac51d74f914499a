"""The only decoder of JSON in this library.

msgspec is fast and strict. Four cases need more:

1. msgspec nests as deep as the caller's stack allows, so the same bytes could pass or fail. We
   bound the depth before msgspec sees the bytes.
2. A value may take fifty times its bytes: `[],` becomes a list. We bound the number of values, too.
3. msgspec refuses lone surrogates. Servers that cut their text by UTF-16 units do send them.
4. msgspec refuses numbers beyond a double.

What msgspec refuses is decoded again by the standard library, which accepts cases 3 and 4.
"""

from __future__ import annotations

import json
from typing import Any, NoReturn, cast

import msgspec

from sansio_moondream._unicode import TEXT_FIELDS, well_formed

_BRACKETS = bytes.maketrans(b"{}", b"[]")
_NO_STRUCTURE = bytes(byte for byte in range(256) if byte not in b'"[]{},')


class BeyondLimit(Exception):
    """A value exceeds a limit. The message says which one, as in "nested deeper than …"."""


def decode(data: bytes, max_depth: int, max_values: int) -> Any:
    """Decode one JSON value.

    Surrogates are joined or replaced, except in an object's `TEXT_FIELDS`.

    Args:
        data: the bytes.
        max_depth: how deep arrays and objects may nest.
        max_values: how many values there may be, as `Limits.max_json_values` counts them.

    Raises:
        BeyondLimit: There are more values, or they nest deeper.
        ValueError: `data` is not one JSON value in UTF-8. Invalid UTF-8 is UnicodeDecodeError.
    """
    if len(data) > max_depth or len(data) > max_values:  # most messages are shorter
        _check(data, max_depth, max_values)
    try:
        return _decode(data)
    except msgspec.DecodeError:
        value = _decode_any(data.decode("utf-8"))
    if isinstance(value, dict):
        fields = cast(dict[str, Any], value)
        return {
            well_formed(name): item if name in TEXT_FIELDS else well_formed(item)
            for name, item in fields.items()
        }
    return well_formed(value)


def is_unclosed(data: bytes) -> bool:
    """Whether `data`, which `decode` refused, ends inside an array or an object."""
    structure = _structure(_without_escapes(data))
    return structure.count(b"[") > structure.count(b"]")


def _check(data: bytes, max_depth: int, max_values: int) -> None:
    brackets = data.count(b"[") + data.count(b"{")
    if brackets <= max_depth and brackets + data.count(b",") <= max_values:
        return  # even if all of them are outside strings
    plain = _without_escapes(data)
    # So many values, keys included, have at most so many quotes. We look at that first, because
    # the structure of millions of strings takes much memory.
    if plain.count(b'"') <= 4 * (max_values + 1):
        structure = _structure(plain)
        if structure.count(b",") + structure.count(b"[") <= max_values:
            if _depth_exceeds(structure.replace(b",", b""), max_depth):
                raise BeyondLimit(f"nested deeper than Limits.max_json_depth ({max_depth})")
            return
    raise BeyondLimit(f"of more values than Limits.max_json_values ({max_values:,})")


def _without_escapes(data: bytes) -> bytes:
    """Return `data` without escaped backslashes and quotes: then each quote is a delimiter."""
    return data.replace(rb"\\", b"").replace(rb"\"", b"")


def _structure(plain: bytes) -> bytes:
    """Return the brackets and commas outside strings, all brackets as square ones."""
    return b"".join(plain.translate(_BRACKETS, _NO_STRUCTURE).split(b'"')[::2])


def _depth_exceeds(brackets: bytes, depth: int) -> bool:
    brackets += b"]" * brackets.count(b"[")  # closes what is not closed
    for _ in range(depth):
        brackets = brackets.replace(b"[]", b"")  # removes the innermost level
    return b"[" in brackets


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


_decode = msgspec.json.Decoder().decode
_decode_any = json.JSONDecoder(parse_constant=_refuse_constant).decode
