"""Mask secrets, pictures and organisation ids in what a server sent.

1. A mask has as many bytes as what it hides. So chunks keep their borders.
2. We search the body in three forms: as received, without escapes (`_secrets.views`), and with the
   texts of all fields of one name joined, as a model may split a secret over two deltas.
3. A picture is base64 or hexadecimal text: that of a data URL, of a known format, or one that
   begins as a picture of the request does. A part of a picture without its beginning is not found.
4. Fields are masked by their names: organisation ids, keys, passwords, cookies. A field `token` is
   not: in a chat it is a token of the answer.
5. The beginning of a secret at the end of a body is masked, too.
6. The work is linear in the bytes, for each secret and each picture. Secrets are limited in number
   and length (`_redaction`).
"""

from __future__ import annotations

import re
from base64 import b64decode
from collections.abc import Iterable, Sequence
from contextlib import suppress
from itertools import accumulate, chain, pairwise
from typing import cast

from sansio_moondream._secrets.values import Secrets
from sansio_moondream._secrets.views import View, whole

_PRIVATE_NAME = re.compile(
    r"(?:org(?:ani[sz]ation)?[_-]?id|(?:api|secret|private|access)[_-]?key|passw(?:or)?d|passphrase"
    r"|(?:access|refresh|auth|session|bearer|api)[_-]?token|secret|credentials?|cookies?"
    r"|authori[sz]ation)$",
    re.IGNORECASE,
)
# A JSON field in an event stream (a line end and "data:" may be inside) or in JSON that is a string
# in JSON (with backslashes before the quotes). The match ends before the value, which may have
# fields, too. The closing quote of the value may be missing, where the stream broke.
_FIELD = re.compile(
    rb"\"([^\"\\\x00-\x1f]{1,60})\\*+\"(?:\s|data:)*+:(?:\s|data:)*+"
    rb"(?=\"((?:[^\"\\]++|\\.)*+)|(\\++)\"((?:[^\"\\]++|(?!\3\")\\++.)*+)|(-?[0-9.eE+-]++))",
    re.DOTALL,
)

# Base64 of both alphabets. A line end is part of it only if another line of base64 follows.
_BASE64 = rb"(?:[A-Za-z0-9+/=_-]++|[\r\n]++(?=[A-Za-z0-9+/_-]{20}))"
# Data URLs, and the first bytes of a JPEG, PNG, GIF or WebP. Each pattern begins with literal
# bytes, which `re` finds quickly. One pattern with alternatives takes ten times as long.
BASE64_PICTURES = [
    re.compile(rb";(?i:base64),(%s++)" % _BASE64),
    *(
        re.compile(rb"(%s(?=[A-Za-z0-9+/_-]{20})%s++)" % (start, _BASE64))
        for start in (rb"/9j[/_]", rb"_9j[/_]", rb"iVBORw0KGgo", rb"R0lGOD[dl]h", rb"UklGR")
    ),
]
_PICTURE = b"data:image/png;base64,"
_HEX_PICTURES = [
    re.compile(rb"(%s(?<![0-9a-f]%s)[0-9a-f]{20,}+)" % (start, start))
    for start in (b"ffd8ff", b"89504e470d0a1a0a", b"474946383[79]61", b"52494646")
]


def mask_chunks(
    chunks: Sequence[bytes],
    secrets: Iterable[str] = (),
    pictures: Iterable[str] = (),
    *,
    is_open: bool = False,
) -> tuple[bytes, ...]:
    """Mask organisation ids, secrets and pictures in the chunks of a body, across their borders.

    Args:
        chunks: of the body, not compressed.
        secrets: Secrets of less than 4 characters are not masked.
        pictures: beginnings of base64 texts. Pictures in data URLs, and those of known formats, are
            always masked.
        is_open: whether more of the body may follow. Then the beginning of a secret at the end of a
            field is masked, as the next value of the field may have the rest.

    Returns:
        The chunks in their lengths.
    """
    fewest = 1 if is_open else 2
    masked = _mask(b"".join(chunks), Secrets.among(secrets), pictures, joined_from=fewest)
    ends = accumulate(map(len, chunks), initial=0)
    return tuple(masked[start:end] for start, end in pairwise(ends))


