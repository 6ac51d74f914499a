"""Typed decoders of ordinary messages, which the fast path asks first.

Each is strict: it raises ValueError for any field, type or value that it does not fully understand.
The events' hidden fields `_completed` and `_text` are explained in `_events.py`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, Literal, TypeAlias

import msgspec
from msgspec import Meta, Struct

from sansio_moondream._events import PathChunk, TextDelta
from sansio_moondream._limits import Limits
from sansio_moondream._skills.builder import Builder
from sansio_moondream._skills.chat import ChatBuilder
from sansio_moondream._skills.segment import SegmentBuilder
from sansio_moondream._skills.text import TextBuilder

BYTES_OF_A_VALUE = 6
"""An ordinary message has at least so many bytes for each of its values, as its names are longer.

So a message of less bytes than `Limits.max_json_values` would take needs no count.
"""

Decode: TypeAlias = Callable[[bytes], Any]
"""Returns the `TextDelta` or `PathChunk` of an ordinary message, or raises ValueError."""
Decoders: TypeAlias = tuple[Decode, Decode]
"""The two dialects of a skill. A skill with one dialect has it twice."""

_NonEmpty: TypeAlias = Annotated[str, Meta(min_length=1)]
_CHAT_DEPTH = 4  # how deep the arrays and objects of a `_ChatChunk` nest


def decoders_for(builder: Builder[Any], limits: Limits) -> Decoders | None:
    """Return the decoders of a skill's ordinary messages, or None if it has none."""
    match builder:
        case TextBuilder():
            return _decode_text, _documented_decoder(builder)
        case SegmentBuilder():
            return _decode_path_chunk, _decode_path_chunk
        case ChatBuilder() if limits.max_json_depth >= _CHAT_DEPTH:
            decode = _chat_decoder(builder)
            return decode, decode
        case _:
            return None


class _Documented(Struct, forbid_unknown_fields=True, gc=False):
    """A text message as the cloud's documentation shows it: it repeats the request's id."""

    chunk: _NonEmpty
    request_id: str
    completed: bool = False
    token_index: int | None = None


class _Delta(Struct, forbid_unknown_fields=True, gc=False):
    content: _NonEmpty
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


class _ChatChunk(Struct, forbid_unknown_fields=True, gc=False):
    """A text message of a chat, as most servers write it. Every field has a type."""

    choices: tuple[_Choice]
    id: str | None = None
    object: str | None = None
    created: float | None = None
    model: str | None = None
    service_tier: str | None = None
    system_fingerprint: str | None = None
    obfuscation: str | None = None
    usage: None = None


_decode_text = msgspec.json.Decoder(TextDelta).decode
_decode_path_chunk = msgspec.json.Decoder(PathChunk).decode
_decode_documented = msgspec.json.Decoder(_Documented).decode
_decode_chat_chunk = msgspec.json.Decoder(_ChatChunk).decode


def _documented_decoder(builder: Builder[Any]) -> Decode:
    def decode(payload: bytes) -> TextDelta:
        message = _decode_documented(payload)
        if message.completed or message.request_id != builder.request_id:
            raise ValueError(payload)
        return TextDelta(message.chunk, message.token_index)

    return decode


def _chat_decoder(builder: Builder[Any]) -> Decode:
    def decode(payload: bytes) -> TextDelta:
        chunk = _decode_chat_chunk(payload)
        if chunk.id and chunk.id != builder.request_id:
            raise ValueError(payload)
        (choice,) = chunk.choices
        return TextDelta(choice.delta.content)

    return decode
