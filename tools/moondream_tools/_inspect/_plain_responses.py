"""What two HTTP libraries give a loop of a broken recording: their lines, chunks and exceptions.

1. `Urlopen` is the response of the standard library, `Httpx` that of httpx. Each does what the real
   one does if the server sends each chunk as an HTTP chunk. The tests hold them against both.
2. A fault of the connection is raised where the bytes end. The standard library does not raise for
   a connection that is closed between two HTTP chunks. A body that is as long as its
   Content-Length says is whole.
3. httpx is not imported, so that the page needs no HTTP library. What a library raises is `Raised`.
"""

from __future__ import annotations

import codecs
import io
import zlib
from collections.abc import Callable, Iterator, Sequence

from sansio_moondream import Headers
from sansio_moondream.recording import EOF

MAX_INFLATED = 64 * 1024 * 1024
"""Where this model stops. The library would go on."""
_SLOW = ("punycode", "idna")
"""Charsets whose work is quadratic in the bytes. No body has one."""
_SILENCE = ("TimeoutError", "FirstEventTimeout", "IdleTimeout", "TotalTimeout")


class Raised(Exception):
    """An exception of an HTTP library.

    Attributes:
        name: of its class.
    """

    def __init__(self, name: str, message: str) -> None:
        super().__init__(message)
        self.name = name


class Silence(Exception):
    """The loop waits for bytes, and nothing ends the wait."""


class Response:
    """A response whose body has been broken.

    Args:
        status_code: of the response, or None if no head came.
        headers: of the response.
        chunks: of the body, as they were received.
        ending, message: how the body ended, as in a recording.
    """

    def __init__(
        self,
        status_code: int | None,
        headers: Sequence[tuple[str, str]],
        chunks: Sequence[bytes],
        ending: str,
        message: str,
    ) -> None:
        self._status_code = status_code
        self._headers = Headers(headers)
        self._chunks = chunks
        is_whole = self._headers.get("content-length") == str(sum(map(len, chunks)))
        self._ending = EOF if is_whole else ending
        self._is_reset = self._ending != EOF and "reset" in message.lower()


class Urlopen(Response):
    """What `urllib.request.urlopen` returns."""

    def lines(self) -> Iterator[bytes]:
        """Yield lines, each with its line end, which is LF."""
        self._open()
        lines = list(io.BytesIO(b"".join(self._chunks)))
        if self._is_noticed and lines and not lines[-1].endswith(b"\n"):
            lines.pop()
        yield from lines
        self._end()

    def read(self) -> bytes:
        """Return the body. It is compressed, if the server did that."""
        self._open()
        self._end()
        body = b"".join(self._chunks)
        if self._ending != EOF:
            raise Raised("http.client.IncompleteRead", f"IncompleteRead({len(body)} bytes read)")
        return body

    def _open(self) -> None:
        if self._status_code is None:
            if self._ending in _SILENCE:
                raise Silence
            raise Raised("urllib.error.URLError", "no response came")
        if self._status_code >= 300:
            raise Raised("urllib.error.HTTPError", f"HTTP Error {self._status_code}")

    @property
    def _is_noticed(self) -> bool:
        """Whether the library notices how the body ends, beside what is missing."""
        return self._ending in (*_SILENCE, "RemoteProtocolError") or self._is_reset

    def _end(self) -> None:
        """Raise what the library does at the end of the bytes."""
        if self._ending in _SILENCE:
            raise Silence
        if self._is_reset:
            raise Raised("ConnectionResetError", "[Errno 104] Connection reset by peer")
        if self._ending == "RemoteProtocolError":
            raise Raised("http.client.IncompleteRead", "IncompleteRead(0 bytes read)")


class Httpx(Response):
    """What `client.stream` of httpx returns."""

    def iter_bytes(self) -> Iterator[bytes]:
        """Yield the chunks, inflated."""
        if self._status_code is None:
            if self._ending in _SILENCE:
                raise Raised("httpx.ReadTimeout", "The read operation timed out")
            raise Raised("httpx.ConnectError", "no response came")
        if self._status_code >= 300:  # the loop calls `raise_for_status`, as it should
            raise Raised("httpx.HTTPStatusError", f"the status is {self._status_code}")
        inflate = _inflater(self._headers.get("content-encoding", ""))
        for chunk in self._chunks:
            if data := inflate(chunk):
                yield data
        self._end()

    def iter_lines(self) -> Iterator[str]:
        """Yield lines without their ends. All line ends of Unicode end a line.

        What is not text becomes U+FFFD. The last line needs no end, if the body ends properly.
        """
        data = bytearray()
        error: Raised | None = None
        try:
            for chunk in self.iter_bytes():
                data += chunk
        except Raised as raised:
            error = raised
        lines = self._text(data).splitlines(keepends=True)
        if error is not None and lines and _is_open(lines[-1]):
            lines.pop()
        for line in lines:
            yield line.splitlines()[0]
        if error is not None:
            raise error

    def _text(self, data: bytearray) -> str:
        charset = self._headers.get("content-type", "").partition("charset=")[2].strip("\"' ")
        try:
            if codecs.lookup(charset or "utf-8").name in _SLOW:
                charset = "utf-8"
            return data.decode(charset or "utf-8", "replace")
        except (LookupError, ValueError):  # not the name of a charset
            return data.decode("utf-8", "replace")

    def _end(self) -> None:
        if self._ending == EOF:
            return
        if self._ending in _SILENCE:
            raise Raised("httpx.ReadTimeout", "The read operation timed out")
        if self._is_reset:
            raise Raised("httpx.ReadError", "[Errno 104] Connection reset by peer")
        raise Raised(
            "httpx.RemoteProtocolError",
            "peer closed connection without sending complete message body "
            "(incomplete chunked read)",
        )


def _inflater(coding: str) -> Callable[[bytes], bytes]:
    """Return a function that inflates chunks."""
    if coding not in ("gzip", "deflate"):
        return bytes
    inflater = zlib.decompressobj(47)  # gzip or zlib, by the first bytes
    size = 0

    def inflate(chunk: bytes) -> bytes:
        nonlocal size
        try:
            data = inflater.decompress(chunk, MAX_INFLATED - size + 1)
        except zlib.error as error:
            raise Raised("httpx.DecodingError", str(error)) from error
        size += len(data)
        if size > MAX_INFLATED:
            raise Raised("MemoryError", f"the body inflates to more than {MAX_INFLATED:,} bytes")
        return data

    return inflate


def _is_open(line: str) -> bool:
    """Return whether a line may go on. A CR may be the first half of its end."""
    return line.endswith("\r") or line.splitlines()[0] == line