def mask_text(text: str, secrets: Iterable[str] = ()) -> str:
    """Mask organisation ids, pictures, and secrets of at least 4 characters byte by byte.

    Args:
        text: of a body or an error.
        secrets: texts to mask. One of less than 4 characters is left.
    """
    data = text.encode("utf-8", "replace")
    return _mask(data, Secrets.among(secrets)).decode("utf-8", "replace")


def mask_message(text: str, secrets: Secrets) -> str:
    """Mask the message of an error, which may be cut off in the middle of a secret."""
    return secrets.mask(mask_text(text, secrets))


def is_private(name: str) -> bool:
    """Whether a field of a JSON object holds a secret or an organisation id, by its name."""
    return _PRIVATE_NAME.search(name) is not None


def _mask(
    text: bytes, secrets: Secrets, pictures: Iterable[str] = (), *, joined_from: int | None = None
) -> bytes:
    """Mask a text. In a body, `joined_from` values of a field are joined, and it may be cut off."""
    is_body = joined_from is not None
    masked, original = bytearray(text), whole(text)
    views = [original]
    for name, values in _fields(text).items():
        quoted = [value for value in values if text[value[1] - 1 : value[1]] == b'"']
        if is_private(name.decode("utf-8", "replace")):
            for _, start, end in values:
                masked[start:end] = b"1" * (end - start)  # a number stays a number
            for _, start, end in quoted:
                masked[start:end] = b"*" * (end - start)
        elif joined_from is not None and len(quoted) >= joined_from:
            views.append(View(quoted, original))
    base64, hexadecimal = [*BASE64_PICTURES], [*_HEX_PICTURES]
    for beginning in pictures:
        head = re.escape(beginning.encode("utf-8", "replace"))
        base64.append(re.compile(rb"(%s%s*+)" % (head, _BASE64)))
        with suppress(ValueError):  # a data URL that is no base64
            head = from_base64(beginning).hex().encode()
            hexadecimal.append(re.compile(rb"(%s[0-9a-f]*+)" % head))
    for view in chain.from_iterable(view.unescaped() for view in views):
        secrets.mask_view(view, masked, cut_end=is_body)
        for patterns, data in ((base64, view.text), (hexadecimal, view.text.lower())):
            for found in chain.from_iterable(pattern.finditer(data) for pattern in patterns):
                view.mask(*found.span(1), masked)
    return bytes(masked)


def open_pictures(text: bytes, masked: bytes) -> bytes:
    """Return what to put before a text, so that its pictures are masked in what follows it, too.

    They may have begun before it. So we begin a picture if all of the text is masked, and in each
    field whose values all are.
    """
    if _is_all_masked(text, masked):
        return _PICTURE
    names = [
        name
        for name, values in _fields(text).items()
        if _is_all_masked(
            b"".join(value for value, _, _ in values),
            b"".join(masked[start:end] for _, start, end in values),
        )
    ]
    return b"".join(b'"%s":"%s"' % (name, _PICTURE) for name in names)


def _is_all_masked(text: bytes, masked: bytes) -> bool:
    return text != masked == b"*" * len(text)


def _fields(text: bytes) -> dict[bytes, list[tuple[bytes, int, int]]]:
    """Return the values of all JSON fields by name, and where they are."""
    fields: dict[bytes, list[tuple[bytes, int, int]]] = {}
    for found in _FIELD.finditer(text):
        start, end = found.span(cast("int", found.lastindex))
        fields.setdefault(found[1], []).append((text[start:end], start, end))
    return fields


def from_base64(text: str) -> bytes:
    """Decode base64 of both alphabets, with or without line ends and padding."""
    text = "".join(text.split()).replace("-", "+").replace("_", "/")
    return b64decode(text + "=" * (-len(text) % 4), validate=True)
