"""Where a reader of a stream goes on."""

from __future__ import annotations

import re
from typing import Final

from sansio_moondream._errors import shorten
from sansio_moondream._server.refusals import refusal

_NUMBER: Final = re.compile("[0-9]{1,18}")


def parse_last_event_id(value: str | None) -> int:
    """Return the id that a client sent as `Last-Event-ID`, or 0 for the beginning.

    A `value` of None, or an empty text, is the beginning: an EventSource whose last id is empty
    sends none.

    Raises:
        BadRequestError: it is no number, so it is from another server.
    """
    if not value:
        return 0
    if not _NUMBER.fullmatch(value):
        message = f"the last event id should be a number of this stream, not {shorten(value, 40)!r}"
        raise refusal(400, message, "last_event_id")
    return int(value)
