"""Mask secrets, pictures and organisation ids in what a server sent.

1. A mask has as many bytes as what it hides. So chunks keep their borders.
2. We search the body in three forms: as it came, without escapes (`_secrets.views`), and with the
   texts of all fields of one name joined, as a model may split a secret over two deltas.
3. A picture is base64 or hexadecimal text: that of a data URL, of a known format, or one that
   begins as a picture of the request does. A part of a picture without its beginning is not found.
4. Fields are masked by their names: organisation ids, keys, passwords, cookies. A field `token` is
   not: in a chat it is a token of the answer.
5. The beginning of a secret at the end of a body is masked, too.
6. The work is linear in the bytes, for each secret and each picture.
"""

from __future__ import annotations

import re
from base64 import b64decode
from collections.abc import Collection, Iterable, Iterator, Sequence
from itertools import accumulate, pairwise

from sansio_moondream._secrets.values import Secrets
from sansio_moondream._secrets.views import View, whole

PRIVATE_FIELD = (
    r"org(?:ani[sz]ation)?[_-]?id|(?:api|secret|private|access)[_-]?key|passw(?:or)?d|passphrase"
    r"|(?:access|refresh|auth|session|bearer|api)[_-]?token|secret|credentials?|cookies?"
    r"|authori[sz]ation"
)
# A JSON field in an event stream (a line end and "data:" may be inside) or in JSON that is a string
# in JSON (with backslashes before the quotes). The value ends the match. Its closing quote may be
# missing, where the stream broke.
_COLON = rb"(?:\s|data:)*+:(?:\s|data:)*+"
_PRIVATE = re.compile(
    rb"(?:%s)\\*\"%s(?:\"((?:[^\"\\]++|\\.)*+)|\\+\"((?:[^\"\\]++|\\[^\"])*+)|(-?[0-9.eE+-]+))"
    % (PRIVATE_FIELD.encode(), _COLON),
    re.IGNORECASE | re.DOTALL,
)
_TEXT_FIELD = re.compile(rb"\"([A-Za-z_]{1,40})\"%s\"((?:[^\"\\]++|\\.)*+)" % _COLON, re.DOTALL)

# Base64 of both alphabets. A line end is part of it only if another line of base64 follows.
_BASE64 = rb"(?:[A-Za-z0-9+/=_-]++|[\r\n]++(?=[A-Za-z0-9+/_-]{20}))"
# What follows the prefix of a data URL, or the first bytes of a JPEG, PNG, GIF or WebP.
BASE64_PICTURE = re.compile(
    rb"(?:(?<=(?i:;base64,))|(?=(?:[/_]9j[/_]|iVBORw0KGgo|R0lGOD[dl]h|UklGR)"
    rb"[A-Za-z0-9+/_-]{20}))%s++" % _BASE64
)
_HEX_PICTURE = re.compile(
    rb"(?<![0-9a-f])(?:ffd8ff|89504e470d0a1a0a|474946383[79]61|52494646[0-9a-f]{8}57454250)"
    rb"[0-9a-f]{20,}+",
    re.IGNORECASE,
)


def mask_chunks(
    chunks: Sequence[bytes], secrets: Iterable[str] = (), pictures: Iterable[str] = ()
) -> tuple[bytes, ...]:
    """Mask organisation ids, secrets and pictures in the chunks of a body, across their borders.

    Args:
        chunks: of the body, not compressed.
        secrets: Secrets of less than 4 characters are not masked.
        pictures: beginnings of base64 texts. Pictures in data URLs, and those of known formats, are
            always masked.

    Returns:
        The chunks in their lengths.
    """
    body = b"".join(chunks)
    masked = _mask(body, _joined(body), Secrets.among(secrets), pictures, cut_end=True)
    ends = accumulate(map(len, chunks), initial=0)
    return tuple(masked[start:end] for start, end in pairwise(ends))


def mask_text(text: str, secrets: Iterable[str] = ()) -> str:
    """Mask organisation ids, pictures, and secrets of at least 4 characters byte by byte."""
    data = text.encode("utf-8", "replace")
    return _mask(data, (), Secrets.among(secrets)).decode("utf-8", "replace")


def mask_message(text: str, secrets: Secrets) -> str:
    """Mask the message of an error, which may be cut off in the middle of a secret."""
    return secrets.mask(mask_text(text, secrets))


def _mask(
    body: bytes,
    joined: Collection[View],
    secrets: Secrets,
    pictures: Iterable[str] = (),
    *,
    cut_end: bool = False,
) -> bytes:
    masked = bytearray(body)
    for found in _PRIVATE.finditer(body):
        start, end = found.span(found.lastindex or 0)
        fill = b"1" if found.lastindex == 3 else b"*"  # a number stays a number
        masked[start:end] = fill * (end - start)
    patterns = [BASE64_PICTURE, _HEX_PICTURE, *_beginning_with(pictures)]
    for text in (whole(body), *joined):
        for view in text.unescaped():
            secrets.mask_view(view, masked, cut_end=cut_end)
            for pattern in patterns:
                for found in pattern.finditer(view.text):
                    view.mask(*found.span(), masked)
    return bytes(masked)


def _joined(body: bytes) -> list[View]:
    """Join the texts of the JSON fields of each name, if there are several."""
    fields: dict[bytes, list[tuple[bytes, int, int]]] = {}
    for found in _TEXT_FIELD.finditer(body):
        fields.setdefault(found[1], []).append((found[2], *found.span(2)))
    original = whole(body)
    return [View(parts, original) for parts in fields.values() if len(parts) > 1]


def _beginning_with(pictures: Iterable[str]) -> Iterator[re.Pattern[bytes]]:
    for beginning in pictures:
        text = beginning.encode("utf-8", "replace")
        yield re.compile(re.escape(text) + _BASE64 + b"*+")
        try:
            digits = from_base64(beginning).hex().encode()
        except ValueError:
            continue
        yield re.compile(digits + b"[0-9a-f]*+", re.IGNORECASE)


def from_base64(text: str) -> bytes:
    """Decode base64 of both alphabets, with or without line ends and padding."""
    text = "".join(text.split()).replace("-", "+").replace("_", "/")
    return b64decode(text + "=" * (-len(text) % 4), validate=True)
