"""What `serve` can do to an answer on purpose: faults of servers and networks, and spellings that
the standard allows.

A fault is named `KIND`; one that happens inside the body also `KIND@N`, for after N chunks of it
(without: in its middle)."""

from __future__ import annotations

import json
import zlib
from collections.abc import Callable

from msgspec import Struct
from msgspec.structs import replace

from sansio_moondream.recording import EOF, Chunk, Ending, Recording

from ._convert import is_stream, with_body
from ._refusals import JSON, error_fields

_OUT_OF_MEMORY = "the model ran out of memory"

FAULTS: dict[str, str] = {
    "close": "the connection is closed, without the end that HTTP has for a body",
    "reset": "the connection is reset, as by a machine that crashed",
    "stall": "nothing more comes, and the connection stays open",
    "truncate": "the body ends as HTTP says it should, without an end-of-stream message",
    "garbage": "what comes next is no HTTP",
    "no-head": "the connection is closed before the head of an answer",
    "error": "an error message comes inside the stream",
    "json-error": "the answer is 200 with an error as JSON",
    "400 to 599": "the answer has that status, and an error as JSON; with 429 and 503 goes Retry-After",
    "keep-alive": "an event without data comes: no fault by the standard, as are all that follow",
    "no-space": "no space stands after `data:`",
    "cr": "lines end in CR",
    "bom": "the stream begins with a byte order mark",
    "gzip": "the body is compressed, each chunk for itself",
}


_MAX_DIGITS = 12  # int() refuses thousands of them in words of its own


class HTTPFault(Struct, frozen=True):
    """One of FAULTS, or a status code. Make one of text with `parse`."""

    kind: str
    after: int | None = None

    @classmethod
    def parse(cls, text: str) -> HTTPFault:
        """Raises ValueError."""
        kind, at, count = text.strip().partition("@")
        if at and not (count.isascii() and count.isdigit() and len(count) <= _MAX_DIGITS):
            raise ValueError(
                f"behind the @ of a fault should be a number of chunks, not {count[:20]!r}"
            )
        if at and kind not in _INSIDE:
            raise ValueError(
                f"only {', '.join(_INSIDE)} happen after a number of chunks, and not {kind[:20]!r}"
            )
        if kind not in FAULTS and not (
            len(kind) == 3 and kind.isascii() and kind.isdigit() and 400 <= int(kind) <= 599
        ):
            raise ValueError(f"a fault should be one of {', '.join(FAULTS)}, not {kind[:20]!r}")
        return cls(kind, int(count) if at else None)

    def applied(self, recording: Recording) -> Recording:
        """The recording with this fault in it."""
        if self.kind.isdigit():
            return _status(recording, int(self.kind))
        if self.kind in _INSIDE:
            return _INSIDE[self.kind](recording, _first(recording, self.after))
        if self.kind in _SPELLINGS and not (is_stream(recording) and recording.chunks):
            return recording
        return (_OF_ALL | _SPELLINGS)[self.kind](recording)


def _first(recording: Recording, after: int | None) -> tuple[Chunk, ...]:
    chunks = recording.chunks
    if after is not None:
        return chunks[:after]
    if len(chunks) == 1 and len(chunks[0].data) > 1:
        return (replace(chunks[0], data=chunks[0].data[: len(chunks[0].data) // 2]),)
    return chunks[: len(chunks) // 2]


def _ended(fault: str, message: str = "") -> Callable[[Recording, tuple[Chunk, ...]], Recording]:
    return lambda recording, first: Recording(recording.header, first, Ending(0, fault, message))


def _truncate(recording: Recording, first: tuple[Chunk, ...]) -> Recording:
    return Recording(recording.header, first, Ending(0))


def _error(recording: Recording, first: tuple[Chunk, ...]) -> Recording:
    if not is_stream(recording):
        return _json_error(recording)
    return Recording(
        recording.header,
        (*first, Chunk(0, b"data: " + _error_body(200, _OUT_OF_MEMORY) + b"\n\n")),
        Ending(0),
    )


def _json_error(recording: Recording) -> Recording:
    return with_body(recording, JSON, [Chunk(0, _error_body(200, _OUT_OF_MEMORY))], Ending(0))


def _status(recording: Recording, status_code: int) -> Recording:
    told = with_body(
        recording,
        JSON,
        [Chunk(0, _error_body(status_code, f"made up, as fault {status_code}"))],
        Ending(0),
    )
    more = (("retry-after", "1"),) if status_code in (429, 503) else ()
    header = replace(
        told.header,
        status_code=status_code,
        response_headers=(*told.header.response_headers, *more),
    )
    return replace(told, header=header)


def _no_head(recording: Recording) -> Recording:
    header = replace(recording.header, status_code=None, response_headers=(), seconds=0.0)
    return Recording(header, (), Ending(0, "ConnectionLost", "closed before the head"))


def _gzip(recording: Recording) -> Recording:
    compressor = zlib.compressobj(wbits=31)
    chunks = [
        replace(chunk, data=compressor.compress(chunk.data) + compressor.flush(zlib.Z_SYNC_FLUSH))
        for chunk in recording.chunks
    ]
    if recording.ending.fault == EOF:
        chunks.append(Chunk(0, compressor.flush()))
    headers = [
        pair
        for pair in recording.header.response_headers
        if pair[0] not in ("content-length", "content-encoding")
    ]
    header = replace(recording.header, response_headers=(*headers, ("content-encoding", "gzip")))
    return Recording(header, tuple(chunks), recording.ending)


def _keep_alive(recording: Recording) -> Recording:
    middle = len(recording.chunks) // 2
    return replace(
        recording,
        chunks=(*recording.chunks[:middle], Chunk(0, b"data: \n\n"), *recording.chunks[middle:]),
    )


def _bom(recording: Recording) -> Recording:
    first, *others = recording.chunks
    return replace(recording, chunks=(replace(first, data=b"\xef\xbb\xbf" + first.data), *others))


def _respelled(old: bytes, new: bytes) -> Callable[[Recording], Recording]:
    def respelled(recording: Recording) -> Recording:
        return replace(
            recording,
            chunks=tuple(
                replace(chunk, data=chunk.data.replace(old, new)) for chunk in recording.chunks
            ),
        )

    return respelled


def _error_body(status_code: int, message: str) -> bytes:
    return json.dumps({"error": error_fields(status_code, message)}).encode()


_INSIDE: dict[str, Callable[[Recording, tuple[Chunk, ...]], Recording]] = {
    "close": _ended("ConnectionLost"),
    "reset": _ended("ConnectionLost", "reset"),
    "stall": _ended("IdleTimeout"),
    "garbage": _ended("RemoteProtocolError"),
    "truncate": _truncate,
    "error": _error,
}
_OF_ALL: dict[str, Callable[[Recording], Recording]] = {
    "no-head": _no_head,
    "json-error": _json_error,
    "gzip": _gzip,
}
_SPELLINGS: dict[str, Callable[[Recording], Recording]] = {  # of event streams
    "keep-alive": _keep_alive,
    "no-space": _respelled(b"data: ", b"data:"),
    "cr": _respelled(b"\n", b"\r"),
    "bom": _bom,
}
