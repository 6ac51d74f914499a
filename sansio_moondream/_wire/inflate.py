"""Compressed bodies: inflated in chunks, bounded, and the same for any chunks.

Source: RFC 9110, section 8.4.1; "deflate" there is the zlib format (RFC 1950). An HTTP client
should hand a body over undecoded. If it has inflated the body all the same, the first two bytes
show it, and the body is taken unchanged.
"""

from __future__ import annotations

import zlib
from bisect import bisect_right
from typing import Any

from sansio_moondream._errors import LimitExceeded, MoondreamError, RemoteProtocolError
from sansio_moondream._headers import Headers
from sansio_moondream._limits import Limits

_SLACK = 2 * 1024 * 1024
"""Inflated bytes to which the ratio does not apply: a short run of blanks is no bomb."""
_BLOCK = 1024
"""Compressed bytes after which more may be inflated.

Blocks are counted from the first byte, so what is allowed does not depend on the chunks.
"""
_LINE_ENDS_AND_ESCAPES = b"\r\n\\"
_SEPARATORS = b"[{,"
_GZIP = b"\x1f\x8b"
_GZIP_OR_ZLIB = 32 + 15
"""zlib's `wbits` for either header and the largest window."""


# RFC 9110 has only "identity" for a body without a coding. Servers send the others as well.
_NO_CODINGS = frozenset({"", "identity", "none", "utf-8", "utf8"})


def content_coding(headers: Headers) -> str:
    """Return the codings of a body, in a list as in the field, without those that mean none."""
    if not (field := headers.get("content-encoding", "")):
        return ""
    names = (coding.strip().removeprefix("x-") for coding in field.lower().split(","))
    return ", ".join(name for name in names if name not in _NO_CODINGS)


class Inflater:
    """Inflate one body.

    Args:
        coding: "gzip" or "deflate".
        limits: `max_inflate_ratio` applies.
    """

    def __init__(self, coding: str, limits: Limits) -> None:
        self._coding = coding
        self._ratio = limits.max_inflate_ratio
        self._head = b""  # the first two bytes decide if the body is compressed
        self._undecided = True
        self._engine: Any = None  # None if the body is not compressed
        self._at_end = False  # of the compressed data
        self._bytes_in = 0
        self._left = _SLACK  # of what may be inflated in this block, by `_work`

    def feed(self, data: bytes) -> tuple[bytes, MoondreamError | None]:
        """Return the inflated bytes, and the fault that follows them or None."""
        if self._undecided:
            self._head += data
            if len(self._head) < 2:
                return b"", None
            data, self._head, self._undecided = self._head, b"", False
            if self._is_compressed(data):
                self._engine = zlib.decompressobj(_GZIP_OR_ZLIB)
            elif not _looks_like_text(data):
                return b"", _not_as_announced(self._coding, data)
        if self._engine is None:
            return data, None
        plain: list[bytes] = []
        for block in self._blocks(data):
            before = self._engine.copy()
            fault: MoondreamError | None = None
            try:
                inflated = self._inflate(block)
            except zlib.error:
                # zlib does not return what it had inflated before the fault.
                self._engine = before
                inflated, fault = self._inflate_up_to_fault(block)
            work = _work(inflated)
            if work > self._left:
                inflated = _within(inflated, self._left)
                fault = LimitExceeded(
                    "the compressed body inflates more than Limits.max_inflate_ratio "
                    f"({self._ratio} times)"
                )
            plain.append(inflated)
            if fault is not None:
                return b"".join(plain), fault
            self._left -= work
            self._bytes_in += len(block)
            if self._bytes_in % _BLOCK == 0:
                self._left += _BLOCK * self._ratio
        return b"".join(plain), None

    def end(self) -> bytes:
        """Return the rest at the end of input: a body that is too short to be compressed."""
        head, self._head = self._head, b""
        return head

    def _is_compressed(self, data: bytes) -> bool:
        if self._coding == "gzip":
            return data.startswith(_GZIP)
        return data[0] & 0x0F == 8 and (data[0] * 256 + data[1]) % 31 == 0

    def _blocks(self, data: bytes) -> list[bytes]:
        first = _BLOCK - self._bytes_in % _BLOCK
        return [data[:first], *(data[at : at + _BLOCK] for at in range(first, len(data), _BLOCK))]

    def _inflate(self, block: bytes) -> bytes:
        """Inflate a block, but not much beyond what is left."""
        plain = b""
        while block and not self._at_end and len(plain) <= self._left:
            if self._engine.eof:
                # A gzip body may consist of several members (RFC 1952, section 2.2). Anything else
                # after the end is ignored.
                self._at_end = self._coding != "gzip" or block[:1] != _GZIP[:1]
                self._engine = zlib.decompressobj(_GZIP_OR_ZLIB)
            else:
                plain += self._engine.decompress(block, self._left + 1)
                block = self._engine.unused_data
        return plain

    def _inflate_up_to_fault(self, block: bytes) -> tuple[bytes, RemoteProtocolError]:
        plain: list[bytes] = []
        try:
            for byte in block:
                plain.append(self._inflate(bytes((byte,))))
        except zlib.error as error:
            fault = RemoteProtocolError(f"the server sent a broken {self._coding} body: {error}")
            fault.__cause__ = error
            return b"".join(plain), fault
        raise AssertionError("zlib refused a block, but no byte of it")  # pragma: no cover


def _work(plain: bytes) -> int:
    """Return what inflated bytes count: their number, and more for those that cost more.

    A record of nine bytes costs as much as a text of a thousand. 64 KiB of gzip that inflate to the
    default limit take 0.1 to 0.3 s, whatever is in them.
    """
    expensive = len(plain) - len(plain.translate(None, _LINE_ENDS_AND_ESCAPES))
    separators = len(plain) - len(plain.translate(None, _SEPARATORS))
    return len(plain) + 79 * expensive + 9 * separators


def _within(plain: bytes, limit: int) -> bytes:
    """Return the longest beginning whose work is within the limit."""
    sizes = range(1, len(plain) + 1)
    return plain[: bisect_right(sizes, limit, key=lambda size: _work(plain[:size]))]


def _looks_like_text(data: bytes) -> bool:
    """Whether a body begins as an event stream, JSON or HTML does."""
    return data[:1] in b"{[< \t\r\n:" or data[:2] in (b"da", b"ev", b"id", b"re", b"\xef\xbb")


def _not_as_announced(coding: str, data: bytes) -> RemoteProtocolError:
    kind = (
        "raw deflate data, or something else that is neither zlib nor text"
        if coding == "deflate"
        else "neither gzip nor text"
    )
    return RemoteProtocolError(
        f"the server announced a {coding} body and sent {kind}: it begins with {data[:2]!r}. "
        "Ask for `Accept-Encoding: identity`, as requests made here do."
    )
