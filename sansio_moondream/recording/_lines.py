"""Encode values as lines, and decode lines."""

from __future__ import annotations

import json
import re
from base64 import b64decode, b64encode
from collections.abc import Iterable
from typing import Annotated, Any, Final, cast

import msgspec
from msgspec import Meta, Struct
from msgspec.structs import replace

from sansio_moondream._errors import shorten
from sansio_moondream._repr import OwnRepr

from ._values import (
    EOF,
    Chunk,
    Ending,
    Line,
    RecordedTimeouts,
    RecordingError,
    RecordingHeader,
    decode_json,
)

FORMAT_VERSION: Final = 1
"""The version of the format that is written, and that is read."""
MAX_LINE_BYTES: Final = 16 * 1024 * 1024
"""How long a line may be, by default."""

_FIELD_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_FIELD_END = re.compile(r"[\0\n\v\f\r]")

# JSON does not escape these: DEL, C1 controls, direction marks, line and paragraph separators, the
# byte order mark.
_INVISIBLE = re.compile("[\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff]")


def encode_line(line: Line) -> bytes:
    """Encode one `line` of a recording, with its line end.

    The header is the first line, then come the chunks, then the ending.
    """
    if isinstance(line, RecordingHeader):
        return _encode(_wire_header(line))
    if isinstance(line, Ending):
        return _encode([line.seconds, "x", line.fault, *([line.message] if line.message else [])])
    try:
        return _encode([line.seconds, "t", line.data.decode()])
    except UnicodeDecodeError:
        return _encode([line.seconds, "b", b64encode(line.data).decode()])


class RecordingReader:
    """Reads a recording line by line, without buffering.

    Pass each line to `receive_line`, and call `receive_eof` after the last. Read lines of a file
    with `readline(MAX_LINE_BYTES + 1)`: a longer line is then refused before it is read whole.

    Args:
        max_line_bytes: a longer line is refused.
    """

    def __init__(self, max_line_bytes: int = MAX_LINE_BYTES) -> None:
        self._max_line_bytes = max_line_bytes
        self._line_number = 0
        self._header: RecordingHeader | None = None
        self._ended = False

    def receive_line(self, line: bytes) -> Line:
        """Decode one `line`, with or without its line end.

        Raises:
            RecordingError: the line is invalid. The reader cannot be used after that.
        """
        self._line_number += 1
        try:
            return self._read(line)
        except ValueError as error:
            raise self._error(str(error)) from error

    def receive_eof(self) -> None:
        """Check that the recording is complete.

        Raises:
            RecordingError: the ending is missing.
        """
        if not self._ended:
            self._line_number += 1
            missing = "stops without its ending" if self._header else "is empty"
            raise self._error(f"the recording {missing}")

    def _read(self, line: bytes) -> Line:
        if len(line) > self._max_line_bytes:
            raise ValueError(f"the line is longer than {self._max_line_bytes:,} bytes")
        if self._ended:
            raise ValueError("nothing should follow the ending")
        value = decode_json(line)
        if self._header is None:
            self._header = _parse_header(value)
            return self._header
        parsed = _parse_chunk_or_ending(value)
        self._ended = isinstance(parsed, Ending)
        if self._header.status_code is None and (isinstance(parsed, Chunk) or parsed.fault == EOF):
            raise ValueError("without a response, only the error of the exchange should follow")
        return parsed

    def _error(self, message: str) -> RecordingError:
        return RecordingError(f"line {self._line_number}: {message}", self._line_number)


