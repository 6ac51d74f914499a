"""Characters that are not complete, and those that JSON has not."""

from __future__ import annotations

from codecs import utf_8_decode
from collections.abc import Iterable
from contextlib import suppress

from sansio_moondream._unicode import well_formed


def cut_bytes(data: bytearray) -> int:
    """Return how many bytes at the end of `data` begin a character and do not complete it."""
    tail = data[-3:]
    for size in range(1, len(tail) + 1):
        if tail[-size] >= 0xC0:
            with suppress(UnicodeDecodeError):
                return size - utf_8_decode(tail[-size:], "strict", False)[1]
            break
    return 0


def well_formed_pairs(pairs: Iterable[tuple[str, str]]) -> tuple[tuple[str, str], ...]:
    """Return header fields without lone surrogates."""
    return tuple((well_formed(name), well_formed(value)) for name, value in pairs)
