"""The body of a chat request."""

from __future__ import annotations

import json
from typing import Any

from sansio_moondream import ChatRequest
from tests.helpers import LOCAL, PIXEL

URL = PIXEL.data_url
TEXT, IMAGE = {"type": "text", "text": "What?"}, {"type": "image_url", "image_url": {"url": URL}}


def body_of(request: ChatRequest, **options: Any) -> dict[str, Any]:
    body: dict[str, Any] = json.loads(request.to_http(LOCAL, **options).body)
    return body
