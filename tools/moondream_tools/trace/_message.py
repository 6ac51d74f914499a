"""The JSON in a record or a body."""

from __future__ import annotations

from contextlib import suppress
from typing import Any, Final

import msgspec

from sansio_moondream import Limits
from sansio_moondream._forms import plain
from sansio_moondream._unicode import well_formed
from sansio_moondream._wire.json import BeyondLimit, decode

NO_MESSAGE: Final = object()
_LIMITS: Final = Limits()
_SMALL: Final = 4 * 1024  # bytes
_decode_plain = msgspec.json.Decoder().decode


def message_of(data: bytes) -> Any:
    """Return the JSON value in `data` as plain JSON, or NO_MESSAGE if it is none.

    A number that a double does not hold becomes None, and a lone surrogate U+FFFD.
    """
    brackets = data.count(b"{") + data.count(b"[")
    if len(data) <= _SMALL and brackets <= _LIMITS.max_json_depth:
        # This takes a quarter of the time, and refuses what is not plain.
        with suppress(msgspec.DecodeError, UnicodeDecodeError):
            return _decode_plain(data)
    try:
        value = decode(data, _LIMITS.max_json_depth, _LIMITS.max_json_values)
    except (ValueError, BeyondLimit):
        return NO_MESSAGE
    return plain(well_formed(value))
