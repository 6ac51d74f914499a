"""A server on loopback that sends recorded bodies in the chunks it is told, for whoever's client
asks for a URL.

1. HTTP chunks and TCP segments are cut apart. `cut` says which of the two follow the chunks; see
   `framed`.
2. Segments are written one after the other with a little time between, and Nagle's algorithm is
   off. What the client's system has not handed over when the next one comes, it may hand over at
   once: a client that is slow to read sees fewer borders of segments. Borders of chunks are always
   there.
3. Each connection gets one answer. A recording that ended in a fault breaks off without HTTP's own
   ending.
4. Whatever is asked, the path says which recording answers, in which chunks: it begins with a
number."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import accumulate
from typing import Literal, TypeAlias, cast

from sansio_moondream.recording import EOF, Recording
from sansio_moondream.testing import at_offsets

Cut: TypeAlias = Literal["both", "chunks", "segments"]

_OURS = frozenset({"connection", "content-length", "keep-alive", "transfer-encoding"})
_PAUSE, _PAUSES = 0.001, 0.2  # seconds between two segments, and in all for one answer


class FragmentationServer(ThreadingHTTPServer):
    """Serves until it is closed. Its thread begins with the first address that is asked for."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.answers: list[list[bytes]] = []
        self._thread = threading.Thread(target=self.serve_forever, args=(0.02,), daemon=True)

    def url(self, recording: Recording, chunks: Sequence[bytes], cut: Cut) -> str:
        """Where the recording is answered in these chunks, at any path below."""
        if not self.answers:
            self._thread.start()
        self.answers.append([*framed(recording, chunks, cut)])
        return f"http://127.0.0.1:{self.server_port}/{len(self.answers) - 1}"

    def close(self) -> None:
        """Builder nobody any more."""
        if self.answers:
            self.shutdown()
            self._thread.join()
        self.server_close()


def framed(recording: Recording, chunks: Sequence[bytes], cut: Cut) -> Iterator[bytes]:
    """The segments of the whole response.

    For `"both"` each chunk is a chunk and a segment of its own; for `"chunks"` it is a chunk, and
    all come in one segment; for `"segments"` the chunks are those of the recording, and segments
    end where the chunks do."""
    if recording.header.status_code is None:
        return
    head = f"HTTP/1.1 {recording.header.status_code} Recorded\r\n"
    fields = [field for field in recording.header.response_headers if field[0].lower() not in _OURS]
    for name, value in (*fields, ("Transfer-Encoding", "chunked"), ("Connection", "close")):
        head += f"{name}: {value}\r\n"
    http_chunks = [chunk.data for chunk in recording.chunks] if cut == "segments" else chunks
    parts = _parts(http_chunks, {0, *accumulate(map(len, chunks))} if cut != "chunks" else set())
    waiting = (head + "\r\n").encode("latin-1")
    for part in parts:
        if part is None:
            yield waiting
            waiting = b""
        else:
            waiting += part
    yield waiting + (b"0\r\n\r\n" if recording.ending.fault == EOF else b"")


def _parts(chunks: Sequence[bytes], borders: set[int]) -> Iterator[bytes | None]:
    """The chunks with their framing; None is where a segment ends."""
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
    timeout = 30  # for a client that connects and says nothing

    def do_POST(self) -> None:
        self.close_connection = True
        with suppress(OSError):  # the client may leave when it likes
            self._read_body()
            number = self.path.split("/")[1].split("?")[0]
            answer = cast(FragmentationServer, self.server).answers[int(number)]
            pause = min(_PAUSE, _PAUSES / len(answer)) if answer else 0
            for segment in answer:
                self.wfile.write(segment)
                time.sleep(pause)

    def do_GET(self) -> None:
        self.do_POST()

    def _read_body(self) -> None:
        """To its end: a connection that is closed with bytes unread is reset, and the answer may be
        lost.
        """
        self.rfile.read(int(self.headers.get("content-length", 0)))
        if "chunked" in self.headers.get("transfer-encoding", ""):
            while size := int(self.rfile.readline().split(b";")[0], 16):
                self.rfile.read(size + 2)
            while self.rfile.readline().strip():
                pass

    def log_message(self, format: str, *args: object) -> None:
        """Nothing: a test has its own words."""
