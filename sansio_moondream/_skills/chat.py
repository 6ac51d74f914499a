"""The answer of a chat while it arrives, in the form of OpenAI's chat completions.

1. A message is a chunk. `choices[0].delta` has the next chunk of the text in "content", and of the
   reasoning in "reasoning" (so Moondream, vLLM, OpenRouter) or "reasoning_content" (so DeepSeek,
   llama.cpp). A whole answer has both in `choices[0].message`.
2. A stream is whole when two things have come: the model's `finish_reason`, and then the server's
   `[DONE]` or, as not every server sends one, the proper end of the body with nothing begun in it.
   So `[DONE]` without a finish reason is an incomplete stream (gateways send it when what they
   stand in front of has died), and so is a connection that breaks between the two.
3. Only the first choice is read; `ChatRequest` never asks for more. A message of other choices is
   Unknown, and so is one whose delta has no text but something else in it: tool calls, a refusal, a
   reasoning in another form.
4. `usage` may come with any message; it mostly comes alone, behind the finish reason. The last
   message with either is the one whose unknown fields are kept.

Sources: OpenAI's API reference, "Chat Completions" and its streaming events; Moondream's "OpenAI
Compatibility" and the types of its Python client; vllm-project/vllm#27752 (the two names of
reasoning), #40986 and vercel/ai#19165 (`[DONE]` after a failure), ikawrakow/ik_llama.cpp#467 (no
`[DONE]`), openai/openai-python#1677 (choices without a delta)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, Literal, cast

import msgspec
from msgspec import Meta, Struct

from sansio_moondream._events import Completed, Event, ReasoningDelta, TextDelta, Unknown
from sansio_moondream._headers import Headers
from sansio_moondream._limits import Limits
from sansio_moondream._results import ChatResult, Grounding, Metadata, Reasoning, Usage
from sansio_moondream._wire.json import mend

from .builders import Builder, Deltas
from .fields import Contradiction, Fields, kind_of, numbers, read_reasoning, string


# The fast lane of ordinary text messages: measured, it takes a tenth of the time of the general
# way.
class _Delta(Struct, forbid_unknown_fields=True, gc=False):
    content: Annotated[str, Meta(min_length=1)]
    role: str | None = None
    refusal: None = None
    tool_calls: None = None
    function_call: None = None
    reasoning: None = None
    reasoning_content: None = None


class _Choice(Struct, forbid_unknown_fields=True, gc=False):
    delta: _Delta
    index: Literal[0] = 0
    logprobs: None = None
    finish_reason: None = None


class _Chunk(Struct, forbid_unknown_fields=True, gc=False):
    """An ordinary text message, as most servers write it.

    Every field has a type, so that nothing in it is passed over unread.
    """

    choices: tuple[_Choice]
    id: str | None = None
    object: str | None = None
    created: float | None = None
    model: str | None = None
    service_tier: str | None = None
    system_fingerprint: str | None = None
    obfuscation: str | None = None
    usage: None = None


_decode = msgspec.json.Decoder(_Chunk).decode
_DEPTH = 4  # of an ordinary message


class ChatBuilder(Builder[ChatResult]):
    """What has come of a chat's answer."""

    DONE = b"[DONE]"
    _DELTA = TextDelta
    _SPEAKS = frozenset({"choices", "usage"})
    _READS = frozenset({"id", "object", "choices", "usage"})

    def __init__(self, headers: Headers, limits: Limits) -> None:
        super().__init__(headers, limits)
        self._thoughts = Deltas(limits.max_text_bytes, None)
        self._grounding: tuple[Grounding, ...] = ()
        self._last: Fields = {}
        self._beside: Fields = {}  # of a whole answer's message, what is not read here
        self._has_lane = limits.max_json_depth >= _DEPTH

    def decoders(self) -> tuple[Callable[[bytes], Any], Callable[[bytes], Any]]:
        decode = (
            self._decode_chunk if self._has_lane else self._thoughts.decode
        )  # which refuses all
        return decode, decode

    def _decode_chunk(self, payload: bytes) -> TextDelta:
        chunk = _decode(payload)
        if chunk.id and chunk.id != self.request_id:
            raise ValueError(payload)
        return TextDelta(chunk.choices[0].delta.content)

    def message(self, fields: Fields) -> list[Event]:
        events = self._streamed(fields, False)
        self._note(fields)
        return events or ([Unknown(mend(fields))] if self._is_unknown(fields) else [])

    def ended(self) -> list[Event]:
        if self._metadata.finish_reason is None:
            return []
        return [*self._add("", "", last=True), self._complete(self._last)]

    def _streamed(self, fields: Fields, completed: bool) -> list[Event]:
        choice = _choice(fields)
        part = _object(choice, "message" if completed else "delta")
        if completed and not part:
            raise Contradiction('the answer should have its message in "choices"')
        if choice.get("finish_reason") == "error":
            raise Contradiction('the "finish_reason" is "error"')
        text = string(part, "content") or ""
        # Some servers write both names, and leave one of them empty.
        readings = (read_reasoning(part.get(name)) for name in ("reasoning", "reasoning_content"))
        thought = next(
            (reading for reading in readings if reading and (reading.text or reading.grounding)),
            Reasoning(""),
        )
        details = _read_details(part.get("reasoning_details")) or Reasoning("")
        events = self._add(thought.text, text, last=completed)
        self._grounding += thought.grounding + details.grounding
        if completed:
            self._beside = _beside(part)
        return events

    def _add(self, thought: str, text: str, last: bool) -> list[Event]:
        events: list[Event] = []
        if thought := self._thoughts.add(thought, last):
            events.append(ReasoningDelta(thought))
        if text := self.deltas.add(text, last):
            events.append(TextDelta(text))
        return events

    def _is_unknown(self, fields: Fields) -> bool:
        if not fields.get("choices"):
            return super()._is_unknown(fields)
        choice = _choice(fields)
        return not choice or bool(_beside(_object(choice, "delta")))

    def _note(self, fields: Fields) -> None:
        noted: dict[str, Any] = {}
        if isinstance(id_ := fields.get("id"), str) and id_ and id_ != self.request_id:
            noted["request_id"] = id_
        if isinstance(reason := _choice(fields).get("finish_reason"), str) and reason:
            noted["finish_reason"] = mend(reason)
        if (usage := numbers(Usage, fields.get("usage"))) is not None:
            noted["usage"] = usage
        if noted:
            self._metadata = msgspec.structs.replace(self._metadata, **noted)
        if "finish_reason" in noted or "usage" in noted:
            self._last = fields

    def _complete(self, fields: Fields) -> Completed:
        return super()._complete({**self._beside, **fields})

    def _result(self, metadata: Metadata) -> ChatResult:
        thoughts = self._thoughts.text()
        reasoning = Reasoning(thoughts, self._grounding) if thoughts or self._grounding else None
        return ChatResult(self.deltas.text(), reasoning, metadata)


def _choice(fields: Fields) -> Fields:
    """The choice that was asked for; empty where the message has none."""
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
    value = fields.get(name)
    if value is None:
        return {}
    if isinstance(value, dict):
        return cast(Fields, value)
    raise Contradiction(f'"{name}" should be an object, not {kind_of(value)}')


def _read_details(value: Any) -> Reasoning | None:
    """The grounding of a reasoning whose text is elsewhere."""
    return read_reasoning({**cast(Fields, value), "text": ""}) if isinstance(value, dict) else None


_READERS = {
    "reasoning": read_reasoning,
    "reasoning_content": read_reasoning,
    "reasoning_details": _read_details,
}


def _beside(part: Fields) -> Fields:
    """What a delta or a message says beside what is read here: a reasoning in a form that this
    version cannot read, too.
    """
    rest = {
        name: value for name, value in part.items() if value and name not in ("role", "content")
    }
    return {
        name: value
        for name, value in rest.items()
        if name not in _READERS or _READERS[name](value) is None
    }
