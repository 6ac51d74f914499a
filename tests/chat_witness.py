"""Chats as the `openai` package and this library read them from one server."""

from __future__ import annotations

from importlib import import_module
from typing import Any, NamedTuple

import pytest

from moondream_transports import Client, UrllibTransport
from sansio_moondream import (
    ChatRequest,
    ChatResult,
    Endpoint,
    Event,
    MoondreamError,
    ReasoningDelta,
    TextDelta,
    Usage,
)
from tests.helpers import CHAT, record
from tests.peers import OneAnswer

DONE = b"data: [DONE]\n\n"
USED = {"prompt_tokens": 740, "completion_tokens": 3, "total_tokens": 743}


def chunk(delta: dict[str, Any], finish_reason: str | None = None, **fields: Any) -> bytes:
    choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish_reason}
    about = {
        "id": "chatcmpl-7",
        "object": "chat.completion.chunk",
        "created": 1786000000,
        "model": "moondream3-preview",
    }
    return record(about | {"choices": [choice]} | fields)


START, STOP = chunk({"role": "assistant", "content": ""}), chunk({}, "stop")
A, MOON = chunk({"content": "Ein"}), chunk({"content": " Mond über 🌙."})
BILL = chunk({}, choices=[], usage=USED)


def openai() -> Any:
    """Return the package. It takes a second to import, so only where it is needed."""
    return pytest.importorskip("openai", reason="needs openai, which `make` installs")


class Said(NamedTuple):
    text: str
    reasoning: str
    finish_reason: str | None = None
    usage: Usage | None = None
    error: Exception | None = None


def chunks(
    body: list[bytes],
    *,
    framed: bool = True,
    status: str = "200 OK",
    content_type: str = "text/event-stream",
) -> list[bytes]:
    head = (
        f"HTTP/1.1 {status}\r\nContent-Type: {content_type}\r\nTransfer-Encoding: chunked\r\n\r\n"
    )
    chunks = [
        b"%x\r\n%b\r\n" % (len(chunk), chunk) for chunk in [*body, *([b""] if framed else [])]
    ]
    return [head.encode(), *chunks]


def by_us(sent: list[bytes], request: ChatRequest = CHAT, stream: bool = True) -> Said:
    """Read the answer with this library. Text and reasoning are from the events."""
    events: list[Event] = []
    result: Any = None
    error: MoondreamError | None = None
    with OneAnswer(sent) as server:
        client = Client(UrllibTransport(proxies={}), Endpoint(server.endpoint))
        try:
            if stream:
                with client.stream(request) as answer:
                    events.extend(answer)
                    result = answer.result()
            else:
                result = client.send(request)
        except MoondreamError as caught:
            result, error = caught.partial, caught
    text = "".join(event.text for event in events if isinstance(event, TextDelta))
    reasoning = "".join(event.text for event in events if isinstance(event, ReasoningDelta))
    if isinstance(result, ChatResult):
        assert not stream or result.text == text
        thought = "" if result.reasoning is None else result.reasoning.text
        assert not stream or thought == reasoning
        return Said(
            result.text, thought, result.metadata.finish_reason, result.metadata.usage, error
        )
    return Said(text, reasoning, error=error)


def by_openai(sent: list[bytes], stream: bool = True) -> Said:
    """Read the answer with the package, by its `chat.completions.create`."""
    text, reasoning, finish_reason, usage, error = "", "", None, None, None
    with (
        OneAnswer(sent) as server,
        import_module("httpx2").Client(trust_env=False) as http,
        openai().OpenAI(
            api_key="none", base_url=server.endpoint, http_client=http, max_retries=0
        ) as client,
    ):
        try:
            asked = client.chat.completions.create(
                model="m", messages=[{"role": "user", "content": "?"}], stream=stream
            )
            for part in asked if stream else [asked]:
                for choice in part.choices:
                    said = choice.delta if stream else choice.message
                    text += said.content or ""
                    reasoning += (
                        getattr(said, "reasoning", None)
                        or getattr(said, "reasoning_content", None)
                        or ""
                    )
                    finish_reason = choice.finish_reason or finish_reason
                usage = part.usage or usage
        except openai().OpenAIError as caught:
            error = caught
    tokens = (
        None
        if usage is None
        else Usage(usage.prompt_tokens, usage.completion_tokens, usage.total_tokens)
    )
    return Said(text, reasoning, finish_reason, tokens, error)
