"""A pydantic-ai model that asks Moondream, by its chats: `Agent(MoondreamModel(client))`."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from pydantic_ai.exceptions import ModelAPIError, ModelHTTPError, UserError
from pydantic_ai.messages import (
    BinaryContent,
    FinishReason,
    ModelMessage,
    ModelResponse,
    ModelResponseStreamEvent,
    RetryFeedbackPart,
    SystemPromptPart,
    TextPart,
    ThinkingPart,
    UserContent,
    UserPromptPart,
)
from pydantic_ai.models import Model, ModelRequestParameters, StreamedResponse
from pydantic_ai.profiles import ModelProfile
from pydantic_ai.settings import ModelSettings
from pydantic_ai.usage import RequestUsage

from moondream_transports import AsyncClient, AsyncClientStream
from sansio_moondream import (
    APIError,
    ChatMessage,
    ChatRequest,
    ChatResult,
    EncodedImage,
    Event,
    Metadata,
    MoondreamError,
    ReasoningDelta,
    Settings,
    TextDelta,
    encode_image,
)

NAME = "moondream3-preview"
WITH_USAGE = {"stream_options": {"include_usage": True}}


class MoondreamModel(Model[AsyncClient]):
    """Ask Moondream. The client's endpoint, retries and limits are those of every request.

    Tools are refused, as Moondream has none. For an output type, use `PromptedOutput`.
    """

    def __init__(self, client: AsyncClient, *, settings: ModelSettings | None = None) -> None:
        profile = ModelProfile(
            supports_tools=False,
            supports_image_input=True,
            supports_thinking=True,
            default_structured_output_mode="prompted",
        )
        super().__init__(settings=settings, profile=profile)
        self.client = client

    @property
    def model_name(self) -> str:
        return NAME

    @property
    def system(self) -> str:
        return "moondream"

    async def request(
        self,
        messages: list[ModelMessage],
        model_settings: ModelSettings | None,
        model_request_parameters: ModelRequestParameters,
    ) -> ModelResponse:
        request = self._request(
            messages, *self.prepare_request(model_settings, model_request_parameters)
        )
        with translated_errors():
            result = await self.client.send(request)
        thought = [ThinkingPart(result.reasoning.text)] if result.reasoning else []
        return ModelResponse(
            [*thought, TextPart(result.text)],
            usage=usage(result.metadata),
            model_name=NAME,
            provider_name=self.system,
            provider_response_id=result.metadata.request_id,
            finish_reason=finish_reason(result.metadata),
        )

    @asynccontextmanager
    async def request_stream(
        self,
        messages: list[ModelMessage],
        model_settings: ModelSettings | None,
        model_request_parameters: ModelRequestParameters,
        run_context: Any = None,
    ) -> AsyncIterator[StreamedResponse]:
        settings, parameters = self.prepare_request(model_settings, model_request_parameters)
        request = self._request(messages, settings, parameters)
        async with self.client.stream(request, extra_body=WITH_USAGE) as stream:
            yield MoondreamStreamedResponse(parameters, stream)

    def _request(
        self,
        messages: Sequence[ModelMessage],
        settings: ModelSettings | None,
        parameters: ModelRequestParameters,
    ) -> ChatRequest:
        if parameters.function_tools or parameters.output_tools:
            raise UserError("Moondream has no tools; for an output type, use PromptedOutput(...)")
        given = settings or ModelSettings()
        thinking = given.get("thinking")
        return ChatRequest(
            messages=list(chat_messages(messages, parameters)),
            model=NAME,
            reasoning=None if thinking is None else bool(thinking),
            settings=Settings(
                temperature=given.get("temperature"),
                top_p=given.get("top_p"),
                max_tokens=given.get("max_tokens"),
            ),
        )


@dataclass
class MoondreamStreamedResponse(StreamedResponse):
    stream: AsyncClientStream[ChatResult]
    model_name: str = NAME
    provider_name: str | None = "moondream"
    provider_url: str | None = None
    opened_at: datetime = field(default_factory=lambda: datetime.now(UTC))

    @property
    def timestamp(self) -> datetime:
        return self.opened_at

    async def _get_event_iterator(self) -> AsyncIterator[ModelResponseStreamEvent]:
        manager = self._parts_manager
        with translated_errors():
            async for event in self.stream:
                match event:
                    case TextDelta(text):
                        for change in manager.handle_text_delta(
                            vendor_part_id="text", content=text
                        ):
                            yield change
                    case ReasoningDelta(text):
                        for change in manager.handle_thinking_delta(
                            vendor_part_id="reasoning", content=text
                        ):
                            yield change
            metadata = (await self.stream.result()).metadata
        self._usage += usage(metadata)
        self.provider_response_id = metadata.request_id
        self.finish_reason = finish_reason(metadata)

    def _changes(self, event: Event) -> Iterator[ModelResponseStreamEvent]:
        manager = self._parts_manager
        match event:
            case TextDelta(text):
                yield from manager.handle_text_delta(vendor_part_id="text", content=text)
            case ReasoningDelta(text):
                yield from manager.handle_thinking_delta(vendor_part_id="reasoning", content=text)

    async def close_stream(self) -> None:
        await self.stream.aclose()


def chat_messages(
    messages: Sequence[ModelMessage], parameters: ModelRequestParameters
) -> Iterator[ChatMessage]:
    """Yield the messages of a chat: the instructions for this request, and the history."""
    for instruction in parameters.instruction_parts or ():
        yield ChatMessage("system", instruction.content)
    for message in messages:
        for part in message.parts:
            match part:
                case SystemPromptPart():
                    yield ChatMessage("system", part.content)
                case UserPromptPart():
                    yield ChatMessage("user", content(part.content))
                case RetryFeedbackPart():
                    yield ChatMessage("user", part.model_response())
                case TextPart():
                    yield ChatMessage("assistant", part.content)
                case ThinkingPart():
                    pass  # a chat does not take reasoning back
                case _:
                    raise UserError(f"Moondream's chats have no place for a {part.part_kind}")


def content(given: str | Sequence[UserContent]) -> str | list[str | EncodedImage]:
    if isinstance(given, str):
        return given
    parts: list[str | EncodedImage] = []
    for item in given:
        if isinstance(item, str):
            parts.append(item)
        elif isinstance(item, BinaryContent) and item.is_image:
            parts.append(encode_image(item.data))
        else:
            raise UserError(
                f"Moondream takes texts and pictures (BinaryContent), not {type(item).__name__}; "
                "it fetches no addresses"
            )
    return parts


def usage(metadata: Metadata) -> RequestUsage:
    tokens = metadata.tokens
    return RequestUsage(input_tokens=tokens.input or 0, output_tokens=tokens.output or 0)


def finish_reason(metadata: Metadata) -> FinishReason | None:
    return "length" if metadata.finish_reason == "length" else "stop"


@contextmanager
def translated_errors() -> Iterator[None]:
    """Turn our errors into pydantic-ai's, so that its fallbacks and retries understand them."""
    try:
        yield
    except APIError as error:
        if error.status_code >= 400:
            raise ModelHTTPError(error.status_code, NAME, error.body or error.message) from error
        raise ModelAPIError(NAME, str(error)) from error
    except MoondreamError as error:
        raise ModelAPIError(NAME, str(error)) from error
