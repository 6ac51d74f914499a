"""What never reaches a recording: keys, cookies, organisation ids, and the pixels of anybody's picture.

1. Headers are allow-listed: a name that is not known to be harmless is left out. A redirect's target loses its user and query.
2. A picture is replaced by what identifies it: digest, size and dimensions.
3. Inside bodies, organisation ids, the request's own key and the secrets that the caller names are masked by as many bytes, over
   the joined pieces: a secret that is split over pieces is found, and each piece keeps its length. So is one that is cut off by the end.
4. A compressed body cannot be masked. Inflate it first, or do not record it.
"""

from __future__ import annotations

import hashlib
import json
import re
from base64 import b64decode
from collections.abc import Collection, Sequence
from itertools import accumulate
from typing import Any, cast

from sansio_moondream._endpoint import SECRET_HEADERS
from sansio_moondream._headers import Headers, HeaderTypes
from sansio_moondream._images import image_info

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
_LEAST_OF_A_SECRET = 4  # bytes of one that was cut off; fewer tell little, and every body has them somewhere

_PRIVATE_IN_URL = re.compile(r"(?<=//)[^/?#]*@|[?#].*", re.DOTALL)
_ORG_ID = re.compile(r"org(?:ani[sz]ation)?[_-]?id", re.IGNORECASE)
# As a JSON field, in an event stream (where a line end and "data:" may come between) and in JSON that is itself text in JSON (where
# quotes have backslashes before them). The value is the last of the match and may lack its end, where the stream was cut.
_ORG_ID_FIELD = re.compile(
    rb"%s\\*\"(?:\s|data:)*+:(?:\s|data:)*+"
    rb"(?:\"((?:[^\"\\]++|\\.)*+)|\\+\"((?:[^\"\\]++|\\[^\"])*+)|(-?[0-9.eE+-]+))" % _ORG_ID.pattern.encode(),
    re.IGNORECASE | re.DOTALL,
)


def request_secrets(headers: HeaderTypes) -> frozenset[str]:
    """The secrets in a request's headers: keys, with and without what stands before them ("Bearer"), and cookies."""
    found: set[str] = set()
    for name, value in Headers(headers).multi_items():
        if name in SECRET_HEADERS and value:
            found |= {value, value.split()[-1]}
        if name == "cookie":
            values = (pair.partition("=")[2].strip() for pair in value.split(";"))
            found |= {cookie for cookie in values if len(cookie) >= _LEAST_OF_A_COOKIE}
    return frozenset(found)


def safe_headers(headers: HeaderTypes, allowed: frozenset[str], secrets: Collection[str] = ()) -> tuple[tuple[str, str], ...]:
    """The headers that may be written down, in their order, names in lower case."""
    kept = [(name, value) for name, value in Headers(headers).multi_items() if name in allowed]
    return tuple((name, mask_text(_PRIVATE_IN_URL.sub("", value) if name == "location" else value, secrets)) for name, value in kept)


def safe_body(value: Any, secrets: Collection[str] = ()) -> Any:
    """A request's parsed JSON body with its pictures described and its secrets masked."""
    if isinstance(value, str):
        return describe_image(value) if value[:5].lower() == "data:" else mask_text(value, secrets)
    if isinstance(value, list):
        return [safe_body(item, secrets) for item in cast("list[Any]", value)]
    if isinstance(value, dict):
        return {
            mask_text(name, secrets): "*" * len(str(item)) if _ORG_ID.fullmatch(name) else safe_body(item, secrets)
            for name, item in cast("dict[str, Any]", value).items()
        }
    if isinstance(value, int | float) and mask_text(digits := json.dumps(value), secrets) != digits:
        return mask_text(digits, secrets)
    return value


def describe_image(data_url: str) -> dict[str, Any]:
    """What stands for a picture in a recording. What cannot be read is None; `bytes` and `sha256` are of the encoded picture."""
    head, _, payload = data_url.partition(",")
    try:
        data = b64decode(payload, validate=True)
    except ValueError:
        data = payload.encode()
    media_type, width, height = image_info(data)
    return {
        "sha256": hashlib.sha256(data).hexdigest(),
        "media_type": media_type or head[5:].partition(";")[0] or None,
        "bytes": len(data),
        "width": width,
        "height": height,
    }


def mask_pieces(pieces: Sequence[bytes], secrets: Collection[str] = ()) -> tuple[bytes, ...]:
    """The pieces of a body, each as long as it was, with organisation ids and `secrets` masked over their borders."""
    masked = _mask_end(_mask(b"".join(pieces), secrets), secrets)
    return tuple(masked[end - len(piece) : end] for piece, end in zip(pieces, accumulate(map(len, pieces)), strict=True))


def mask_text(text: str, secrets: Collection[str] = ()) -> str:
    """Text with organisation ids and `secrets` masked, a `*` for each byte."""
    return _mask(text.encode("utf-8", "replace"), secrets).decode()


def mask_message(text: str, secrets: Collection[str] = ()) -> str:
    """The same for an error's message: where what was seen is shortened ("…"), a secret may have been too."""
    parts = _mask(text.encode("utf-8", "replace"), secrets).split(_SHORTENED)
    return _SHORTENED.join([_mask_end(part, secrets) for part in parts]).decode("utf-8", "replace")


def _mask(data: bytes, secrets: Collection[str]) -> bytes:
    data = _ORG_ID_FIELD.sub(_masked_value, data)
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
    """Each secret as text and as JSON has it, the longest first: one may be the beginning of another."""
    found = {
        spelled
        for secret in filter(None, secrets)
        for json_text in (json.dumps(secret)[1:-1], json.dumps(secret, ensure_ascii=False)[1:-1])
        for spelled in (secret, json_text, json_text.replace("/", "\\/"))
    }
    return sorted((spelled.encode() for spelled in found), key=lambda spelled: (-len(spelled), spelled))


def _masked_value(found: re.Match[bytes]) -> bytes:
    which = found.lastindex or 0
    fill = b"1" if which == 3 else b"*"  # a number stays a number
    start, end = found.span(which)
    return found[0][: start - found.start()] + fill * (end - start)
