"""Pictures as text: base64 data URLs (RFC 2397)."""

from __future__ import annotations

import binascii
import re

NO_FILES = ". This function opens no files: pass bytes, or the result of Pillow's Image.open"
_HEAD = re.compile(r"data:(image/[^;,\s]+)(?:;[^;,\s]+)*;base64,")


def from_data_url(url: str) -> bytes:
    """Decode the bytes of a picture. Raises ValueError if they are not valid base64."""
    data = url[data_url_head(url).end() :]
    try:
        return binascii.a2b_base64(data, strict_mode=True)
    except ValueError as error:
        fault = str(error)
    raise ValueError(f"the data URL's base64 is broken: {fault}")


def data_url_head(url: str) -> re.Match[str]:
    """Match the part before the base64 text. Its group is the media type.

    Raises ValueError if `url` is not a base64 data URL of a picture.
    """
    head = _HEAD.match(url)
    if head is None:
        raise ValueError(
            "a picture given as text should be a base64 data URL (data:image/...;base64,...), "
            f"not {url[:40]!r}{NO_FILES}"
        )
    return head
