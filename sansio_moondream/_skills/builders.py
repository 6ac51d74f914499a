"""The answer of each skill while it arrives: one class a skill, holding what has come so far.
`_chat.py` has that of the chat.

1. `message()` takes one message of a stream and gives its events; `ended()` is told that a stream
   ended as it should; `whole()` takes a whole JSON answer. They set `result` when the answer is
   complete.
2. A message is checked before any of it counts: one that contradicts the protocol leaves the answer
   as it was.
3. What carries the answer must have the right type (`Contradiction` otherwise); what is only about
   it is let go when it has not. `null` is absence everywhere.
4. Ordinary text messages need not come through `message()`: `deltas.decode` decodes one straight
   into its event, or refuses it. Both ways must agree on every message that it accepts.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Annotated, Any, ClassVar, Generic, NoReturn

import msgspec

from sansio_moondream._errors import LimitExceeded
from sansio_moondream._events import Completed, Event, PathChunk, TextDelta, Unknown
from sansio_moondream._geometry import BBox, Point
from sansio_moondream._headers import Headers
from sansio_moondream._limits import Limits
from sansio_moondream._results import (
    CaptionResult,
    DetectResult,
    Metadata,
    Metrics,
    PointResult,
    QueryResult,
    R,
    Reasoning,
    SegmentResult,
    Stats,
)
from sansio_moondream._wire.json import mend

from .fields import (
    Contradiction,
    Fields,
    flag,
    list_of,
    numbers,
    optional_box,
    read_reasoning,
    string,
    token_index,
)


def _refuse(payload: bytes) -> NoReturn:
    raise ValueError(payload)


# Decoders of ordinary text messages, straight into their event. They raise ValueError for any other
# message.
_DECODE: dict[type[TextDelta | PathChunk] | None, Callable[[bytes], Any]] = {
    TextDelta: msgspec.json.Decoder(TextDelta).decode,
    PathChunk: msgspec.json.Decoder(PathChunk).decode,
    None: _refuse,
}


_PORTION = 256 * 1024


class _Documented(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    """An ordinary text message as the cloud's documentation shows it: it repeats the request's id."""

    chunk: Annotated[str, msgspec.Meta(min_length=1)]
    request_id: str
    completed: bool = False
    token_index: int | None = None


_decode_documented = msgspec.json.Decoder(_Documented).decode


class Deltas:
    """Text that comes in chunks: bounded, and never with half a character in what it gives out.

    Ordinary messages need not come through `add`: whoever has some whose text takes no more than
    `room` bytes may `decode` them, put their text at the end of `recent`, and take from `room` what
    it takes at most. `renew` makes room where there is some; while half a character is held, there
    is none. Room is given out in portions, so that what is recent takes little memory."""

    def __init__(self, max_bytes: int, kind: type[TextDelta | PathChunk] | None) -> None:
        self.decode = _DECODE[kind]
        self._max_bytes = max_bytes
        self._parts: list[str] = []
        self._size = 0  # of the parts, in bytes of UTF-8
        self._held = ""
        self.recent: list[str] = []
        self.room = 0
        self.renew()

    def add(self, text: str, last: bool = False) -> str:
        """Add any text and get back what of it may be handed out: halves joined, and a lone one
        U+FFFD.

        A half at the end is held for the next text, but not if this is the `last`: then nothing can
        join it any more."""
        text, self._held = self._held + text, ""
        if not text:
            return ""
        if not last and "\ud800" <= text[-1] <= "\udbff":
            text, self._held = text[:-1], text[-1]
        text = mend(text)
        self.renew()
        if self._size + len(text.encode()) > self._max_bytes:
            raise LimitExceeded(
                f"the server sent more text than Limits.max_text_bytes ({self._max_bytes:,} bytes)"
            )
        self.recent.append(text)
        self.renew()
        return text

    def text(self) -> str:
        """All that was handed out."""
        self.renew()
        self._parts[:] = ["".join(self._parts)]
        return self._parts[0]

    def renew(self) -> None:
        """Measure what is recent, and make what room is left."""
        if self.recent:
            text = "".join(self.recent)
            self.recent.clear()
            self._parts.append(text)
            self._size += len(text) if text.isascii() else len(text.encode())
        self.room = 0 if self._held else min(_PORTION, self._max_bytes - self._size)


class Builder(ABC, Generic[R]):
    """What all skills share: the notes beside the answer, and the end."""

    DONE: ClassVar[bytes | None] = (
        None  # the data of the record that ends a stream, where it is no JSON
    )
    _DELTA: ClassVar[type[TextDelta | PathChunk] | None] = (
        None  # the event of its ordinary text messages, where it has any
    )
    _SPEAKS: ClassVar[frozenset[str]]  # a message with none of these fields is Unknown
    _READS: ClassVar[frozenset[str]]  # other fields of the last message go to `metadata.extra`

    def __init__(self, headers: Headers, limits: Limits) -> None:
        self.deltas = Deltas(limits.max_text_bytes, self._DELTA)
        self.result: R | None = None
        self._metadata = Metadata(request_id=headers.get("x-request-id"), headers=headers)

    @property
    def request_id(self) -> str | None:
        return self._metadata.request_id

    def decoders(self) -> tuple[Callable[[bytes], Any], Callable[[bytes], Any]]:
        """What decodes ordinary messages, in the two dialects that the skill has, or in its only
        one.
        """
        return self.deltas.decode, self.deltas.decode

    def message(self, fields: Fields) -> list[Event]:
        """The events of one message of a stream. Raises Contradiction, LimitExceeded."""
        completed = flag(fields, "completed")
        events = self._streamed(fields, completed)
        self._note(fields)
        if completed:
            return [*events, self._complete(fields)]
        return events or ([Unknown(mend(fields))] if self._is_unknown(fields) else [])

    def whole(self, fields: Fields) -> list[Event]:
        """The events of an answer that came as one JSON object. Raises Contradiction."""
        events = self._unstreamed(fields)
        self._note(fields)
        return [*events, self._complete(fields)]

    def ended(self) -> list[Event]:
        """The stream ended as it should, by `DONE` or with its body: the events of an answer that
        needs no more than that, or none.
        """
        return []

    def snapshot(self) -> R:
        """What has arrived so far, as a result; once the answer is complete, that is `result`."""
        return self.result or self._result(self._metadata)

    @abstractmethod
    def _streamed(self, fields: Fields, completed: bool) -> list[Event]:
        """Take the answer's part of one message; its events, but for the end."""

    def _unstreamed(self, fields: Fields) -> list[Event]:
        """Take the whole answer; its events, but for the end."""
        return self._streamed(fields, True)

    @abstractmethod
    def _result(self, metadata: Metadata) -> R:
        """What has been taken, as a result."""

    def _deltas_match(self) -> bool | None:
        return None

    def _is_unknown(self, fields: Fields) -> bool:
        return self._SPEAKS.isdisjoint(fields)

    def _note(self, fields: Fields) -> None:
        noted: dict[str, Any] = {}
        if (
            type(request_id := fields.get("request_id")) in (str, int)
            and request_id != self.request_id
        ):
            noted["request_id"] = str(request_id)
        if isinstance(finish_reason := fields.get("finish_reason"), str):
            noted["finish_reason"] = finish_reason
        if (metrics := numbers(Metrics, fields.get("metrics"))) is not None:
            noted["metrics"] = metrics
        for name in ("_stats", "stats"):
            if (stats := numbers(Stats, fields.get(name))) is not None:
                noted["stats"] = stats
        if noted:
            self._metadata = msgspec.structs.replace(self._metadata, **noted)

    def _complete(self, fields: Fields) -> Completed:
        extra: Fields = mend(
            {name: value for name, value in fields.items() if name not in self._READS}
        )
        self.result = self._result(
            msgspec.structs.replace(self._metadata, extra=extra, deltas_match=self._deltas_match())
        )
        return Completed(self.result)


