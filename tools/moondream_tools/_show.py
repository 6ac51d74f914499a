"""`moondream-stream show`: a recording for people.

A recording is lines of JSON, whose chunks have JSON again: a character of the answer is escaped
twice. Here each chunk is what it brought: its text, box or part of a path.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path
from typing import Any, cast

from moondream_transports.recording import read_recording
from sansio_moondream import (
    BBox,
    Completed,
    Event,
    MoondreamError,
    PathChunk,
    ReasoningDelta,
    Result,
    State,
    TextDelta,
    Unknown,
    from_dict,
)
from sansio_moondream.recording import EOF, LEFT, OMITTED, Recording, RecordingError

from ._client_arguments import UsageError
from ._exit import print_error
from ._render import TextOutput
from ._status import Exit
from ._terminal import BOLD, DIM, Terminal, safe
from ._wording import describe_error, of_recording
from .trace import Trace

_NAME = 20  # columns of the names of fields and headers


def run_show(arguments: argparse.Namespace, out: Terminal) -> Exit:
    """Print a recording, or a line for each of a folder. Raises UsageError."""
    path = Path(arguments.recording)
    if path.is_dir():
        return _show_folder(path, out)
    try:
        recording = read_recording(path.resolve())
    except (RecordingError, OSError) as error:
        raise UsageError(of_recording(error, arguments.recording)) from error
    _show(recording, out, raw=arguments.raw)
    return Exit.OK


def _show_folder(folder: Path, out: Terminal) -> Exit:
    names = sorted(folder.rglob("*.jsonl"))
    if not names:
        raise UsageError(f"the folder {folder} has no recordings (*.jsonl)")
    status = Exit.OK
    for path in names:
        name = path.relative_to(folder).as_posix()
        try:
            recording = read_recording(path)
        except (RecordingError, OSError) as error:
            print_error(of_recording(error, str(path)))
            status = Exit.USAGE
            continue
        out.line(safe(name), BOLD)
        out.labelled("", _head(recording))
        chunks = recording.chunks
        size = sum(len(chunk.data) for chunk in chunks)
        out.labelled(
            "",
            f"{len(chunks):,} chunk{'' if len(chunks) == 1 else 's'}, {size:,} bytes in "
            f"{_seconds(duration(recording))} s; {_ending(recording)}",
        )
    return status


def _show(recording: Recording, out: Terminal, *, raw: bool) -> None:
    header = recording.header
    out.line(_head(recording), BOLD)
    for name, value in _fields(header.request_body):
        out.labelled(name.ljust(_NAME), value)
    out.line()
    for name, value in header.response_headers:
        out.labelled(safe(name).ljust(_NAME), safe(value), style=DIM)
    out.line()
    trace = Trace.of(recording)
    out.line(f"{'time':>9} s  {'bytes':>6}", DIM)
    shown = (_text(chunk.data) for chunk in recording.chunks) if raw else _decoded(trace)
    for chunk, text in zip(trace.chunks, shown, strict=True):
        out.labelled(f"{_seconds(chunk.at):>9}    {chunk.end - chunk.start:>6}  ", text)
    out.labelled(f"{_seconds(duration(recording)):>9}    {'':>6}  ", _ending(recording), style=BOLD)
    if trace.error is not None and not raw:
        out.line()
        out.labelled("error", safe(describe_error(cast("MoondreamError", from_dict(trace.error)))))
    if trace.result is not None and not raw:
        out.line()
        output = TextOutput(out, out, brief=True)
        output.event(Completed(cast("Result", from_dict(trace.result))))


def _decoded(trace: Trace) -> Iterator[str]:
    """Yield what each chunk brings, or its text if that is not known."""
    events = {
        index: "\n".join(_in_short(cast("Event", from_dict(event.value))) for event in group)
        for index, group in groupby(trace.events, lambda event: event.chunk)
    }
    failed = {state.chunk for state in trace.states if state.state == State.FAILED.name}
    start = 0
    for index, chunk in enumerate(trace.chunks):
        text = _text(trace.decoded[start : chunk.decoded_end])
        yield text if index in failed else events.get(index) or text
        start = chunk.decoded_end


def _head(recording: Recording) -> str:
    header = recording.header
    asked = f"{safe(header.method)} {safe(header.path)}"
    if header.status_code is None:
        return f"{asked} → no answer"
    return f"{asked} → {header.status_code} after {_seconds(header.seconds)} s"


def _fields(body: Any) -> Iterator[tuple[str, str]]:
    """Yield the names and the values of a request."""
    if not isinstance(body, dict):
        yield "body", _json(body)
        return
    for name, value in cast("dict[str, Any]", body).items():
        if name == "messages" and isinstance(value, list):
            for message in cast("list[Any]", value):
                yield from _message(message)
        else:
            yield safe(name), _value(value)


def _message(message: Any) -> Iterator[tuple[str, str]]:
    if not isinstance(message, dict):
        yield "message", _json(message)
        return
    fields = cast("dict[str, Any]", message)
    content = fields.get("content")
    for part in cast("list[Any]", content) if isinstance(content, list) else [content]:
        if isinstance(part, dict):
            given = cast("dict[str, Any]", part)
            url = given.get("image_url")
            inner = cast("dict[str, Any]", url).get("url") if isinstance(url, dict) else url
            part = given.get("text", inner)
        yield safe(str(fields.get("role", "message"))), _value(part)


def _value(value: Any) -> str:
    """Return a value of a request: a text as it is, a picture in words, another as JSON."""
    if isinstance(value, dict) and "sha256" in value:
        picture = cast("dict[str, Any]", value)
        size = f"{picture.get('width')} x {picture.get('height')} pixels"
        digest = str(picture["sha256"])[:12]
        return safe(
            f"{picture.get('media_type')}, {size}, {picture.get('bytes')} bytes, sha256 {digest}…"
        )
    return safe(value) if isinstance(value, str) else _json(value)


def _json(value: Any) -> str:
    return safe(json.dumps(value, ensure_ascii=False))


def _in_short(event: Event) -> str:
    match event:
        case TextDelta() | ReasoningDelta():
            thought = "reasoning: " if isinstance(event, ReasoningDelta) else ""
            return f"{thought}{_quoted(event.text)}"
        case PathChunk():
            return f"path {_quoted(event.data)}"
        case BBox():
            return f"box x {event.x_min:g} to {event.x_max:g}, y {event.y_min:g} to {event.y_max:g}"
        case Completed():
            return f"the end of the stream: {type(event.result).__name__}"
        case Unknown():
            return f"unknown message {_json(event.data)}"


def _quoted(text: str) -> str:
    """Return a text in quotes, on one line: spaces at its ends can be seen."""
    return f"“{safe(text)}”".replace("\n", "⏎")


def _text(data: bytes) -> str:
    """Return bytes as text. JSON in it is decoded, so that nothing is escaped twice."""
    lines = data.decode("utf-8", "replace").splitlines()
    return "\n".join(_line(line) for line in lines if line)


def _line(line: str) -> str:
    field, colon, value = line.partition(":")
    text = value.strip() if field == "data" else line
    try:
        decoded = json.loads(text)
    except ValueError:
        return safe(line)
    prefix = f"{field}{colon} " if field == "data" else ""
    return prefix + _json(decoded) if isinstance(decoded, dict | list) else safe(line)


def duration(recording: Recording) -> float:
    """Return the seconds from the request to the end."""
    chunks = sum(chunk.seconds for chunk in recording.chunks)
    return recording.header.seconds + chunks + recording.ending.seconds


def _ending(recording: Recording) -> str:
    ending = recording.ending
    if ending.fault == EOF:
        return "the body ended"
    if ending.fault == LEFT:
        return "the client left"
    if ending.fault == OMITTED:
        return f"the rest was not recorded: {safe(ending.message)}"
    return f"{ending.fault}: {safe(ending.message)}"


def _seconds(seconds: float) -> str:
    return f"{seconds:.3f}"
