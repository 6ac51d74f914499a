"""Answers for people and for programs: as text while they come, or as one JSON object an event.

Both write to stdout only what the server answered; notes about it go where the caller says.
"""

from __future__ import annotations

import json
from typing import Any, Protocol, TextIO, assert_never

import msgspec

from sansio_moondream import (
    BBox,
    CaptionResult,
    ChatResult,
    Completed,
    DetectResult,
    Event,
    Metadata,
    PathChunk,
    PointResult,
    QueryResult,
    ReasoningDelta,
    Result,
    SegmentResult,
    TextDelta,
    Unknown,
)

from ._terminal import DIM, Terminal, on_one_line, safe


class Output(Protocol):
    """Where the events of one answer go."""

    def event(self, event: Event) -> None: ...

    def fault(self, partial: Result | None) -> None:
        """No more events come: the answer broke off, and this is what there is of it."""
        ...


class JSONOutput:
    """One JSON object a line for each event, in ASCII; the answer's end is `{"event": "completed",
    "result": ...}`.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def event(self, event: Event) -> None:
        print(json.dumps(event_fields(event)), file=self._stream, flush=True)

    def fault(self, partial: Result | None) -> None:
        """The events that came were written already."""


def event_fields(event: Event) -> dict[str, Any]:
    """An event as JSON has it."""
    match event:
        case TextDelta():
            return {"event": "text_delta", "text": event.text, "token_index": event.token_index}
        case ReasoningDelta():
            return {"event": "reasoning_delta", "text": event.text}
        case PathChunk():
            return {"event": "path_chunk", "data": event.data, "token_index": event.token_index}
        case BBox():
            return {"event": "bbox", **msgspec.structs.asdict(event)}
        case Unknown():
            return {"event": "unknown", "data": event.data}
        case Completed():
            return {"event": "completed", "result": _result_fields(event.result)}
        case _:
            assert_never(event)


def _result_fields(result: Result) -> dict[str, Any]:
    fields: dict[str, Any] = msgspec.to_builtins(
        result, enc_hook=lambda _: None
    )  # that is the headers: no part of the answer
    del fields["partial"]  # what is printed is complete
    fields["metadata"] = {
        name: value for name, value in fields["metadata"].items() if value not in (None, {})
    }
    return fields


class TextOutput:
    """Text and paths as they come, boxes and points as lines, and at the end a note on what it
    took.

    With `brief`, a path is a line that shows how it grows, and in the end its beginning and its
    end."""

    def __init__(self, out: Terminal, notes: Terminal, *, brief: bool = False) -> None:
        self._out = out
        self._notes = notes
        self._brief = brief
        self._text_shown = False
        self._path: list[str] = []

    def event(self, event: Event) -> None:
        match event:
            case TextDelta():
                self._text_shown = True
                self._out.write(safe(event.text))
            case BBox():
                self._out.labelled("coarse box", _box(event))
            case PathChunk():
                self._grow_path(event.data)
            case Completed():
                self._end_path()
                self._complete(event.result)
            case Unknown() | ReasoningDelta():  # the reasoning is in the notes at the end
                pass
            case _:
                assert_never(event)

    def fault(self, partial: Result | None) -> None:
        self._end_path()
        if isinstance(partial, QueryResult | CaptionResult | ChatResult) and not self._text_shown:
            self._out.write(safe(partial.text))
        self._out.end_line()

    def _complete(self, result: Result) -> None:
        match result:
            case QueryResult() | CaptionResult() | ChatResult():
                self._complete_text(result)
            case SegmentResult():
                if result.bbox is not None:
                    self._out.labelled("box", _box(result.bbox))
                if result.parse_error is not None:
                    self._note(f"The model wrote no valid path: {safe(result.parse_error)}")
                self._out.labelled("path", self._fit(result.path))
            case DetectResult():
                for box in result.objects:
                    self._out.labelled("box", _box(box))
            case PointResult():
                for point in result.points:
                    self._out.labelled("point", f"x {point.x:.3f}  y {point.y:.3f}")
            case _:
                assert_never(result)
        self._note(describe(result.metadata))

    def _complete_text(self, result: QueryResult | CaptionResult | ChatResult) -> None:
        if not self._text_shown:
            self._out.write(safe(result.text))
        self._out.end_line()
        if result.metadata.deltas_match is False:
            self._note("The server damaged characters while it streamed this. Whole, it reads:")
            self._out.line(safe(result.text))
        if not isinstance(result, CaptionResult) and result.reasoning is not None:
            self._note(f"Reasoning: {safe(result.reasoning.text)}")

    def _grow_path(self, data: str) -> None:
        self._path.append(data)
        if self._brief:
            self._out.redraw(
                "coarse path", f"{len(self._path)} chunks …{safe(''.join(self._path[-12:]))[-60:]}"
            )
        elif len(self._path) == 1:
            self._out.labelled("coarse path", safe(data), end="")
        else:
            self._out.write(safe(data))

    def _end_path(self) -> None:
        if self._brief and self._path:
            self._out.redraw("coarse path", "")
            self._out.restart_line()
            self._out.labelled(
                "coarse path", f"{self._fit(''.join(self._path))}  ({len(self._path)} chunks)"
            )
        self._path.clear()

    def _fit(self, path: str) -> str:
        return on_one_line(path, self._out.width - 40) if self._brief else safe(path)

    def _note(self, text: str) -> None:
        if text:
            self._notes.line(self._notes.styled(text, DIM))


def describe(metadata: Metadata) -> str:
    """What the server says of the answer, on a line; empty where it says nothing."""
    said: list[str] = []
    metrics, stats = metadata.metrics, metadata.stats
    if metrics is not None:
        said += _said(metrics.output_tokens, "{} tokens")
        said += _said(metrics.ttft_ms, "the first after {:.0f} ms")
        said += _said(metrics.decode_time_ms, "decoded in {:.0f} ms")
    if metadata.usage is not None:
        said += _said(metadata.usage.completion_tokens, "{} tokens")
    if stats is not None:
        said += _said(stats.tokens, "{} tokens")
        said += _said(stats.tokens_per_sec, "{:.1f} a second")
    said += _said(metadata.finish_reason, "finish reason {}")
    if metadata.finish_reason == "length":
        said[-1] += " (cut off where max_tokens says)"
    said += _said(metadata.request_id, "request {}")
    return safe(" · ".join(said))


def _said(value: object, words: str) -> list[str]:
    return [] if value is None else [words.format(value)]


def _box(box: BBox) -> str:
    return f"x {box.x_min:.3f} to {box.x_max:.3f}  y {box.y_min:.3f} to {box.y_max:.3f}"