_BESIDE = frozenset(
    {
        "completed",
        "chunk",
        "token_index",
        "request_id",
        "finish_reason",
        "metrics",
        "stats",
        "_stats",
    }
)


class _TextBuilder(Builder[R]):
    _DELTA = TextDelta
    _SPEAKS = frozenset({"chunk", "text", "completed", "stats", "_stats"})
    _WHOLE: ClassVar[str]  # the field of the whole text

    _whole_text: str | None = None

    def decoders(self) -> tuple[Callable[[bytes], Any], Callable[[bytes], Any]]:
        return self.deltas.decode, self._decode_documented

    def _decode_documented(self, payload: bytes) -> TextDelta:
        message = _decode_documented(payload)
        if message.completed or message.request_id != self.request_id:
            raise ValueError(payload)
        return TextDelta(message.chunk, message.token_index)

    def _streamed(self, fields: Fields, completed: bool) -> list[Event]:
        chunk = string(fields, "chunk")
        if chunk is None:
            chunk = string(fields, "text")
        whole = string(fields, self._WHOLE) if completed else None
        text = self.deltas.add(chunk or "", last=completed)
        if completed:
            self._whole_text = whole
        return [TextDelta(text, token_index(fields))] if text else []

    def _unstreamed(self, fields: Fields) -> list[Event]:
        text = string(fields, self._WHOLE)
        if text is None:
            raise Contradiction(f'the answer should have its text in "{self._WHOLE}"')
        self.deltas.add(text)
        return [TextDelta(text)] if text else []

    def _deltas_match(self) -> bool | None:
        return None if self._whole_text is None else self._whole_text == self.deltas.text()

    def _text(self) -> str:
        return self.deltas.text() if self._whole_text is None else self._whole_text


