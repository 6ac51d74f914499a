"""The files for browsers, from the package."""

from __future__ import annotations

from functools import cache
from hashlib import sha256
from importlib.resources import files
from typing import Final

from sansio_moondream import ErrorResponse

TYPES: Final = {
    "/moondream-relay.js": "text/javascript; charset=utf-8",
    "/moondream-relay.d.ts": "text/plain; charset=utf-8",
}


def static_file(path: str, if_none_match: str | None) -> ErrorResponse:
    """Return one of the files of `TYPES`, or 304 if the client has it.

    Args:
        path: of the file.
        if_none_match: the header of the request.
    """
    content, tag = _read(path)
    headers = (
        ("content-type", TYPES[path]),
        ("content-length", str(len(content))),
        ("etag", tag),
        ("cache-control", "no-cache"),  # asked for each time, and sent only after an update
        ("x-content-type-options", "nosniff"),
    )
    known = {each.strip().removeprefix("W/") for each in (if_none_match or "").split(",")}
    if known & {tag, "*"}:
        return ErrorResponse(304, headers[2:], b"")
    return ErrorResponse(200, headers, content)


@cache
def _read(path: str) -> tuple[bytes, str]:
    content = (files("moondream_transports.relay") / "static" / path[1:]).read_bytes()
    return content, f'"{sha256(content).hexdigest()[:32]}"'
