"""Builder of a chat's answer, which has the form of OpenAI's chat completions.

1. Each message of a stream is a "chat completion chunk". `choices[0].delta` has the next text in
   "content" and the next reasoning in "reasoning" (Moondream, vLLM, OpenRouter) or in
   "reasoning_content" (DeepSeek, llama.cpp). A whole answer has both in `choices[0].message`.
2. A stream is complete when the model's `finish_reason` has come, and then the server's `[DONE]`.
   Not every server sends `[DONE]`, so the proper end of the body serves as well, if no record is
   unfinished. Gateways send `[DONE]` also when the server behind them has died: `[DONE]` without a
   finish reason is an incomplete stream.
3. Only the first choice is read, as `ChatRequest` never asks for more. A message without the first
   choice is `Unknown`. So is a delta that has no text but another field: tool calls, a refusal, or
   a reasoning in a form that this version cannot read.
4. `usage` may come with any message, and usually comes alone, after the finish reason. The unknown
   fields of the last message with either become `Metadata.extra`.

Sources: OpenAI's API reference, "Chat Completions" and its streaming events; Moondream's "OpenAI
Compatibility" and the types of its Python client; vllm-project/vllm#27752 (the two names of
reasoning), #40986 and vercel/ai#19165 (`[DONE]` after a failure), ikawrakow/ik_llama.cpp#467 (no
`[DONE]`), openai/openai-python#1677 (choices without a delta).
"""

from __future__ import annotations

from typing import Any, cast

import msgspec

from sansio_moondream._errors import LimitExceeded
from sansio_moondream._events import Completed, Event, ReasoningDelta, TextDelta
from sansio_moondream._headers import Headers
from sansio_moondream._limits import Limits
from sansio_moondream._results import ChatResult, Grounding, Metadata, Reasoning, Usage
from sansio_moondream._unicode import well_formed

from .builder import Builder, Deltas
from .fields import Contradiction, Fields, kind_of, numbers, read_reasoning, string


class ChatBuilder(Builder[ChatResult]):
    DONE = b"[DONE]"
    _MEANINGFUL = frozenset({"choices", "usage"})
    _NOT_EXTRA = frozenset({"id", "object", "choices", "usage"})

    def __init__(self, headers: Headers, limits: Limits) -> None:
        super().__init__(headers, limits)
        self._reasoning_deltas = Deltas(limits.max_text_bytes)
        self._grounding: list[Grounding] = []
        self._places = 0  # groundings and their points
        self._max_places = limits.max_json_values
        self._last: Fields = {}
        """The last message with a finish reason or usage."""
        self._extra: Fields = {}
        """Fields of a whole answer's message that are not read here."""

    def add_message(self, fields: Fields) -> list[Event]:
        events = self._add_message(fields, False)
        self._add_metadata(fields)
        return events or self._unknown(fields)

    def end_of_stream(self) -> list[Event]:
        if self._metadata.finish_reason is None:
            return []
        return [*self._add("", "", last=True), self._complete(self._last)]

    def _add_message(self, fields: Fields, completed: bool) -> list[Event]:
        choice = _first_choice(fields)
        part = _object(choice, "message" if completed else "delta")
        if completed and not part:
            raise Contradiction('the answer should have its message in "choices"')
        if choice.get("finish_reason") == "error":
            raise Contradiction('the "finish_reason" is "error"')
        text = string(part, "content") or ""
        reasoning = _reasoning_of(part)
        details = _read_details(part.get("reasoning_details")) or Reasoning("")
        grounding = reasoning.grounding + details.grounding
        self._count_places(grounding)
        events = self._add(reasoning.text, text, last=completed)
        self._grounding += grounding
        if completed:
            self._extra = _unread(part)
        return events

    def _add(self, reasoning: str, text: str, *, last: bool) -> list[Event]:
        events: list[Event] = []
        if reasoning := self._reasoning_deltas.add(reasoning, last=last):
            events.append(ReasoningDelta(reasoning))
        if text := self.deltas.add(text, last=last):
            events.append(TextDelta(text))
        return events

    def _count_places(self, grounding: tuple[Grounding, ...]) -> None:
        self._places += sum(1 + len(part.points) for part in grounding)
        if self._places > self._max_places:
            raise LimitExceeded(
                "the server sent more groundings, their points included, than "
                f"Limits.max_json_values ({self._max_places:,})"
            )

    def _is_unknown(self, fields: Fields) -> bool:
        if not fields.get("choices"):
            return super()._is_unknown(fields)
        choice = _first_choice(fields)
        return not choice or bool(_unread(_object(choice, "delta")))

    def _add_metadata(self, fields: Fields) -> None:
        changes: dict[str, Any] = {}
        if isinstance(id_ := fields.get("id"), str) and id_ and id_ != self.request_id:
            changes["request_id"] = id_
        if isinstance(reason := _first_choice(fields).get("finish_reason"), str) and reason:
            changes["finish_reason"] = well_formed(reason)
        if (usage := numbers(Usage, fields.get("usage"))) is not None:
            changes["usage"] = usage
        if changes:
            self._metadata = msgspec.structs.replace(self._metadata, **changes)
        if "finish_reason" in changes or "usage" in changes:
            self._last = fields

    def _complete(self, fields: Fields) -> Completed:
        return super()._complete({**self._extra, **fields})

    def _result(self, metadata: Metadata, *, partial: bool = False) -> ChatResult:
        text = self._reasoning_deltas.text()
        grounding = tuple(self._grounding)
        reasoning = Reasoning(text, grounding) if text or grounding else None
        return ChatResult(self.deltas.text(), reasoning, metadata, partial)


def _first_choice(fields: Fields) -> Fields:
    """Return the choice with the index 0, or an empty object if there is none."""
    choices = fields.get("choices")
    if choices is None:
        return {}
    if not isinstance(choices, list):
        raise Contradiction(f'"choices" should be an array, not {kind_of(choices)}')
    for choice in cast(list[Any], choices):
        if not isinstance(choice, dict):
            raise Contradiction(f'"choices" should hold objects, not {kind_of(choice)}')
        if cast(Fields, choice).get("index") in (None, 0):
            return cast(Fields, choice)
    return {}


def _object(fields: Fields, name: str) -> Fields:
    """Return the object in a field, or an empty one if the field is absent."""
    value = fields.get(name)
    if value is None:
        return {}
    if isinstance(value, dict):
        return cast(Fields, value)
    raise Contradiction(f'"{name}" should be an object, not {kind_of(value)}')


def _reasoning_of(part: Fields) -> Reasoning:
    """Return the reasoning of a delta or message; if there is none, an empty one."""
    # Some servers write both fields and leave one of them empty.
    for name in ("reasoning", "reasoning_content"):
        reasoning = read_reasoning(part.get(name))
        if reasoning and (reasoning.text or reasoning.grounding):
            return reasoning
    return Reasoning("")


def _read_details(value: Any) -> Reasoning | None:
    """Return the grounding of a reasoning whose text is in another field."""
    return read_reasoning({**cast(Fields, value), "text": ""}) if isinstance(value, dict) else None


_READERS = {
    "reasoning": read_reasoning,
    "reasoning_content": read_reasoning,
    "reasoning_details": _read_details,
}


def _unread(part: Fields) -> Fields:
    """Return the fields of a delta or message that are not read here.

    A reasoning in a form that this version cannot read is one of them.
    """
    return {
        name: value
        for name, value in part.items()
        if value
        and name not in ("role", "content")
        and (name not in _READERS or _READERS[name](value) is None)
    }
