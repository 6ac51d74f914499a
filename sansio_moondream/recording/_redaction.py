"""Keep keys, cookies, organisation ids and pictures out of recordings.

1. Headers have an allow-list: others are left out. The target of a redirect loses its user and its
   query.
2. A picture in a request is replaced by its digest, size and dimensions. A picture is any data URL,
   or the base64 text of a known format. Inside a longer text, a description takes its place.
3. In bodies we mask organisation ids, the request's own keys (see `request_secrets`), the caller's
   secrets, and pictures in base64 that a server sends back. We search the joined chunks, so that a
   secret that is split is found, and each chunk keeps its length. The beginning of a secret at the
   end of the body is masked, too.
4. A secret of less than 4 characters is not masked: it occurs everywhere by accident.
5. A compressed body cannot be masked. Inflate it first, or do not record it.
"""

from __future__ import annotations

import hashlib
import json
import re
from base64 import b64decode
from collections.abc import Collection, Sequence
from itertools import accumulate, pairwise
from typing import Any, cast
from urllib.parse import unquote, unquote_plus

from sansio_moondream._headers import Headers, HeaderTypes
from sansio_moondream._requests.endpoint import SECRET_HEADERS
from sansio_moondream._requests.http import HTTPRequest
from sansio_moondream._requests.images import image_info

REQUEST_HEADERS = frozenset({"accept", "accept-encoding", "content-type", "user-agent"})
RESPONSE_HEADERS = frozenset({
    *("cache-control", "connection", "content-encoding", "content-length", "content-type", "date"),
    *("location", "retry-after", "server", "transfer-encoding", "x-accel-buffering"),
    "x-request-id",
})  # fmt: skip

_ELLIPSIS = "…".encode()  # the mark of `shorten`
_MIN_COOKIE = 8  # characters: the "dark" of "theme=dark" is a common word and no secret
_MIN_SECRET = 4  # characters of a secret, or of its beginning at the end of a body
# Names of headers and fields with secrets: not "tokens", and not "author".
_SECRET_NAME = re.compile(
    r"api.?key|(?:^|[_-])key$|token(?!s)|secret|password|auth(?!or(?!i[sz]))|cookie", re.IGNORECASE
)
_NO_SECRETS = frozenset({"true", "false", "null"})  # they are everywhere in JSON

_PRIVATE_IN_URL = re.compile(r"(?<=//)[^/?#]*@|[?#].*", re.DOTALL)
_ORG_ID = re.compile(r"org(?:ani[sz]ation)?[_-]?id", re.IGNORECASE)
# A JSON field in an event stream (a line end and "data:" may be inside) or in JSON that is a string
# in JSON (with backslashes before the quotes). The value ends the match. Its closing quote may be
# missing, where the stream broke.
_ORG_ID_FIELD = re.compile(
    rb"%s\\*\"(?:\s|data:)*+:(?:\s|data:)*+"
    rb"(?:\"((?:[^\"\\]++|\\.)*+)|\\+\"((?:[^\"\\]++|\\[^\"])*+)|(-?[0-9.eE+-]+))"
    % _ORG_ID.pattern.encode(),
    re.IGNORECASE | re.DOTALL,
)
# Base64 of both alphabets, with JSON's escapes (`\/`, `\u002b`). A line end is part of it only if
# another line of base64 follows.
_BASE64 = (
    rb"(?:[A-Za-z0-9+/=_%-]++|\\++(?:/|u00(?:2[bBfF]|3[dD]))"
    rb"|(?:\\++[nr]|[\r\n])++(?=[A-Za-z0-9+/_-]{20}))"
)
# The prefix of a data URL, or the first bytes of a JPEG, PNG, GIF or WebP in base64.
_PICTURE = re.compile(
    rb"(?:(;(?i:base64),)"
    rb"|(?:[/_]9j\\*+[/_]|iVBORw0KGgo|R0lGOD[dl]h|UklGR)(?=[A-Za-z0-9+/_\\-]{20}))%s++" % _BASE64
)
_PICTURE_HEAD = 32  # characters of base64 text that identify a picture


