"""A server on loopback that sends recorded bodies in given chunks, for any HTTP client.

1. HTTP chunks and TCP segments are divided separately. A `Border` says which of the two follow the
   given chunks; see `segments_of`.
2. Segments are written one by one, with a short pause between them and without Nagle's algorithm.
   The client's system may still join segments if the client reads slowly. It never joins HTTP
   chunks.
3. Each connection gets one answer. A recording that ended in an error ends without the last HTTP
   chunk.
4. The path of the URL begins with the number of the answer. The request is ignored otherwise.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import accumulate
from typing import Literal, TypeAlias, cast

from sansio_moondream.recording import EOF, Recording, RecordingReader, encode_line
from sansio_moondream.testing import at_offsets

Border: TypeAlias = Literal["both", "chunks", "segments"]

_FRAMING = frozenset({"connection", "content-length", "keep-alive", "transfer-encoding"})
_PAUSE, _MAX_PAUSES = 0.001, 0.2  # seconds between two segments, and in one answer in total


class FragmentationServer(ThreadingHTTPServer):
    """Serve until closed. The thread starts with the first address."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.answers: list[list[bytes]] = []
        self._thread = threading.Thread(target=self.serve_forever, args=(0.02,), daemon=True)

    def url(self, recording: Recording, chunks: Sequence[bytes], border: Border) -> str:
        """Return the address that answers in these chunks, at any path below it.

        Raises RecordingError for a recording that could not be read from a file, such as one with
        a line end in a header field.
        """
        RecordingReader().receive_line(encode_line(recording.header))
        if not self.answers:
            self._thread.start()
        self.answers.append([*segments_of(recording, chunks, border)])
        return f"http://127.0.0.1:{self.server_port}/{len(self.answers) - 1}"

    def close(self) -> None:
        """Stop the server."""
        if self.answers:
            self.shutdown()
            self._thread.join()
        self.server_close()


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


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    timeout = 30  # for a client that connects and sends nothing

    def do_POST(self) -> None:
        self.close_connection = True
        with suppress(OSError):  # the client may leave
            self._read_body()
            number = self.path.split("/")[1].split("?")[0]
            answer = cast(FragmentationServer, self.server).answers[int(number)]
            pause = min(_PAUSE, _MAX_PAUSES / len(answer)) if answer else 0
            for segment in answer:
                self.wfile.write(segment)
                time.sleep(pause)

    def do_GET(self) -> None:
        self.do_POST()

    def _read_body(self) -> None:
        """Read the request completely.

        Closing a socket with unread bytes resets the connection, and the answer may be lost.
        """
        self.rfile.read(int(self.headers.get("content-length", 0)))
        if "chunked" in self.headers.get("transfer-encoding", ""):
            while size := int(self.rfile.readline().split(b";")[0], 16):
                self.rfile.read(size + 2)
            while self.rfile.readline().strip():
                pass

    def log_message(self, format: str, *args: object) -> None:
        """Log nothing."""
