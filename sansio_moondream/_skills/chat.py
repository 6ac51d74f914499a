"""Builder of a chat's answer, which has the form of OpenAI's chat completions.

1. Each message of a stream is a "chat completion chunk". `choices[0].delta` has the next text in
   "content" and the next reasoning in "reasoning" (Moondream, vLLM, OpenRouter) or in
   "reasoning_content" (DeepSeek, llama.cpp). A whole answer has both in `choices[0].message`.
   Where the delta says nothing, the choice's "text" (the older completions) is read as its content.
   So is its "message", if nothing came before: later it may repeat what came. Of a whole answer
   the message is read, or else the choice's "text"; a delta is not.
2. A stream is complete when the model's `finish_reason` has come, and then the server's `[DONE]`.
   Not every server sends `[DONE]`, so the proper end of the body serves as well, if no record is
   unfinished. Gateways send `[DONE]` also when the server behind them has died: `[DONE]` without a
   finish reason is an incomplete stream.
3. Only the first choice is read, as `ChatRequest` never asks for more. A message that gives no
   event, but has something that is not read here, is `Unknown`. So is a message that has a part of
   an answer beside its text: tool calls, a refusal, another choice, or another text.
4. `usage` may come with any message, and usually comes alone, after the finish reason. The unknown
   fields of the last message with either become `Metadata.extra`.

Sources: OpenAI's API reference, "Chat Completions" and its streaming events; Moondream's "OpenAI
Compatibility" and the types of its Python client; vllm-project/vllm#27752 (the two names of
reasoning), #40986 and vercel/ai#19165 (`[DONE]` after a failure), ikawrakow/ik_llama.cpp#467 (no
`[DONE]`), openai/openai-python#1677 (choices without a delta).
"""

from __future__ import annotations

from contextlib import suppress
from typing import Any, cast

import msgspec

from sansio_moondream._errors import LimitExceeded
from sansio_moondream._events import Completed, Event, ReasoningDelta, TextDelta, Unknown
from sansio_moondream._headers import Headers
from sansio_moondream._limits import Limits
from sansio_moondream._metadata import Metadata, Usage
from sansio_moondream._results import ChatResult, Grounding, Reasoning
from sansio_moondream._unicode import well_formed

from .builder import Builder, Deltas
from .fields import Contradiction, Fields, NoAnswer, kind_of, numbers, read_reasoning, string

# Metadata of a message and of a choice. In a message that gives no event, any other field that is
# not read here makes it `Unknown`.
_METADATA = {
    *("id", "object", "created", "model", "service_tier", "system_fingerprint", "provider"),
    *("obfuscation", "prompt_filter_results"),
}
_CHOICE = {
    *("index", "finish_reason", "native_finish_reason", "stop_reason", "matched_stop"),
    *("logprobs", "token_ids", "content_filter_results"),
}
_METADATA_FIELDS = frozenset({"id", "choices", "usage"})
# Parts of an answer that may come beside its text.
_OTHER_PARTS = ("tool_calls", "function_call", "refusal")


