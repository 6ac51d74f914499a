"""`moondream-stream show`: a recording for people.

A recording is lines of JSON, whose chunks have JSON again: a character of the answer is escaped
twice. Here each chunk is what it brought: its text, box or part of a path.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
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
    ResponseStream,
    Result,
    TextDelta,
    Unknown,
)
from sansio_moondream.recording import (
    EOF,
    LEFT,
    OMITTED,
    Chunk,
    Recording,
    RecordingError,
    ending_error,
)

from ._client_arguments import UsageError
from ._convert import request_of
from ._exit import print_error
from ._render import TextOutput
from ._service import skill_of
from ._status import Exit
from ._terminal import BOLD, DIM, Terminal, safe
from ._wording import describe_error, of_recording

_NAME = 20  # columns of the names of fields and headers
_SKILLS = ("query", "caption", "segment", "detect", "point", "chat")


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
            f"{_seconds(_length(recording))} s; {_ending(recording)}",
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
    decoder = _Decoder(recording)
    out.line(f"{'time':>9} s  {'bytes':>6}", DIM)
    at = header.seconds
    for chunk in recording.chunks:
        at += chunk.seconds
        text = _text(chunk.data) if raw else decoder.decoded(chunk)
        out.labelled(f"{_seconds(at):>9}    {len(chunk.data):>6}  ", text)
    decoder.end()
    out.labelled(f"{_seconds(_length(recording)):>9}    {'':>6}  ", _ending(recording), style=BOLD)
    if decoder.error is not None and not raw:
        out.line()
        out.labelled("error", safe(describe_error(decoder.error)))
    if decoder.result is not None and not raw:
        out.line()
        output = TextOutput(out, out, brief=True)
        output.event(Completed(decoder.result))


class _Decoder:
    """What each chunk of a recording brings.

    Attributes:
        result: of the answer, or what there is of it.
        error: that its bytes, or the end of the recording, caused.
    """

    def __init__(self, recording: Recording) -> None:
        self._recording = recording
        self._stream: ResponseStream[Any] | None = None
        self.error: MoondreamError | None = None
        header = recording.header
        skill = skill_of(header.path)
        if skill in _SKILLS and header.status_code is not None:
            self._stream = ResponseStream(request_of(skill))
            self._try(header.status_code, header.response_headers)

    def decoded(self, chunk: Chunk) -> str:
        """Return what a chunk brings, or its text if that is not known."""
        stream = self._stream
        if stream is None or self.error is not None:
            return _text(chunk.data)
        found: list[str] = []
        try:
            stream.receive_data(chunk.data)
            found += map(_in_short, stream.events())
        except MoondreamError as error:
            self.error = error
            return _text(chunk.data)
        return "\n".join(found) or _text(chunk.data)

    def end(self) -> None:
        """Decode the end."""
        stream = self._stream
        if stream is None or self.error is not None:
            return
        try:
            error = ending_error(self._recording.ending)
            if error is not None:
                stream.receive_error(error)
            else:
                stream.receive_eof()
            for _ in stream.events():
                pass
        except MoondreamError as error:
            self.error = error

    @property
    def result(self) -> Result | None:
        return None if self._stream is None else self._stream.snapshot

    def _try(self, status_code: int, headers: Any) -> None:
        assert self._stream is not None
        try:
            self._stream.receive_response(status_code, headers)
        except MoondreamError as error:
            self.error = error


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


def _length(recording: Recording) -> float:
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
