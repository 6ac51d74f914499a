"""Moondream for the `llm` command line: conversations about pictures, streamed.

`MOONDREAM_ENDPOINT` is the address of another server than the service.
"""

from __future__ import annotations

import os
from collections.abc import AsyncGenerator, Iterator
from typing import Any

import llm
from llm.parts import AttachmentPart, Message, StreamEvent, TextPart
from pydantic import Field

from moondream_transports import AsyncClient, Client
from sansio_moondream import (
    ChatMessage,
    ChatRequest,
    ChatResult,
    EncodedImage,
    Endpoint,
    Event,
    MoondreamError,
    ReasoningDelta,
    Settings,
    TextDelta,
    encode_image,
)

ENDPOINT = os.environ.get("MOONDREAM_ENDPOINT", Endpoint().url)
WITH_USAGE = {"stream_options": {"include_usage": True}}


@llm.hookimpl
def register_models(register: Any) -> None:
    register(Moondream(), AsyncMoondream(), aliases=("md",))


class Options(llm.Options):
    temperature: float | None = Field(description="0 is deterministic", default=None)
    max_tokens: int | None = Field(description="The longest answer, in tokens", default=None)
    reasoning: bool | None = Field(description="Ask for the reasoning too", default=None)


class _Shared:
    """What the sync and the async model have in common: all but the loop over the events."""

    model_id = "moondream"
    can_stream = True
    attachment_types = frozenset({"image/jpeg", "image/png", "image/gif", "image/webp"})
    # A local server needs no key.
    needs_key = "moondream" if ENDPOINT.startswith("https:") else None
    key_env_var = "MOONDREAM_API_KEY"
    Options = Options


class Moondream(_Shared, llm.KeyModel):
    def execute(
        self,
        prompt: llm.Prompt,
        stream: bool,
        response: llm.Response,
        conversation: llm.Conversation | None,
        key: str | None = None,
    ) -> Iterator[StreamEvent]:
        request = request_of(prompt)
        try:
            with Client(endpoint=Endpoint(ENDPOINT, key)) as client:
                if not stream:
                    result = client.send(request)
                    yield from parts(result)
                else:
                    with client.stream(request, extra_body=WITH_USAGE) as events:
                        yield from filter(None, map(part, events))
                    result = events.result()
        except MoondreamError as error:
            raise llm.ModelError(str(error)) from None
        report(response, result)


class AsyncMoondream(_Shared, llm.AsyncKeyModel):
    async def execute(
        self,
        prompt: llm.Prompt,
        stream: bool,
        response: llm.AsyncResponse,
        conversation: llm.AsyncConversation | None,
        key: str | None = None,
    ) -> AsyncGenerator[StreamEvent, None]:
        request = request_of(prompt)
        try:
            async with AsyncClient(endpoint=Endpoint(ENDPOINT, key)) as client:
                if not stream:
                    result = await client.send(request)
                    for shown in parts(result):
                        yield shown
                else:
                    async with client.stream(request, extra_body=WITH_USAGE) as events:
                        async for event in events:
                            if shown := part(event):
                                yield shown
                    result = await events.result()
        except MoondreamError as error:
            raise llm.ModelError(str(error)) from None
        report(response, result)


def request_of(prompt: llm.Prompt) -> ChatRequest:
    options = prompt.options
    return ChatRequest(
        messages=[message_of(message) for message in prompt.messages],
        reasoning=options.reasoning,
        settings=Settings(temperature=options.temperature, max_tokens=options.max_tokens),
    )


def message_of(message: Message) -> ChatMessage:
    content: list[str | EncodedImage] = []
    for item in message.parts:
        if isinstance(item, TextPart):
            content.append(item.text)
        elif isinstance(item, AttachmentPart) and item.attachment is not None:
            content.append(encode_image(item.attachment.content_bytes()))
    return ChatMessage(message.role, content)


def part(event: Event) -> StreamEvent | None:
    match event:
        case TextDelta(text):
            return StreamEvent(type="text", chunk=text)
        case ReasoningDelta(text):
            return StreamEvent(type="reasoning", chunk=text)
    return None


def parts(result: ChatResult) -> Iterator[StreamEvent]:
    if result.reasoning:
        yield StreamEvent(type="reasoning", chunk=result.reasoning.text)
    yield StreamEvent(type="text", chunk=result.text)


def report(response: Any, result: ChatResult) -> None:
    """Give llm what it logs: tokens, and the server's id of the exchange."""
    tokens = result.metadata.tokens
    response.set_usage(input=tokens.input, output=tokens.output)
    response.response_json = {"request_id": result.metadata.request_id}
