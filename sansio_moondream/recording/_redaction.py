"""What never reaches a recording: keys, cookies, organisation ids, and the pixels of anybody's
picture.

1. Headers are allow-listed: a name that is not known to be harmless is left out. A redirect's
   target loses its user and query.
2. In a request, a picture is replaced by what identifies it: digest, size and dimensions. One is
   any data URL, and the base64 text of a known format without one; inside a longer text, these are
   replaced in words.
3. Inside bodies, organisation ids, the request's own keys (see `request_secrets`), the secrets that
   the caller names, and pictures in base64 that a server sends back are masked by as many bytes,
   over the joined chunks: a secret that is split over chunks is found, and each chunk keeps its
   length. So is one that is cut off by the end.
4. A secret of less than 4 characters is not masked: every body has those somewhere, and would be
   spoilt.
5. A compressed body cannot be masked. Inflate it first, or do not record it.
"""

from __future__ import annotations

import hashlib
import json
import re
from base64 import b64decode
from collections.abc import Collection, Sequence
from itertools import accumulate
from typing import Any, cast
from urllib.parse import unquote, unquote_plus

from sansio_moondream._headers import Headers, HeaderTypes
from sansio_moondream._requests.endpoint import SECRET_HEADERS
from sansio_moondream._requests.http import HTTPRequest
from sansio_moondream._requests.images import image_info

REQUEST_HEADERS = frozenset({"accept", "accept-encoding", "content-type", "user-agent"})
RESPONSE_HEADERS = frozenset({
    "cache-control",
    "connection",
    "content-encoding",
    "content-length",
    "content-type",
    "date",
    "location",
    "retry-after",
    "server",
    "transfer-encoding",
    "x-accel-buffering",
    "x-request-id",
})  # fmt: skip

_SHORTENED = "…".encode()  # what `shorten` puts where it cuts
_LEAST_OF_A_COOKIE = 8  # characters: the "dark" of "theme=dark" is no secret, and a word
# characters of one, and bytes of one that was cut off; fewer tell little, and every body has them
# somewhere
_LEAST_OF_A_SECRET = 4
_SECRET_NAME = re.compile(
    r"api.?key|(?:^|[_-])key$|token(?!s)|secret|password|auth(?!or(?!i[sz]))|cookie", re.IGNORECASE
)  # no author
_NO_SECRETS = frozenset(
    {"true", "false", "null"}
)  # whatever a header's name says, and JSON has them everywhere

_PRIVATE_IN_URL = re.compile(r"(?<=//)[^/?#]*@|[?#].*", re.DOTALL)
_ORG_ID = re.compile(r"org(?:ani[sz]ation)?[_-]?id", re.IGNORECASE)
# As a JSON field, in an event stream (where a line end and "data:" may come between) and in JSON
# that is itself text in JSON (where quotes have backslashes before them). The value is the last of
# the match and may lack its end, where the stream was cut.
_ORG_ID_FIELD = re.compile(
    rb"%s\\*\"(?:\s|data:)*+:(?:\s|data:)*+"
    rb"(?:\"((?:[^\"\\]++|\\.)*+)|\\+\"((?:[^\"\\]++|\\[^\"])*+)|(-?[0-9.eE+-]+))"
    % _ORG_ID.pattern.encode(),
    re.IGNORECASE | re.DOTALL,
)
# Base64 of either alphabet, as text and as JSON has it (`\/`, `\u002b`). A line end is in it only
# before a further line of it.
_BASE64 = rb"(?:[A-Za-z0-9+/=_%-]++|\\++(?:/|u00(?:2[bBfF]|3[dD]))|(?:\\++[nr]|[\r\n])++(?=[A-Za-z0-9+/_-]{20}))"
# What a data URL has before its base64 text, or the first bytes of a JPEG, PNG, GIF or WebP in
# base64.
_PICTURE = re.compile(
    rb"(?:(;(?i:base64),)|(?:[/_]9j\\*+[/_]|iVBORw0KGgo|R0lGOD[dl]h|UklGR)(?=[A-Za-z0-9+/_\\-]{20}))%s++"
    % _BASE64,
)
_HEAD_OF_A_PICTURE = (
    32  # characters of its base64 text: enough to know it by, wherever it is sent back
)


def request_secrets(request: HTTPRequest) -> frozenset[str]:
    """The secrets of a request: what headers and query fields hold that are named as keys, tokens
    and the like are, and cookies.

    Keys are given with and without what stands before them ("Bearer"), query fields as they are in
    the URL and as they are meant."""
    found: set[str] = set()
    for name, value in Headers(request.headers).multi_items():
        if value and (name in SECRET_HEADERS or _SECRET_NAME.search(name)):
            found |= {value, value.split()[-1]}
        if name == "cookie":
            values = (pair.partition("=")[2].strip() for pair in value.split(";"))
            found |= {cookie for cookie in values if len(cookie) >= _LEAST_OF_A_COOKIE}
    for field in request.url.partition("#")[0].partition("?")[2].split("&"):
        name, _, value = field.partition("=")
        if _SECRET_NAME.search(unquote_plus(name)):
            found |= {value, unquote(value), unquote_plus(value)}
    return frozenset(secret for secret in found if secret.lower() not in _NO_SECRETS)


def safe_headers(
    headers: HeaderTypes, allowed: frozenset[str], secrets: Collection[str] = ()
) -> tuple[tuple[str, str], ...]:
    """The headers that may be written down, in their order, names in lower case."""
    kept = [(name, value) for name, value in Headers(headers).multi_items() if name in allowed]
    return tuple(
        (name, mask_text(_PRIVATE_IN_URL.sub("", value) if name == "location" else value, secrets))
        for name, value in kept
    )


