"""OpenAI's chunks of chat completions, for the answers that are text.

The format is that of the package `openai` 3.54.0, and of OpenAI's reference: "The chat completion
chunk object". `openai` requires no field. Readers with strict types require `id`, `object`,
`created`, `model` and `choices`.
"""

from __future__ import annotations

from typing import Any, Final, assert_never

from sansio_moondream._errors import MoondreamError
from sansio_moondream._events import Completed, Event, PathChunk, ReasoningDelta, TextDelta, Unknown
from sansio_moondream._geometry import BBox
from sansio_moondream._metadata import Metadata
from sansio_moondream._results import CaptionResult, ChatResult, QueryResult
from sansio_moondream._server.errors import encode_stream_error
from sansio_moondream._wire.encode import encode_grounding

from ._encoder import StreamEncoder
from ._records import DONE, record, to_json
from ._texts import TextKind, texts

_NAMES: Final[dict[TextKind, str]] = {"reasoning": '"reasoning":', "text": '"content":'}
_ROLE: Final = '"role":"assistant",'
_DELTA_END: Final = '},"finish_reason":null}]}\n\n'


class OpenAIEncoder(StreamEncoder):
    """Encode a query, a caption or a chat as OpenAI's chunks.

    Text and reasoning become deltas. The last chunks have the finish reason (`"stop"`, if the
    server gave none), and the usage, if both its numbers are known. After them comes `[DONE]`. An
    error becomes `{"error": …}`, which `openai` raises as its `APIError`.

    A text or a reasoning of which no delta came is sent as one delta, before the end. Left out are:
    token indices, a text or reasoning that differs from its deltas, what is measured besides the
    usage, unknown fields, and unknown messages.

    Args:
        model: that the chunks name.
        id: of the completion. Without one, only the last chunks have an id, if the server gave one.
        created: Unix time of the completion, in seconds. Without it the chunks have no such field,
            which readers with strict types require.
    """

    def __init__(self, *, model: str = "", id: str = "", created: int | None = None) -> None:
        self._id = id
        self._fields = {"object": "chat.completion.chunk", "model": model} | (
            {} if created is None else {"created": created}
        )
        head = to_json({"id": id, **self._fields})
        self._delta = f'data: {head[:-1]},"choices":[{{"index":0,"delta":{{'
        self._role = _ROLE
        self._had: set[TextKind] = set()

    def encode(self, event: Event) -> bytes:
        """Return the chunks of the next event.

        Raises:
            ValueError: it is no part of a text, or has a number that is not finite.
        """
        match event:
            case TextDelta():
                return self._encode_delta("text", event.text)
            case ReasoningDelta():
                return self._encode_delta("reasoning", event.text)
            case Unknown():
                return b""
            case Completed(QueryResult() | CaptionResult() | ChatResult() as result):
                return self._encode_end(result)
            case Completed(result):
                raise ValueError(no_place(type(result).__name__))
            case BBox() | PathChunk():
                raise ValueError(no_place(type(event).__name__))
            case _:
                assert_never(event)

    def encode_error(self, error: MoondreamError) -> bytes:
        """Return the message of the error, which is the last one."""
        return encode_stream_error(error)

    def _encode_delta(self, kind: TextKind, text: str) -> bytes:
        if text:
            self._had.add(kind)
        role, self._role = self._role, ""
        return f"{self._delta}{role}{_NAMES[kind]}{to_json(text)}{_DELTA_END}".encode()

    def _encode_end(self, result: QueryResult | CaptionResult | ChatResult) -> bytes:
        missing = [
            self._encode_delta(kind, text)
            for kind, text in texts(result).items()
            if kind not in self._had
        ]
        about = result.metadata
        head = {"id": self._id or about.request_id or "", **self._fields}
        delta: dict[str, Any] = {"role": "assistant"} if self._role else {}
        reasoning = None if isinstance(result, CaptionResult) else result.reasoning
        if reasoning is not None and reasoning.grounding:
            delta["reasoning_details"] = {"grounding": encode_grounding(reasoning)}
        choice = {"index": 0, "delta": delta, "finish_reason": about.finish_reason or "stop"}
        usage = _usage(about)
        billed = [] if usage is None else [record({**head, "choices": [], "usage": usage})]
        return b"".join((*missing, record({**head, "choices": [choice]}), *billed, DONE))


def no_place(name: str) -> str:
    """Return the words for an answer that is no text.

    Args:
        name: of the request or the event.
    """
    return (
        f"OpenAI's chunks have no place for a {name}, only for text: use Format.EVENTS, "
        "Format.UI_MESSAGE or a dialect of the service"
    )


def _usage(about: Metadata) -> dict[str, int] | None:
    prompt, completion = about.tokens.input, about.tokens.output
    if prompt is None or completion is None:
        return None
    total = None if about.usage is None else about.usage.total_tokens
    return {
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "total_tokens": prompt + completion if total is None else total,
    }
