"""Look at the JSON of a request before it is decoded.

A decoder makes all values of a text at once, and a search for secrets passes over all of it. While
they do, no other thread runs. So we bound what they get: the number of values, and all that is not
a picture. This takes some milliseconds for a picture of 10 MB.
"""

from __future__ import annotations

import re
import string
from typing import Final

MAX_VALUES: Final = 10_000
MAX_TEXT_BYTES: Final = 1024 * 1024

_BASE64 = f"{string.ascii_letters}{string.digits}+/=_-\\".encode()  # JSON may escape the slash
_PICTURE = re.compile(rb"data:|\\?/9j|iVBORw0KGgo|R0lGOD|UklGR")  # a data URL, JPEG, PNG, GIF, WebP


class TooLarge(ValueError):
    """The JSON of a request has more values, or a longer text, than we decode."""


def check_json(body: bytes) -> None:
    """Check the size of a request. It need not be JSON. Raises TooLarge."""
    # Without escapes, every second part is the content of a string.
    parts = body.replace(rb"\\", b"").replace(rb"\"", b"").split(b'"', 2 * MAX_VALUES)
    strings = zip(parts[1::2], parts[2::2], strict=False)  # each with what is behind it
    pictures = sum(len(part) for part, after in strings if _is_picture(part, after))
    if len(body) - pictures > MAX_TEXT_BYTES:
        raise TooLarge(f"the request has more than {MAX_TEXT_BYTES:,} bytes besides pictures")
    outside = b"".join(parts[::2])
    count = len(parts) // 2 + outside.count(b",") + sum(map(outside.count, b"[]{}"))
    if count >= MAX_VALUES:
        raise TooLarge(f"the JSON has more than about {MAX_VALUES:,} values")


def _is_picture(text: bytes, after: bytes) -> bool:
    found = None if after.lstrip().startswith(b":") else _PICTURE.match(text)  # no field's name
    return found is not None and (found[0] == b"data:" or not text.translate(None, _BASE64))