def safe_body(value: Any, secrets: Collection[str] = ()) -> Any:
    """A request's parsed JSON body with its pictures described and its secrets masked."""
    if isinstance(value, str):
        if _is_picture(value):
            return describe_image(value)
        return mask_text(
            _PICTURE.sub(_picture_in_words, value.encode("utf-8", "replace")).decode(), secrets
        )
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
    """What stands for a picture in a recording: `text` is its data URL, or its base64 text alone.

    What cannot be read is None; `bytes` and `sha256` are of the encoded picture.
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
    """How the base64 texts of the pictures in a request's parsed JSON body begin: for
    `mask_chunks`.
    """
    if isinstance(value, str):
        head = _head_and_payload(value)[1][:_HEAD_OF_A_PICTURE] if _is_picture(value) else ""
        return frozenset({head} if len(head) == _HEAD_OF_A_PICTURE else ())
    if isinstance(value, dict):
        value = list(cast("dict[str, Any]", value).values())
    return (
        frozenset[str]().union(*map(picture_heads, cast("list[Any]", value)))
        if isinstance(value, list)
        else frozenset()
    )


def mask_chunks(
    chunks: Sequence[bytes], secrets: Collection[str] = (), pictures: Collection[str] = ()
) -> tuple[bytes, ...]:
    """The chunks of a body, each as long as it was, with organisation ids, `secrets` and pictures
    masked over their borders.

    Pictures are found in data URLs, and without one if their format is known or `pictures` has how
    their base64 text begins. Secrets of less than 4 characters are left as they are."""
    body = b"".join(chunks)
    for head in pictures:
        body = re.sub(
            rb"%s%s*+" % (_as_json_may_have_it(head), _BASE64),
            lambda found: b"*" * len(found[0]),
            body,
        )
    masked = _mask_end(_mask(body, secrets), secrets)
    return tuple(
        masked[end - len(chunk) : end]
        for chunk, end in zip(chunks, accumulate(map(len, chunks)), strict=True)
    )


def mask_text(text: str, secrets: Collection[str] = ()) -> str:
    """Text with organisation ids, `secrets` (those of 4 characters or more) and pictures masked, a
    `*` for each byte.
    """
    return _mask(text.encode("utf-8", "replace"), secrets).decode()


def mask_message(text: str, secrets: Collection[str] = ()) -> str:
    """The same for an error's message: where what was seen is shortened ("…"), a secret may have
    been too.
    """
    parts = _mask(text.encode("utf-8", "replace"), secrets).split(_SHORTENED)
    return _SHORTENED.join([_mask_end(part, secrets) for part in parts]).decode("utf-8", "replace")


def _mask(data: bytes, secrets: Collection[str]) -> bytes:
    data = _ORG_ID_FIELD.sub(_masked_value, _PICTURE.sub(_masked_picture, data))
    for spelling in _spellings(secrets):
        data = data.replace(spelling, b"*" * len(spelling))
    return data


def _mask_end(data: bytes, secrets: Collection[str]) -> bytes:
    """The data without the beginning of a secret at its very end."""
    for spelling in _spellings(secrets):
        for length in range(min(len(spelling) - 1, len(data)), _LEAST_OF_A_SECRET - 1, -1):
            if data.endswith(spelling[:length]):
                return data[:-length] + b"*" * length
    return data


def _spellings(secrets: Collection[str]) -> list[bytes]:
    """Each secret as text and as JSON has it, the longest first: one may be the beginning of
    another.
    """
    found = {
        spelled
        for secret in secrets
        if len(secret) >= _LEAST_OF_A_SECRET
        for json_text in (json.dumps(secret)[1:-1], json.dumps(secret, ensure_ascii=False)[1:-1])
        for spelled in (secret, json_text, json_text.replace("/", "\\/"))
    }
    return sorted(
        (spelled.encode() for spelled in found), key=lambda spelled: (-len(spelled), spelled)
    )


def _masked_value(found: re.Match[bytes]) -> bytes:
    which = found.lastindex or 0
    fill = b"1" if which == 3 else b"*"  # a number stays a number
    start, end = found.span(which)
    return found[0][: start - found.start()] + fill * (end - start)


def _is_picture(text: str) -> bool:
    """Whether a text is a data URL, or base64 that begins as a picture does, and nothing else."""
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
    """The bytes of base64 in either alphabet, with or without line ends and padding."""
    text = "".join(text.split()).replace("-", "+").replace("_", "/")
    return b64decode(text + "=" * (-len(text) % 4), validate=True)


def _picture_in_words(found: re.Match[bytes]) -> bytes:
    before = found[1] or b""
    picture = describe_image(found[0][len(before) :].decode())
    return before + f"[a picture of {picture['bytes']} bytes, sha256 {picture['sha256']}]".encode()


def _masked_picture(found: re.Match[bytes]) -> bytes:
    before = found[1] or b""
    return before + b"*" * (len(found[0]) - len(before))


def _as_json_may_have_it(text: str) -> bytes:
    """An expression for a text in base64, whatever of it JSON escapes."""
    escaped = {"/": rb"\\{0,7}(?:/|u002[fF])", "+": rb"(?:\+|\\{1,7}u002[bB])"}
    return b"".join(
        [
            escaped.get(character) or re.escape(character.encode("utf-8", "replace"))
            for character in text
        ]
    )