def request_secrets(request: HTTPRequest) -> frozenset[str]:
    """Find the secrets of a request: cookies, and headers and query fields named like secrets.

    Returns:
        Values of headers with and without their scheme ("Bearer"), and values of query fields with
        and without their percent-encoding.
    """
    found: set[str] = set()
    for name, value in Headers(request.headers).multi_items():
        if value and (name in SECRET_HEADERS or _SECRET_NAME.search(name)):
            found |= {value, value.split()[-1]}
        if name == "cookie":
            values = (pair.partition("=")[2].strip() for pair in value.split(";"))
            found |= {cookie for cookie in values if len(cookie) >= _MIN_COOKIE}
    for field in request.url.partition("#")[0].partition("?")[2].split("&"):
        name, _, value = field.partition("=")
        if _SECRET_NAME.search(unquote_plus(name)):
            found |= {value, unquote(value), unquote_plus(value)}
    return frozenset(secret for secret in found if secret.lower() not in _NO_SECRETS)


def safe_headers(
    headers: HeaderTypes, allowed: frozenset[str], secrets: Collection[str] = ()
) -> tuple[tuple[str, str], ...]:
    """Filter headers by their names and mask secrets. Names become lower case."""
    kept = [(name, value) for name, value in Headers(headers).multi_items() if name in allowed]
    return tuple(
        (name, mask_text(_PRIVATE_IN_URL.sub("", value) if name == "location" else value, secrets))
        for name, value in kept
    )


def safe_body(value: Any, secrets: Collection[str] = ()) -> Any:
    """Describe the pictures and mask the secrets in a request's decoded JSON body."""
    if isinstance(value, str):
        if _is_picture(value):
            return describe_image(value)
        described = _PICTURE.sub(_described_picture, value.encode("utf-8", "replace"))
        return mask_text(described.decode(), secrets)
    if isinstance(value, list):
        return [safe_body(item, secrets) for item in cast("list[Any]", value)]
    if isinstance(value, dict):
        return {
            mask_text(name, secrets): "*" * len(str(item))
            if _ORG_ID.fullmatch(name)
            else safe_body(item, secrets)
            for name, item in cast("dict[str, Any]", value).items()
        }
    if isinstance(value, int | float) and mask_text(digits := json.dumps(value), secrets) != digits:
        return mask_text(digits, secrets)
    return value


def describe_image(text: str) -> dict[str, Any]:
    """Describe a picture, given its data URL or its base64 text.

    Returns:
        `sha256` and `bytes` (size) of the encoded picture, and its `media_type`, `width` and
        `height`, which are None if they cannot be read.
    """
    head, payload = _head_and_payload(text)
    try:
        data = _from_base64(payload)
    except ValueError:
        data = payload.encode("utf-8", "replace")
    media_type, width, height = image_info(data)
    return {
        "sha256": hashlib.sha256(data).hexdigest(),
        "media_type": media_type or head[5:].partition(";")[0] or None,
        "bytes": len(data),
        "width": width,
        "height": height,
    }


def picture_heads(value: Any) -> frozenset[str]:
    """Collect the beginnings of the base64 texts in a decoded JSON body, for `mask_chunks`."""
    if isinstance(value, str):
        head = _head_and_payload(value)[1][:_PICTURE_HEAD] if _is_picture(value) else ""
        return frozenset({head} if len(head) == _PICTURE_HEAD else ())
    if isinstance(value, dict):
        value = list(cast("dict[str, Any]", value).values())
    items = cast("list[Any]", value) if isinstance(value, list) else []
    return frozenset[str]().union(*map(picture_heads, items))


