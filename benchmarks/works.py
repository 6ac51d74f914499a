"""What the candidates decode: event streams in the service's format, and the ways they are cut into
chunks.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

# About three tokens each, as the cloud's engine sends them.
_PHRASES = (
    " moon over",
    " the quiet lake",
    ", and a",
    " small boat",
    " drifts near",
    " the far",
    " wooden pier.",
)


@dataclass(frozen=True)
class Work:
    """One event stream, and what must come out of it."""

    skill: str  # "query", "segment" or "chat"
    payloads: list[bytes] = field(repr=False)
    text: str = field(repr=False)  # all chunks joined
    whole_field: str  # the field of the last message that carries the whole result
    whole: str | None = field(repr=False)  # None: it carries none
    # that this library makes of it: a last message with text gives two, its text and Completed
    events: int
    line_end: bytes = b"\n"

    @property
    def records(self) -> list[bytes]:
        return [b"data: " + payload + 2 * self.line_end for payload in self.payloads]


def query(events: int) -> Work:
    """`events` ordinary events of the engine dialect, and a last one with the rest of the text and
    the whole of it.
    """
    chunks = [_PHRASES[i % len(_PHRASES)] for i in range(events)]
    text = "".join(chunks) + " The end."
    messages: list[dict[str, Any]] = [
        {"chunk": chunk, "completed": False, "token_index": 3 * i} for i, chunk in enumerate(chunks)
    ]
    messages.append({"chunk": " The end.", "completed": True, **_last(events), "answer": text})
    return Work("query", _encoded(messages), text, "answer", text, len(messages) + 1)


def documented(events: int) -> Work:
    """The same text in the dialect that the cloud's documentation shows: each event repeats the
    request's id.
    """
    work = query(events)
    messages = [
        {**json.loads(payload), "request_id": "2026-11-22_query_5f1c"} for payload in work.payloads
    ]
    for message in messages:
        message.pop("token_index", None)
    return replace(work, payloads=_encoded(messages))


def with_unknown_field(events: int) -> Work:
    """The same text in messages that all have one field that this library does not know."""
    work = query(events)
    payloads = [payload[:-1] + b', "mood": "calm"}' for payload in work.payloads]
    return replace(work, payloads=payloads)


def with_crlf(events: int) -> Work:
    """The same text in lines that end in CR LF."""
    return replace(query(events), line_end=b"\r\n")


def chat(events: int) -> Work:
    """The same text as a chat: OpenAI's chunks."""
    chunks = [_PHRASES[i % len(_PHRASES)] for i in range(events)]
    about = {"id": "c1", "object": "chat.completion.chunk", "created": 1_790_000_000, "model": "m"}

    def message(delta: dict[str, str], finish_reason: str | None = None) -> dict[str, Any]:
        return about | {
            "choices": [{"index": 0, "delta": delta, "finish_reason": finish_reason}],
        }

    messages = [message({"content": chunk}) for chunk in chunks]
    payloads = [*_encoded([*messages, message({}, "stop")]), b"[DONE]"]
    return Work("chat", payloads, "".join(chunks), "", None, events + 1)


def segment(events: int, path_bytes: int) -> Work:
    """A coarse box, `events` chunks of a coarse path, and a last event with a refined path of about
    `path_bytes`.
    """
    chunks = [f"{' L' if i else 'M'} 0.{i % 1000:03} 0.{i * 7 % 1000:03}" for i in range(events)]
    step = "C.886,.392,.888,.398,.889,.404"
    path = "M0 .76" + step * (path_bytes // len(step)) + "z"
    box = {"x_min": 0.1, "y_min": 0.05, "x_max": 0.9, "y_max": 0.95}
    messages: list[dict[str, Any]] = [{"type": "bbox", "bbox": box}]
    messages += [
        {"type": "path_delta", "chunk": chunk, "completed": False, "token_index": 7 * i}
        for i, chunk in enumerate(chunks)
    ]
    messages.append(
        {
            "type": "final",
            "chunk": "",
            "completed": True,
            **_last(events),
            "path": path,
            "bbox": box,
        }
    )
    return Work("segment", _encoded(messages), "".join(chunks), "path", path, len(messages))


def one_long_record(size: int) -> Work:
    """A query whose text is one event of `size` bytes."""
    text = "x" * size
    messages: list[dict[str, Any]] = [{"chunk": text}, {"chunk": "", "completed": True}]
    return Work("query", _encoded(messages), text, "answer", None, len(messages))


def _last(events: int) -> dict[str, Any]:
    metrics = {
        "input_tokens": 742,
        "output_tokens": 3 * events,
        "prefill_time_ms": 31.5,
        "decode_time_ms": 900.25,
        "ttft_ms": 40.0,
    }
    return {"request_id": "42", "finish_reason": "stop", "metrics": metrics}


def _encoded(messages: list[dict[str, Any]]) -> list[bytes]:
    return [json.dumps(message).encode() for message in messages]


def in_chunks_of(size: int) -> Callable[[Work], list[bytes]]:
    def cut(work: Work) -> list[bytes]:
        body = b"".join(work.records)
        return [body[i : i + size] for i in range(0, len(body), size)]

    return cut


FRAGMENTATIONS: dict[str, Callable[[Work], list[bytes]]] = {
    "whole": lambda work: [b"".join(work.records)],
    "1460": in_chunks_of(1460),  # the payload of one TCP segment on Ethernet
    "event": lambda work: work.records,
    "byte": in_chunks_of(1),
}
