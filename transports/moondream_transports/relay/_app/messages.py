"""What an ASGI application reads of a request, and its whole responses."""

from __future__ import annotations

import json
from typing import Any, Final
from urllib.parse import parse_qs

from moondream_transports.relay._asgi import Message, Receive
from sansio_moondream import Dialect, ErrorResponse, encode_error
from sansio_moondream._server.refusals import refusal

_NOT_STORED: Final = ("cache-control", "no-store")


def path_of(scope: Message) -> str:
    """Return the path below that of the application, such as one that a framework mounts."""
    path: str = scope["path"]
    root = root_of(scope)
    return path[len(root) :] if path.startswith(f"{root}/") else path


def root_of(scope: Message) -> str:
    """Return the path below which the application is."""
    root: str = scope.get("root_path", "")
    return root.rstrip("/")


def header_of(scope: Message, name: bytes) -> str | None:
    """Return the first header with that name, in lower case, or None."""
    values = (value for known, value in scope["headers"] if known.lower() == name)
    value = next(values, None)
    return None if value is None else value.decode("latin-1").strip()


def query_of(scope: Message, name: str) -> str | None:
    """Return the last field of the query string with that name, or None."""
    query = scope.get("query_string", b"").decode("latin-1")
    values = parse_qs(query, keep_blank_values=True, max_num_fields=None).get(name)
    return values[-1] if values else None


async def read_body(scope: Message, receive: Receive, max_bytes: int) -> bytes | None:
    """Return the body of a request, or None if the client leaves.

    Raises:
        PayloadTooLargeError: It is too large. The rest is not read.
    """
    announced = header_of(scope, b"content-length") or ""
    if announced.isdecimal() and int(announced[:20]) > max_bytes:
        raise _too_large(max_bytes)
    parts: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        parts.append(message.get("body", b""))
        size += len(parts[-1])
        if size > max_bytes:
            raise _too_large(max_bytes)
        if not message.get("more_body", False):
            return b"".join(parts)


def not_allowed(allowed: str) -> ErrorResponse:
    """Return the response for a method that a path does not have."""
    status_code, headers, body = encode_error(refusal(405, "Method Not Allowed"), Dialect.CHAT)
    others = (field for field in headers if field[0] != "allow")
    return ErrorResponse(status_code, (*others, ("allow", allowed)), body)


def created(url: str, fields: dict[str, Any]) -> ErrorResponse:
    """Return the response for what was made, and is at `url`."""
    headers = (("content-type", "application/json"), ("location", url), _NOT_STORED)
    return ErrorResponse(201, headers, json.dumps(fields).encode())


def _too_large(max_bytes: int) -> Exception:
    return refusal(413, f"the body should have at most {max_bytes:,} bytes")
