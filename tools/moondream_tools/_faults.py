"""What `serve` can do to an answer: faults of servers and networks, and variants that the standard
allows.

A fault is written as `KIND`. One inside the body may be written as `KIND@N`: after N chunks of the
recording. Without `@N` it is in the middle. `_fault_rates.py` has those of only some answers.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable

from msgspec import Struct
from msgspec.structs import replace

from sansio_moondream import APIError, Dialect, ServerError, encode_error, encode_stream_error
from sansio_moondream._server.refusals import refusal
from sansio_moondream.recording import EOF, Chunk, Ending, Recording

from ._convert import JSON, is_stream, with_body, without_head

_OUT_OF_MEMORY = ServerError("the model ran out of memory", status_code=200, type="server_error")

FAULTS: dict[str, str] = {
    "close": "the connection is closed before the end of the body",
    "reset": "the connection is reset (RST), as by a machine that crashed",
    "stall": "nothing more comes, and the connection stays open",
    "truncate": "the body ends properly, but without an end-of-stream message",
    "garbage": "the next bytes are not HTTP",
    "no-head": "the connection is closed before the head of the answer",
    "error": "an error message comes inside the stream",
    "json-error": "the answer is 200 with an error as JSON, at once",
    "400 to 599": (
        "the answer has that status, and an error as JSON, at once; 429 and 503 come with "
        "Retry-After"
    ),
    "keep-alive": "a record without data comes; this and all that follow are valid",
    "no-space": "no space follows `data:`",
    "cr": "lines end in CR",
    "bom": "the stream begins with a byte order mark",
    "gzip": "the body is compressed, and flushed after each chunk",
}


_MAX_DIGITS = 12  # int() has a limit and a message of its own for thousands of digits


class HTTPFault(Struct, frozen=True):
    """A fault of an answer.

    Attributes:
        kind: one of FAULTS, or a status code.
        after: number of chunks before a fault inside the body, or None for the middle.
        retry_after: seconds that a 429 and a 503 ask for, or None for no such header.
    """

    kind: str
    after: int | None = None
    retry_after: float | None = 1.0

    @classmethod
    def parse(cls, text: str) -> HTTPFault:
        """Read a fault from a text. Raises ValueError."""
        kind, at, count = text.strip().partition("@")
        if at and not (count.isascii() and count.isdigit() and len(count) <= _MAX_DIGITS):
            raise ValueError(
                f"the @ of a fault should be followed by a number of chunks, not {count[:20]!r}"
            )
        if at and kind not in _INSIDE:
            raise ValueError(
                f"only {', '.join(_INSIDE)} can have a number of chunks, not {kind[:20]!r}"
            )
        if kind not in FAULTS and not (
            len(kind) == 3 and kind.isascii() and kind.isdigit() and 400 <= int(kind) <= 599
        ):
            raise ValueError(f"a fault should be one of {', '.join(FAULTS)}, not {kind[:20]!r}")
        return cls(kind, int(count) if at else None)

    @property
    def error(self) -> APIError | None:
        """The error that is answered in place of any recording, or None."""
        if self.kind == "json-error":
            return _OUT_OF_MEMORY
        if not self.kind.isdigit():
            return None
        error = refusal(int(self.kind), f"simulated fault {self.kind}")
        error.retry_after = self.retry_after if self.kind in ("429", "503") else None
        return error

    def apply(self, recording: Recording) -> Recording:
        """Return the recording with this fault in it."""
        if self.error is not None:
            return _refused(recording, self.error)
        if self.kind in _INSIDE:
            return _INSIDE[self.kind](recording, _first(recording, self.after))
        if self.kind in _VARIANTS and not (is_stream(recording) and recording.chunks):
            return recording
        return (_WHOLE | _VARIANTS)[self.kind](recording)


def _first(recording: Recording, after: int | None) -> tuple[Chunk, ...]:
    """Return the chunks before a fault: `after` of them, or half of them."""
    chunks = recording.chunks
    if after is not None:
        return chunks[:after]
    if len(chunks) == 1 and len(chunks[0].data) > 1:
        return (replace(chunks[0], data=chunks[0].data[: len(chunks[0].data) // 2]),)
    return chunks[: len(chunks) // 2]


def _break(fault: str, message: str = "") -> Callable[[Recording, tuple[Chunk, ...]], Recording]:
    return lambda recording, first: Recording(recording.header, first, Ending(0, fault, message))


def _truncate(recording: Recording, first: tuple[Chunk, ...]) -> Recording:
    return Recording(recording.header, first, Ending(0))


def _error(recording: Recording, first: tuple[Chunk, ...]) -> Recording:
    if not is_stream(recording):
        return _refused(recording, _OUT_OF_MEMORY)
    message = Chunk(0, encode_stream_error(_OUT_OF_MEMORY))
    return Recording(recording.header, (*first, message), Ending(0))


def _refused(recording: Recording, error: APIError) -> Recording:
    """Return the recording of an exchange that ended with an error in place of an answer."""
    status_code, (_, *headers), body = encode_error(error, Dialect.CLOUD)
    changed = with_body(recording, JSON, [Chunk(0, body)], Ending(0))
    header = replace(
        changed.header,
        status_code=status_code,
        response_headers=(*changed.header.response_headers, *headers),
    )
    return replace(changed, header=header)


def _no_head(recording: Recording) -> Recording:
    return without_head(recording, Ending(0, "ConnectionLost", "closed before the head"))


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


def _replaced(old: bytes, new: bytes) -> Callable[[Recording], Recording]:
    def apply(recording: Recording) -> Recording:
        return replace(
            recording,
            chunks=tuple(
                replace(chunk, data=chunk.data.replace(old, new)) for chunk in recording.chunks
            ),
        )

    return apply


_INSIDE: dict[str, Callable[[Recording, tuple[Chunk, ...]], Recording]] = {
    "close": _break("ConnectionLost"),
    "reset": _break("ConnectionLost", "reset"),
    "stall": _break("IdleTimeout"),
    "garbage": _break("RemoteProtocolError"),
    "truncate": _truncate,
    "error": _error,
}
_WHOLE: dict[str, Callable[[Recording], Recording]] = {
    "no-head": _no_head,
    "gzip": _gzip,
}
_VARIANTS: dict[str, Callable[[Recording], Recording]] = {  # of event streams
    "keep-alive": _keep_alive,
    "no-space": _replaced(b"data: ", b"data:"),
    "cr": _replaced(b"\n", b"\r"),
    "bom": _bom,
}
