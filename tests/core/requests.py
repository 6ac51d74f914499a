"""The body of a request."""

from __future__ import annotations

import json
from typing import Any

from sansio_moondream import EncodedImage, Endpoint, Request

BIG = EncodedImage("data:image/jpeg;base64," + "/9j/".ljust(10_000_000, "A"))
LOCAL = Endpoint("http://localhost:2020/v1")


def body_of(request: Request[Any], **options: Any) -> dict[str, Any]:
    body: dict[str, Any] = json.loads(request.to_http(LOCAL, **options).body)
    return body