class ChatBuilder(Builder[ChatResult]):
    DONE = b"[DONE]"
    _MEANINGFUL = frozenset({"choices", "usage"})
    _READ = _MEANINGFUL | _METADATA
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
        return events

    def end_of_stream(self) -> list[Event]:
        if self._metadata.finish_reason is None:
            return []
        return [*self._add("", "", last=True), self._complete(self._last)]

    def _add_message(self, fields: Fields, completed: bool) -> list[Event]:
        choice, others = _choices(fields)
        if not choice and not completed:
            unread = fields.get("choices") or (
                fields.get("usage") is None and self._is_unknown(fields)
            )
            return [Unknown(well_formed(fields))] if unread else []
        part = _whole_part(choice) if completed else self._next_part(choice)
        if choice.get("finish_reason") == "error":
            raise Contradiction('the "finish_reason" is "error"')
        text = _content(part)
        reasoning = _reasoning_of(part)
        details = _read_details(part.get("reasoning_details")) or Reasoning("")
        grounding = reasoning.grounding + details.grounding
        self._count_places(grounding)
        events = self._add(reasoning.text, text, last=completed)
        self._grounding += grounding
        more = _has_other_text(choice, part, text) or any(map(_has_part, others))
        if completed:
            more = more or _says(choice.get("delta"))
            self._extra = _unread(part)
        elif events:
            more = more or any(map(part.get, _OTHER_PARTS))
        else:
            rest = {name: choice[name] for name in choice.keys() - {"delta", "text"}}
            more = more or bool(_unread(part)) or _has_part(rest)
        return [*events, Unknown(well_formed(fields))] if more else events

    def _next_part(self, choice: Fields) -> Fields:
        """Return the object that has the next text of a stream."""
        delta = _object(choice, "delta")
        if _says(delta):
            return delta
        if (text := choice.get("text")) and isinstance(text, str):
            return {"content": text}
        message = choice.get("message")
        if not isinstance(message, dict):
            return {}
        repeated = {"content"} if self.deltas.has_text() else set[str]()
        if self._reasoning_deltas.has_text():
            repeated |= _READERS.keys()
        fields = cast(Fields, message)
        return {name: value for name, value in fields.items() if name not in repeated}

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

    def _add_metadata(self, fields: Fields) -> None:
        if _METADATA_FIELDS.isdisjoint(fields):
            return
        changes: dict[str, Any] = {}
        if isinstance(id_ := fields.get("id"), str) and id_ and id_ != self.request_id:
            changes["request_id"] = id_
        if isinstance(reason := _choices(fields)[0].get("finish_reason"), str) and reason:
            changes["finish_reason"] = well_formed(reason)
        if (usage := numbers(Usage, fields.get("usage"), self._metadata.usage)) is not None:
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


def _choices(fields: Fields) -> tuple[Fields, list[Fields]]:
    """Return the choice with the index 0, or an empty object if there is none, and the others."""
    choices = fields.get("choices")
    if choices is None:
        return {}, []
    if not isinstance(choices, list):
        raise Contradiction(f'"choices" should be an array, not {kind_of(choices)}')
    first: Fields | None = None
    others: list[Fields] = []
    for choice in cast(list[Any], choices):
        if not isinstance(choice, dict):
            raise Contradiction(f'"choices" should hold objects, not {kind_of(choice)}')
        if first is None and cast(Fields, choice).get("index") in (None, 0):
            first = cast(Fields, choice)
        else:
            others.append(cast(Fields, choice))
    return first or {}, others


def _whole_part(choice: Fields) -> Fields:
    """Return the object that has the text of a whole answer."""
    if part := _object(choice, "message"):
        return part
    if isinstance(text := choice.get("text"), str):
        return {"content": text}
    raise NoAnswer('the answer should have its message in "choices"')


def _says(part: Any) -> bool:
    """Whether a delta or message says something."""
    if not isinstance(part, dict):
        return bool(part)
    return any(value for name, value in cast(Fields, part).items() if name != "role")


def _has_part(choice: Fields) -> bool:
    """Whether a choice has a part of an answer, or something else that is no metadata."""
    return any(_says(value) for name, value in choice.items() if name not in _CHOICE)


def _has_other_text(choice: Fields, part: Fields, text: str) -> bool:
    """Whether a choice has a text that is not the one read.

    A message beside a delta may repeat the text so far, which ends with this delta.
    """
    if choice.get("text") not in (None, "", text):
        return True
    message = choice.get("message")
    content = cast(Fields, message).get("content") if isinstance(message, dict) else None
    if not content or content is part.get("content"):
        return False
    return not (isinstance(content, str) and content.endswith(text))


def _content(part: Fields) -> str:
    """Return the text of a delta or message. Some servers send it as a list of texts."""
    content = part.get("content")
    if isinstance(content, list):
        with suppress(ValueError):
            return "".join(part.text for part in msgspec.convert(content, list[_TextPart]))
    return string(part, "content") or ""


class _TextPart(msgspec.Struct, tag_field="type", tag="text"):
    text: str


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
