"""The UI message stream of the AI SDK, for `useChat` and its kin.

The format is that of the npm package `ai` 7.0.173: the page "Stream Protocols" in its `docs`, and
`src/ui-message-stream/ui-message-chunks.ts`. All that is sent here, versions 5 and 6 read as well.

1. The answer is one message. Text and reasoning become its parts of these types.
2. What `useChat` keeps of a part of data is the last one with its id. So the reader of a message
   finds one box and one path in it, as they are at that moment, and has nothing to join.
3. Each `data-path` has the whole path so far, and is sent when the path has grown by an eighth. So
   all of them together have at most about ten times the characters of the path.
4. What a server sends that nobody knows is left out, as the SDK refuses some names of fields.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final, assert_never

from msgspec import structs

from sansio_moondream._errors import MoondreamError
from sansio_moondream._events import Completed, Event, PathChunk, ReasoningDelta, TextDelta, Unknown
from sansio_moondream._geometry import BBox
from sansio_moondream._results import Result, SegmentResult
from sansio_moondream._server.public import to_public
from sansio_moondream._value import Value

from ._encoder import SSE_HEADERS, StreamEncoder
from ._records import DONE, record, to_json
from ._texts import TextKind, texts

_START: Final = record({"type": "start"})
_FINISH_REASONS: Final = {
    "stop": "stop",
    "length": "length",
    "content_filter": "content-filter",
    "tool_calls": "tool-calls",
}


class UIMessageEncoder(StreamEncoder):
    """Encode an answer as a UI message stream.

    - Text and reasoning: `text-…` and `reasoning-…`. If no delta of them came, they are sent whole.
    - A segmentation: `data-bbox` (id "bbox") with the box, and `data-path` (id "path") with `path`,
      the path so far or at the end the refined one, and `partial`.
    - The end: `data-result` (id "result") with the whole result; `finish` with the finish reason,
      and `request_id`, `tokens` and `timing` as metadata of the message; `[DONE]`.
    - An error: `data-error`, transient, with the error and its partial result; `error` with the
      message, which `useChat` reports; `[DONE]`.

    Boxes, results and errors are the public `to_dict()`. Left out are: token indices, unknown
    fields and unknown messages.
    """

    headers = (*SSE_HEADERS, ("x-vercel-ai-ui-message-stream", "v1"))

    def __init__(self) -> None:
        self._start = _START
        self._part: TextKind | None = None  # that is open
        self._number = 0
        self._had: set[TextKind] = set()
        self._delta: str  # what begins a delta of it
        self._box: BBox | None = None
        self._path: list[str] = []
        self._path_length = self._sent_length = 0

    def encode(self, event: Event) -> bytes:
        """Return the parts of the next event."""
        match event:
            case TextDelta():
                return self._encode_delta("text", event.text)
            case ReasoningDelta():
                return self._encode_delta("reasoning", event.text)
            case PathChunk():
                return self._encode_path_chunk(event.data)
            case BBox():
                return self._with_start(self._encode_box(event))
            case Unknown():
                return b""
            case Completed():
                return self._with_start(self._encode_end(event.result))
            case _:
                assert_never(event)

    def encode_error(self, error: MoondreamError) -> bytes:
        """Return the parts of the error, and the end of the stream."""
        path = b""
        if self._path_length > self._sent_length:
            path = self._encode_path("".join(self._path), partial=True)
        return self._with_start(self._encode_part_end() + path + _failure(error))

    def encode_interruption(self, error: MoondreamError) -> bytes:
        """Return the error alone.

        The end of a part is left out: the SDK refuses one whose start the reader did not have.
        """
        return _failure(error)

    def _with_start(self, records: bytes) -> bytes:
        start, self._start = self._start, b""
        return start + records

    def _encode_delta(self, part: TextKind, text: str) -> bytes:
        if text:
            self._had.add(part)
        start = b""
        if self._part != part:
            start = self._with_start(self._encode_part_end())
            self._part = part
            self._number += 1
            start += record({"type": f"{part}-start", "id": str(self._number)})
            self._delta = f'data: {{"type":"{part}-delta","id":"{self._number}","delta":'
        return start + f"{self._delta}{to_json(text)}}}\n\n".encode()

    def _encode_part_end(self) -> bytes:
        part, self._part = self._part, None
        if part is None:
            return b""
        return record({"type": f"{part}-end", "id": str(self._number)})

    def _encode_box(self, box: BBox) -> bytes:
        self._box = box
        return _data("bbox", box, {"id": "bbox"})

    def _encode_path_chunk(self, data: str) -> bytes:
        self._path.append(data)
        self._path_length += len(data)
        if 8 * self._path_length < 9 * self._sent_length:
            return b""
        return self._with_start(self._encode_path("".join(self._path), partial=True))

    def _encode_path(self, path: str, *, partial: bool) -> bytes:
        self._sent_length = len(path)
        data = {"path": path, "partial": partial}
        return record({"type": "data-path", "id": "path", "data": data})

    def _encode_end(self, result: Result) -> bytes:
        about = result.metadata
        known = to_public(_without_extra(result))
        form = known.metadata.to_dict()
        finish: dict[str, Any] = {"type": "finish"}
        if about.finish_reason is not None:
            finish["finishReason"] = _FINISH_REASONS.get(about.finish_reason, "other")
        finish["messageMetadata"] = {
            name: form[name] for name in ("request_id", "tokens", "timing")
        }
        parts = (
            *(
                self._encode_delta(kind, text)
                for kind, text in texts(result).items()
                if kind not in self._had
            ),
            self._encode_part_end(),
            *self._encode_segment_end(result),
        )
        return b"".join((*parts, _data("result", known, {"id": "result"}), record(finish), DONE))

    def _encode_segment_end(self, result: Result) -> Iterator[bytes]:
        if not isinstance(result, SegmentResult):
            return
        if result.bbox is not None and result.bbox != self._box:
            yield self._encode_box(result.bbox)
        if result.path or self._sent_length:
            yield self._encode_path(result.path, partial=result.partial)


def _failure(error: MoondreamError) -> bytes:
    public = to_public(error)
    if public.partial is not None:
        public.partial = _without_extra(public.partial)
    data = _data("error", public, {"transient": True})
    return data + record({"type": "error", "errorText": public.message}) + DONE


def _without_extra(result: Result) -> Result:
    return structs.replace(result, metadata=structs.replace(result.metadata, extra={}))


def _data(name: str, value: Value, options: dict[str, Any]) -> bytes:
    return record({"type": f"data-{name}", **options, "data": value.to_dict()})
