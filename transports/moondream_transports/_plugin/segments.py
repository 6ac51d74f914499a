"""The TCP segments of a recorded response, for any HTTP client.

HTTP chunks and TCP segments are divided separately. A `Border` says which of the two follow the
given chunks.

PYTEST_DONT_REWRITE: nothing here asserts, and pytest warns about a plugin that is already imported.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import accumulate
from typing import Literal, TypeAlias

from sansio_moondream.recording import EOF, Recording
from sansio_moondream.testing import at_offsets

Border: TypeAlias = Literal["both", "chunks", "segments"]

_FRAMING = frozenset({"connection", "content-length", "keep-alive", "transfer-encoding"})


def segments_of(recording: Recording, chunks: Sequence[bytes], border: Border) -> Iterator[bytes]:
    """Yield the TCP segments of the complete response.

    Args:
        recording: gives the head and the ending.
        chunks: of the body.
        border: `"both"` makes each chunk an HTTP chunk and a segment. `"chunks"` makes each an HTTP
            chunk, all in one segment. `"segments"` keeps the recorded HTTP chunks, in segments that
            end where the chunks do.
    """
    if recording.header.status_code is None:
        return
    head = f"HTTP/1.1 {recording.header.status_code} Recorded\r\n"
    fields = [
        field for field in recording.header.response_headers if field[0].lower() not in _FRAMING
    ]
    for name, value in (*fields, ("Transfer-Encoding", "chunked"), ("Connection", "close")):
        head += f"{name}: {value}\r\n"
    http_chunks = [chunk.data for chunk in recording.chunks] if border == "segments" else chunks
    parts = _parts(http_chunks, {0, *accumulate(map(len, chunks))} if border != "chunks" else set())
    segment = (head + "\r\n").encode("latin-1", "replace")
    for part in parts:
        if part is None:
            yield segment
            segment = b""
        else:
            segment += part
    yield segment + (b"0\r\n\r\n" if recording.ending.fault == EOF else b"")


def _parts(chunks: Sequence[bytes], borders: set[int]) -> Iterator[bytes | None]:
    """Yield the chunks with their HTTP framing, and None where a segment ends."""
    start = 0
    for chunk in chunks:
        if start in borders:
            yield None
        yield b"%x\r\n" % len(chunk)
        inside = [at for at in range(1, len(chunk)) if start + at in borders]
        for number, part in enumerate(at_offsets(chunk, inside)):
            yield from (None, part) if number else (part,)
        yield b"\r\n"
        start += len(chunk)
    if start in borders:
        yield None
