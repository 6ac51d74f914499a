"""Decode the body of a request."""

from __future__ import annotations

import json
from typing import Any

import pytest

from sansio_moondream import APIError, DecodedRequest, decode_request

CHAT_PATH = "/v1/chat/completions"


def decoded(
    body: bytes | str | dict[str, Any], path: str = "/v1/query", **options: Any
) -> DecodedRequest:
    if isinstance(body, dict):
        body = json.dumps(body)
    return decode_request(
        "POST", path, (), body.encode() if isinstance(body, str) else body, **options
    )


def refused(
    body: bytes | str | dict[str, Any], path: str = "/v1/query", **options: Any
) -> APIError:
    with pytest.raises(APIError) as caught:
        decoded(body, path, **options)
    assert caught.value.__suppress_context__ or caught.value.__context__ is None
    return caught.value


def chat(**message: Any) -> dict[str, Any]:
    """Return the body of a chat with one message."""
    return {"messages": [{"role": "user", "content": "?"} | message]}


def part(part: Any) -> dict[str, Any]:
    """Return the body of a chat with one part."""
    return chat(content=[part])