def mask_chunks(
    chunks: Sequence[bytes], secrets: Collection[str] = (), pictures: Collection[str] = ()
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
    for head in pictures:
        picture = rb"%s%s*+" % (_escaped_or_not(head), _BASE64)
        body = re.sub(picture, lambda found: b"*" * len(found[0]), body)
    masked = _mask_end(_mask(body, secrets), secrets)
    ends = accumulate(map(len, chunks), initial=0)
    return tuple(masked[start:end] for start, end in pairwise(ends))


def mask_text(text: str, secrets: Collection[str] = ()) -> str:
    """Mask organisation ids, pictures, and secrets of at least 4 characters byte by byte."""
    return _mask(text.encode("utf-8", "replace"), secrets).decode()


def mask_message(text: str, secrets: Collection[str] = ()) -> str:
    """Mask the message of an error. Before "…" it may have the beginning of a secret."""
    parts = _mask(text.encode("utf-8", "replace"), secrets).split(_ELLIPSIS)
    return _ELLIPSIS.join([_mask_end(part, secrets) for part in parts]).decode("utf-8", "replace")


def _mask(data: bytes, secrets: Collection[str]) -> bytes:
    data = _ORG_ID_FIELD.sub(_masked_value, _PICTURE.sub(_masked_picture, data))
    for spelling in _spellings(secrets):
        data = data.replace(spelling, b"*" * len(spelling))
    return data


def _mask_end(data: bytes, secrets: Collection[str]) -> bytes:
    """Mask the beginning of a secret at the end of the data."""
    for spelling in _spellings(secrets):
        for length in range(min(len(spelling) - 1, len(data)), _MIN_SECRET - 1, -1):
            if data.endswith(spelling[:length]):
                return data[:-length] + b"*" * length
    return data


def _spellings(secrets: Collection[str]) -> list[bytes]:
    """List the secrets as text and as JSON strings, the longest first.

    One secret may be the beginning of another.
    """
    found = {
        spelling.encode()
        for secret in secrets
        if len(secret) >= _MIN_SECRET
        for json_text in (json.dumps(secret)[1:-1], json.dumps(secret, ensure_ascii=False)[1:-1])
        for spelling in (secret, json_text, json_text.replace("/", "\\/"))
    }
    return sorted(found, key=lambda spelling: (-len(spelling), spelling))


def _masked_value(found: re.Match[bytes]) -> bytes:
    which = found.lastindex or 0
    fill = b"1" if which == 3 else b"*"  # a number stays a number
    start, end = found.span(which)
    return found[0][: start - found.start()] + fill * (end - start)


def _is_picture(text: str) -> bool:
    """Test if the whole text is a data URL, or the base64 text of a picture."""
    text = text.strip()
    if text[:5].lower() == "data:":
        return True
    beginning = "".join(text[:64].split())
    try:
        known = image_info(_from_base64(beginning[: len(beginning) // 4 * 4]))[0] is not None
    except ValueError:
        return False
    return known and re.fullmatch(r"[A-Za-z0-9+/=_\s-]*+", text) is not None


def _head_and_payload(text: str) -> tuple[str, str]:
    head, comma, payload = text.strip().partition(",")
    return (head, payload) if comma or head[:5].lower() == "data:" else ("", head)


def _from_base64(text: str) -> bytes:
    """Decode base64 of both alphabets, with or without line ends and padding."""
    text = "".join(text.split()).replace("-", "+").replace("_", "/")
    return b64decode(text + "=" * (-len(text) % 4), validate=True)


def _described_picture(found: re.Match[bytes]) -> bytes:
    before = found[1] or b""
    picture = describe_image(found[0][len(before) :].decode())
    return before + f"[a picture of {picture['bytes']} bytes, sha256 {picture['sha256']}]".encode()


def _masked_picture(found: re.Match[bytes]) -> bytes:
    before = found[1] or b""
    return before + b"*" * (len(found[0]) - len(before))


def _escaped_or_not(text: str) -> bytes:
    """Write an expression for base64 text with or without JSON's escapes."""
    escapes = {"/": rb"\\{0,7}(?:/|u002[fF])", "+": rb"(?:\+|\\{1,7}u002[bB])"}
    return b"".join(escapes.get(c) or re.escape(c.encode("utf-8", "replace")) for c in text)
