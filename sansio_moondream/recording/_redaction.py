"""Keep keys, cookies, organisation ids and pictures out of the header of a recording.

1. Headers have an allow-list: others are left out. The target of a redirect loses its user and its
   query.
2. A picture in a request is replaced by its digest, size and dimensions. A picture is any data URL,
   or the base64 text of a known format. Inside a longer text, a description takes its place.
3. Everything else is masked as in the body of a response (`_masks`).
4. A compressed body cannot be masked. Inflate it first, or do not record it.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator
from typing import Any, NamedTuple, cast

from sansio_moondream._headers import Headers, HeaderTypes
from sansio_moondream._pictures.formats import image_info
from sansio_moondream._requests.http import HTTPRequest
from sansio_moondream._secrets.names import public_part
from sansio_moondream._secrets.values import Secrets
from sansio_moondream._wire.json import BeyondLimit, decode

from ._masks import BASE64_PICTURES, from_base64, is_private, mask_text

MAX_DEPTH = 64
_MAX_BODY_DEPTH = MAX_DEPTH - 3  # in a line it is inside of objects, and pictures become objects
REQUEST_HEADERS = frozenset({"accept", "accept-encoding", "content-type", "user-agent"})
RESPONSE_HEADERS = frozenset({
    *("cache-control", "connection", "content-encoding", "content-length", "content-type", "date"),
    *("location", "retry-after", "server", "transfer-encoding", "x-accel-buffering"),
    "x-request-id",
})  # fmt: skip

_PICTURE_HEAD = 32  # characters of base64 text that identify a picture
# Each secret is searched for in each text, so a hostile request could take hours.
_MAX_SECRETS = 64
_MAX_SECRET = 8 * 1024  # characters


class SafeRequest(NamedTuple):
    """What a recording keeps of a request, and what it has to mask in the response.

    Attributes:
        path, headers, body: as recorded.
        secrets: those of the request, those in private fields of its body, and the caller's.
        pictures: beginnings of its base64 texts.
    """

    path: str
    headers: tuple[tuple[str, str], ...]
    body: Any
    secrets: Secrets
    pictures: frozenset[str]


def safe_request(request: HTTPRequest, secrets: Secrets) -> SafeRequest:
    """Take keys, cookies, organisation ids and pictures out of a request.

    Raises:
        ValueError: the body is not JSON, or there are more or longer secrets than we search for.
    """
    body = _decoded_body(request)
    secrets = Secrets([*request.secrets, *_private_texts(body), *secrets])
    sizes = list(map(len, secrets))
    if len(sizes) > _MAX_SECRETS or max(sizes, default=0) > _MAX_SECRET:
        del body  # error reporters print local variables
        raise ValueError(
            f"the request has more than {_MAX_SECRETS} secrets, or one that is longer than "
            f"{_MAX_SECRET:,} characters"
        )
    path = "/" + request.url.partition("://")[2].partition("/")[2].partition("?")[0]
    return SafeRequest(
        mask_text(path, secrets),
        safe_headers(request.headers, REQUEST_HEADERS, secrets),
        _safe_body(body, secrets),
        secrets,
        _picture_heads(body),
    )


def _decoded_body(request: HTTPRequest) -> Any:
    try:
        return decode(request.body, _MAX_BODY_DEPTH, max_values=len(request.body))
    except BeyondLimit:
        fault = f"nests deeper than {_MAX_BODY_DEPTH}"
    except ValueError as error:
        fault = f"is not JSON: {error}"
    # Raised here, it has no context, and no frame that has the body.
    raise ValueError(f"the body of the request {fault}")


def _private_texts(value: Any) -> Iterator[str]:
    """Find the texts in fields with private names. Organisation ids are among them."""
    if isinstance(value, list):
        for item in cast("list[Any]", value):
            yield from _private_texts(item)
    elif isinstance(value, dict):
        for name, item in cast("dict[str, Any]", value).items():
            if isinstance(item, str):
                yield from [item] if is_private(name) else []
            else:
                yield from _private_texts(item)


def safe_headers(
    headers: HeaderTypes, allowed: frozenset[str], secrets: Secrets
) -> tuple[tuple[str, str], ...]:
    """Filter headers by their names and mask secrets. Names become lower case."""
    kept = [(name, value) for name, value in Headers(headers).multi_items() if name in allowed]
    return tuple(
        (name, mask_text(public_part(value) if name == "location" else value, secrets))
        for name, value in kept
    )


def _safe_body(value: Any, secrets: Secrets) -> Any:
    """Describe the pictures and mask the secrets in a request's decoded JSON body."""
    if isinstance(value, str):
        if _is_picture(value):
            return _describe_image(value)
        described = value.encode()
        for pattern in BASE64_PICTURES:
            described = pattern.sub(_described_picture, described)
        return mask_text(described.decode(), secrets)
    if isinstance(value, list):
        return [_safe_body(item, secrets) for item in cast("list[Any]", value)]
    if isinstance(value, dict):
        return {
            mask_text(name, secrets): "*" * len(str(item))
            if is_private(name) and not isinstance(item, bool | None)
            else _safe_body(item, secrets)
            for name, item in cast("dict[str, Any]", value).items()
        }
    if isinstance(value, int | float) and mask_text(digits := json.dumps(value), secrets) != digits:
        return mask_text(digits, secrets)
    return value


def _describe_image(text: str) -> dict[str, Any]:
    """Describe a picture, given its data URL or its base64 text.

    Returns:
        `sha256` and `bytes` (size) of the encoded picture, and its `media_type`, `width` and
        `height`, which are None if they cannot be read.
    """
    head, payload = _head_and_payload(text)
    try:
        data = from_base64(payload)
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


def _picture_heads(value: Any) -> frozenset[str]:
    """Collect the beginnings of the base64 texts in a decoded JSON body, for `mask_chunks`."""
    if isinstance(value, str):
        head = _head_and_payload(value)[1][:_PICTURE_HEAD] if _is_picture(value) else ""
        return frozenset({head} if len(head) == _PICTURE_HEAD else ())
    if isinstance(value, dict):
        value = list(cast("dict[str, Any]", value).values())
    items = cast("list[Any]", value) if isinstance(value, list) else []
    return frozenset[str]().union(*map(_picture_heads, items))


def _is_picture(text: str) -> bool:
    """Test if the whole text is a data URL, or the base64 text of a picture."""
    text = text.strip()
    if text[:5].lower() == "data:":
        return True
    beginning = "".join(text[:64].split())
    try:
        known = image_info(from_base64(beginning[: len(beginning) // 4 * 4]))[0] is not None
    except ValueError:
        return False
    return known and re.fullmatch(r"[A-Za-z0-9+/=_\s-]*+", text) is not None


def _head_and_payload(text: str) -> tuple[str, str]:
    head, _, payload = text.strip().partition(",")
    return (head, payload) if head[:5].lower() == "data:" else ("", head)


def _described_picture(found: re.Match[bytes]) -> bytes:
    before = found[0][: found.start(1) - found.start()]
    picture = _describe_image(found[1].decode())
    return before + f"[a picture of {picture['bytes']} bytes, sha256 {picture['sha256']}]".encode()
