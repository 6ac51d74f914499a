"""Chunks of a chat as several servers write them."""

from __future__ import annotations

from typing import Any

from sansio_moondream import Headers, Metadata, Usage
from sansio_moondream.testing import EVENT_STREAM
from tests.helpers import record

JSON = (("content-type", "application/json"),)
DONE = b"data: [DONE]\n\n"


def chunk(delta: dict[str, Any] | None, finish_reason: str | None = None, **fields: Any) -> bytes:
    """Encode one record in the shortest form that a server may write."""
    return record(
        {"id": "7", "choices": [{"delta": delta, "finish_reason": finish_reason}]} | fields
    )


def openai(delta: dict[str, Any], finish_reason: str | None = None, **fields: Any) -> bytes:
    """Encode one record with all fields that OpenAI's servers write."""
    about: dict[str, Any] = {
        "object": "chat.completion.chunk",
        "created": 1786000000,
        "model": "m",
        "service_tier": "default",
        "system_fingerprint": None,
    }
    choices = [{"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish_reason}]
    return chunk({}, **about, choices=choices, usage=None, obfuscation="aB3", **fields)


def text(content: str) -> bytes:
    return chunk({"content": content})


USED = {"prompt_tokens": 740, "completion_tokens": 3, "total_tokens": 743}
USAGE = Usage(740, 3, 743)


START, STOP, BILL = (
    chunk({"role": "assistant", "content": ""}),
    chunk({}, "stop"),
    chunk(None, choices=[], usage=USED),
)


def about(**fields: Any) -> Metadata:
    return Metadata(request_id="7", finish_reason="stop", headers=Headers(EVENT_STREAM), **fields)
