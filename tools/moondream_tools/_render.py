"""Show answers to people and to programs: as text while it arrives, or as JSON.

Standard output gets only the answer of the server. Notes about the answer go elsewhere.
"""

from __future__ import annotations

import json
from typing import Protocol, TextIO, assert_never

from sansio_moondream import (
    BBox,
    CaptionResult,
    ChatResult,
    Completed,
    DetectResult,
    Event,
    Metadata,
    MoondreamError,
    PathChunk,
    PointResult,
    QueryResult,
    ReasoningDelta,
    Result,
    SegmentResult,
    TextDelta,
    Unknown,
    Value,
)

from ._terminal import DIM, LABEL, Terminal, on_one_line, safe

_COARSE = "coarse path"
_MIN_PATH = 24  # columns


class Output(Protocol):
    """A way to show the events of one answer."""

    def event(self, event: Event) -> None:
        """Show an event."""
        ...

    def fault(self, error: MoondreamError | None) -> None:
        """Show the rest of an answer that broke, or was interrupted. No more events follow."""
        ...


class JSONOutput:
    """Print the JSON form of each event as a line, in ASCII.

    The last line of a complete answer is a `completed`. The last line of an answer that failed is
    its error, which has the partial result.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def event(self, event: Event) -> None:
        self._print(event)

    def fault(self, error: MoondreamError | None) -> None:
        if error is not None:
            self._print(error)

    def _print(self, value: Value) -> None:
        print(json.dumps(value.to_dict()), file=self._stream, flush=True)


class TextOutput:
    """Show text and paths as they arrive, boxes and points as lines, and a note at the end.

    Boxes and points have numbers. A drawing of them has the same.

    Some servers damage characters in the deltas, and send the right text with the end of the
    stream. What a file or a pipe has received cannot be replaced. So we write no text to it from
    the first U+FFFD on, until we know the right one.

    Args:
        out: gets the answer.
        notes: gets notes about the answer.
        brief: shows a path on one line that is redrawn, and at the end only its two ends: the
            whole path is thousands of characters, which fill a screen.
    """

    def __init__(self, out: Terminal, notes: Terminal, *, brief: bool = False) -> None:
        self._out = out
        self._notes = notes
        self._brief = brief
        self._shown: list[str] = []  # text that is written
        self._held: list[str] = []  # text that is not written yet
        self._path: list[str] = []

    def event(self, event: Event) -> None:
        match event:
            case TextDelta():
                self._add_text(event.text)
            case BBox():
                self._out.labelled("coarse box", _box(event))
            case PathChunk():
                self._add_to_path(event.data)
            case Completed():
                self._end_path()
                self._complete(event.result)
            case Unknown() | ReasoningDelta():  # the reasoning is in the notes at the end
                pass
            case _:
                assert_never(event)

    def fault(self, error: MoondreamError | None) -> None:
        self._end_path()
        self._show("".join(self._held))
        partial = error.partial if error is not None else None
        if isinstance(partial, QueryResult | CaptionResult | ChatResult) and not self._shown:
            self._show(partial.text)
        self._out.end_line()

    def _complete(self, result: Result) -> None:
        match result:
            case QueryResult() | CaptionResult() | ChatResult():
                self._complete_text(result)
            case SegmentResult():
                if result.bbox is not None:
                    self._out.labelled("box", _box(result.bbox))
                if result.parse_error is not None:
                    self._note(f"The model wrote an invalid path: {safe(result.parse_error)}")
                self._show_path("path", result.path)
            case DetectResult():
                for number, box in enumerate(result.objects, 1):
                    self._out.labelled(f"box {number}", _box(box))
                self._note("" if result.objects else "No object was found.")
            case PointResult():
                for number, point in enumerate(result.points, 1):
                    self._out.labelled(f"point {number}", f"x {point.x:.3f}  y {point.y:.3f}")
                self._note("" if result.points else "No object was found.")
            case _:
                assert_never(result)
        self._note(describe(result.metadata))

    def _complete_text(self, result: QueryResult | CaptionResult | ChatResult) -> None:
        shown = "".join(self._shown)
        is_replaceable = result.text.startswith(shown) and (self._held or not shown)
        self._show(result.text[len(shown) :] if is_replaceable else "".join(self._held))
        self._out.end_line()
        if result.metadata.deltas_match is False and not is_replaceable:
            self._note("The server damaged characters of this stream. The complete text is:")
            self._out.line(safe(result.text))
        if not isinstance(result, CaptionResult) and result.reasoning is not None:
            self._note(f"Reasoning: {safe(result.reasoning.text)}")

    def _add_text(self, text: str) -> None:
        first_damage = 0 if self._held else text.find("\ufffd")
        if self._out.is_terminal or first_damage < 0:
            self._show(text)
        else:
            self._show(text[:first_damage])
            self._held.append(text[first_damage:])

    def _show(self, text: str) -> None:
        if text:
            self._shown.append(text)
            self._out.flow(safe(text))

    def _add_to_path(self, data: str) -> None:
        self._path.append(data)
        if self._brief:
            ending = safe("".join(self._path[-12:]))[-40:]
            self._out.redraw(_COARSE, f"{len(self._path)} chunks …{ending}")
        elif len(self._path) == 1:
            self._out.begin_labelled(_COARSE)
        if not self._brief:
            self._out.write(safe(data))

    def _end_path(self) -> None:
        if self._brief and self._path:
            self._out.redraw(_COARSE, "")
            self._out.restart_line()
            self._show_path(_COARSE, "".join(self._path), chunks=len(self._path))
        self._path.clear()

    def _show_path(self, label: str, path: str, chunks: int = 0) -> None:
        if not self._brief:  # one line, which can be copied
            self._out.begin_labelled(label)
            self._out.write(safe(path) + "\n")
            return
        about = f"{len(path):,} characters"
        if chunks:
            about += f" in {chunks} chunks"
        columns = self._out.width - LABEL - 1
        room = columns - len(about) - 4  # beside the path, if that leaves enough of it
        if room >= _MIN_PATH:
            self._out.labelled(label, f"{on_one_line(path, room)}  ({about})")
        else:
            self._out.labelled(label, on_one_line(path, columns))
            self._out.labelled("", f"({about})", style=DIM)

    def _note(self, text: str) -> None:
        if text:
            self._notes.line(text, DIM)


def describe(metadata: Metadata) -> str:
    """Return the metadata of an answer as one line, or an empty text."""
    timing = metadata.timing
    items = _items(metadata.tokens.output, "{} tokens")
    items += _items(timing.first_token, "the first after {:.2f} s")
    items += _items(timing.decode, "decoded in {:.2f} s")
    items += _items(timing.total, "{:.2f} s in all")
    items += _items(timing.tokens_per_second, "{:.1f} a second")
    items += _items(metadata.finish_reason, "finish reason {}")
    if metadata.finish_reason == "length":
        items[-1] += " (max_tokens reached)"
    items += _items(metadata.request_id, "request {}")
    return safe(" · ".join(items))


def _items(value: object, words: str) -> list[str]:
    return [] if value is None else [words.format(value)]


def _box(box: BBox) -> str:
    return f"x {box.x_min:.3f} to {box.x_max:.3f}  y {box.y_min:.3f} to {box.y_max:.3f}"
