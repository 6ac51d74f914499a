"""Look at the JSON of a request before it is decoded.

A decoder makes all values of a text at once. Many small values take much memory, and much time in
which no other thread runs. So they are counted first, by functions of `bytes` that take some
milliseconds. A picture is one value.
"""

from __future__ import annotations

import re
from typing import Final

MAX_VALUES: Final = 10_000
MAX_DEPTH: Final = 60

_BRACKET = re.compile(rb"[\[{]|[\]}]")


class TooManyValues(ValueError):
    """The JSON of a request has more values than are decoded."""


def check_size(body: bytes) -> None:
    """Check the number of values in a request, and how deep they nest.

    The body need not be JSON. Then a decoder finds no more values before it refuses it.

    Raises TooManyValues, and ValueError if they nest too deep.
    """
    # After the removal of escapes, each second part is the content of a string.
    parts = body.replace(rb"\\", b"").replace(rb"\"", b"").split(b'"', 2 * MAX_VALUES)
    outside = b"".join(parts[::2])
    count = len(parts) // 2 + outside.count(b",") + sum(map(outside.count, b"[]{}"))
    if count >= MAX_VALUES:
        raise TooManyValues(f"the JSON has more than about {MAX_VALUES:,} values")
    depth = deepest = 0
    for bracket in _BRACKET.findall(outside):
        depth += 1 if bracket in b"[{" else -1
        deepest = max(deepest, depth)
    if deepest > MAX_DEPTH:
        raise ValueError(f"the JSON nests deeper than {MAX_DEPTH}")