class QueryBuilder(_TextBuilder[QueryResult]):
    _WHOLE = "answer"
    _READS = _BESIDE | {"text", "answer"}

    _reasoning: Reasoning | None = None

    def _note(self, fields: Fields) -> None:
        super()._note(fields)
        if fields.get("reasoning") is not None:
            self._reasoning = read_reasoning(fields["reasoning"]) or self._reasoning

    def _complete(self, fields: Fields) -> Completed:
        # A reasoning in a form that this version cannot read stays among the unknown fields.
        readable = read_reasoning(fields.get("reasoning")) is not None
        return super()._complete(
            {k: v for k, v in fields.items() if k != "reasoning"} if readable else fields
        )

    def _result(self, metadata: Metadata) -> QueryResult:
        return QueryResult(self._text(), self._reasoning, metadata)


class CaptionBuilder(_TextBuilder[CaptionResult]):
    _WHOLE = "caption"
    _READS = _BESIDE | {"text", "caption"}

    def _result(self, metadata: Metadata) -> CaptionResult:
        return CaptionResult(self._text(), metadata)


class SegmentBuilder(Builder[SegmentResult]):
    _DELTA = PathChunk
    _SPEAKS = frozenset({"bbox", "chunk", "completed", "stats", "_stats"})
    _READS = _BESIDE | {"type", "path", "bbox", "parse_error"}

    _bbox: BBox | None = None
    _path: str | None = None
    _parse_error: str | None = None

    def _streamed(self, fields: Fields, completed: bool) -> list[Event]:
        if not completed and self._is_unknown(fields):
            return []
        chunk = string(fields, "chunk")
        bbox = optional_box(fields)
        path = string(fields, "path") if completed else None
        data = self.deltas.add(chunk or "", last=completed)
        events: list[Event] = []
        if bbox is not None:
            self._bbox = bbox
            if not completed:
                events.append(bbox)
        if completed:
            self._end(fields, path or "")
        if data:
            events.append(PathChunk(data, token_index(fields)))
        return events

    def _unstreamed(self, fields: Fields) -> list[Event]:
        path = string(fields, "path")
        if path is None and fields.get("parse_error") is None:
            raise Contradiction('the answer should have its outline in "path"')
        self._bbox = optional_box(fields)
        self._end(fields, path or "")
        return []

    def _end(self, fields: Fields, path: str) -> None:
        self._path = path
        if isinstance(parse_error := fields.get("parse_error"), str):
            self._parse_error = parse_error

    def _is_unknown(self, fields: Fields) -> bool:
        return fields.get("type") not in (None, "bbox", "path_delta") or super()._is_unknown(fields)

    def _result(self, metadata: Metadata) -> SegmentResult:
        path = self.deltas.text() if self._path is None else self._path
        return SegmentResult(
            path, self._bbox, self._parse_error, metadata, partial=self._path is None
        )


class DetectBuilder(Builder[DetectResult]):
    _SPEAKS = frozenset({"stats", "_stats"})
    _READS = _BESIDE | {"objects"}

    _objects: tuple[BBox, ...] = ()

    def _streamed(self, fields: Fields, completed: bool) -> list[Event]:
        if completed:
            self._objects = list_of(BBox, fields, "objects")
        return []

    def _result(self, metadata: Metadata) -> DetectResult:
        return DetectResult(self._objects, metadata)


class PointBuilder(Builder[PointResult]):
    _SPEAKS = frozenset({"stats", "_stats"})
    _READS = _BESIDE | {"points"}

    _points: tuple[Point, ...] = ()

    def _streamed(self, fields: Fields, completed: bool) -> list[Event]:
        if completed:
            self._points = list_of(Point, fields, "points")
        return []

    def _result(self, metadata: Metadata) -> PointResult:
        return PointResult(self._points, metadata)