class Recording(OwnRepr, frozen=True):
    """A whole recorded exchange.

    Attributes:
        header: the request, and the head of the response.
        chunks: of the body, as they came.
        ending: how the body ended.
    """

    header: RecordingHeader
    chunks: tuple[Chunk, ...]
    ending: Ending

    def encode(self) -> bytes:
        """Encode the recording as the content of a file."""
        lines: tuple[Line, ...] = (self.header, *self.chunks, self.ending)
        return b"".join(map(encode_line, lines))

    @classmethod
    def decode(cls, data: bytes, max_line_bytes: int = MAX_LINE_BYTES) -> Recording:
        """Decode the content of a file.

        Args:
            data: the content of the file.
            max_line_bytes: a longer line is refused.

        Raises:
            RecordingError: the content is not a whole recording.
        """
        reader = RecordingReader(max_line_bytes)
        lines = data.removesuffix(b"\n").split(b"\n") if data else []
        values: list[Any] = [reader.receive_line(line) for line in lines]
        reader.receive_eof()
        header, *chunks, ending = values  # the reader accepts no other order
        return cls(header, tuple(chunks), ending)

    def __repr__(self) -> str:
        header = self.header
        answer = f"{header.status_code}, {len(self.chunks):,} chunks, {self.ending.fault}"
        return f"<Recording {header.method} {header.path}: {answer}>"


class _WireRequest(Struct):
    method: str
    path: str
    headers: tuple[tuple[str, str], ...]
    body: Any


class _WireResponse(Struct):
    seconds: float
    status_code: Annotated[int, Meta(ge=100, le=999)]
    headers: tuple[tuple[str, str], ...]


class _WireHeader(Struct, kw_only=True, omit_defaults=True):
    recording: int
    request: _WireRequest
    timeouts: RecordedTimeouts | None = None
    connected: float | None = None
    response: _WireResponse | None


def _wire_header(header: RecordingHeader) -> Any:
    request = _WireRequest(header.method, header.path, header.request_headers, header.request_body)
    response = None
    if header.status_code is not None:
        response = _WireResponse(header.seconds, header.status_code, header.response_headers)
    return msgspec.to_builtins(
        _WireHeader(
            recording=FORMAT_VERSION,
            request=request,
            timeouts=header.timeouts,
            connected=header.connected,
            response=response,
        )
    )


def _parse_header(value: Any) -> RecordingHeader:
    fields = cast("dict[str, Any]", value) if isinstance(value, dict) else {}
    version = fields.get("recording")
    if version is None:
        raise ValueError(
            'the first line should be the header of a recording: {"recording": 1, ...}'
        )
    if version != FORMAT_VERSION:
        raise ValueError(
            f"the recording has format version {shorten(str(version), 40)}, and this library reads "
            f"{FORMAT_VERSION}"
        )
    wire = msgspec.convert(fields, _WireHeader)
    request, response = wire.request, wire.response
    _check_fields([*request.headers, *(response.headers if response is not None else ())])
    header = RecordingHeader(
        request.method,
        request.path,
        request.headers,
        request.body,
        connected=wire.connected,
        timeouts=wire.timeouts,
    )
    if response is None:
        return header
    return replace(
        header,
        status_code=response.status_code,
        response_headers=response.headers,
        seconds=response.seconds,
    )


def _check_fields(fields: Iterable[tuple[str, str]]) -> None:
    """Refuse header fields that would end their line when a server writes them."""
    for name, value in fields:
        if not _FIELD_NAME.fullmatch(name):
            raise ValueError(f"{shorten(name, 40)!r} should be the name of a header field")
        if _FIELD_END.search(value):
            raise ValueError(f"the header field {shorten(name, 40)} should be a single line")


def _parse_chunk_or_ending(value: Any) -> Chunk | Ending:
    match value:
        case [seconds, "t", str(text)]:
            return Chunk(seconds, text.encode())
        case [seconds, "b", str(text)]:
            return Chunk(seconds, b64decode(text, validate=True))
        case [seconds, "x", str(fault)]:
            return Ending(seconds, fault)
        case [seconds, "x", str(fault), str(message)]:
            return Ending(seconds, fault, message)
        case _:
            raise ValueError(
                'a line should be [seconds, "t" or "b", text] or [seconds, "x", ending], not '
                f"{shorten(repr(value), 80)}"
            )


def _encode(value: Any) -> bytes:
    text = json.dumps(value, ensure_ascii=False, allow_nan=False)
    text = _INVISIBLE.sub(lambda found: f"\\u{ord(found[0]):04x}", text)
    return text.encode("utf-8", "replace") + b"\n"
