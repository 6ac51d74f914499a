"""Compressed bodies, inflated as they come: bounded, and the same however they are cut.

Source: RFC 9110, section 8.4.1; "deflate" there is the zlib format (RFC 1950). HTTP clients should
be told to hand bodies over as they came; one that inflates all the same is noticed by the first two
bytes, and its bytes are taken as they are."""

from __future__ import annotations

import zlib
from typing import Any

from sansio_moondream._errors import LimitExceeded, MoondreamError, RemoteProtocolError
from sansio_moondream._limits import Limits

_SLACK = 1024 * 1024  # what a short run of blanks may inflate to without being called a bomb
# The ratio is looked at after each so many compressed bytes, counted from the first, so that it
# does not depend on the fragmentation; what one block can inflate to (1032 times its size at most)
# is what memory has to hold beyond the limit.
_BLOCK = 1024
_GZIP = b"\x1f\x8b"
_EITHER = 47  # 32 + 15, zlib's words for: a gzip or a zlib header, and the largest window


class Inflater:
    """`feed` gives the plain bytes of what came in, and the fault that follows them, if there is
    one.
    """

    def __init__(self, coding: str, limits: Limits) -> None:
        self._coding = coding
        self._ratio = limits.max_inflate_ratio
        self._head = b""  # the first two bytes decide, once they are there
        self._decide = True
        self._engine: Any = None
        self._over = False
        self._taken = self._given = 0

    def feed(self, data: bytes) -> tuple[bytes, MoondreamError | None]:
        if self._decide:
            self._head += data
            if len(self._head) < 2:
                return b"", None
            data, self._head, self._decide = self._head, b"", False
            if self._is_compressed(data):
                self._engine = zlib.decompressobj(_EITHER)
            elif not _looks_like_text(data):
                return b"", _not_as_announced(self._coding, data)
        if self._engine is None:
            return data, None
        plain: list[bytes] = []
        for block in self._blocks(data):
            before = self._engine.copy()
            try:
                plain.append(self._inflate(block))
            except zlib.error:
                # The engine keeps what it had inflated before the fault to itself: go over the
                # block again, byte by byte.
                self._engine = before
                fault = self._break(block, plain)
                return b"".join(plain), fault
            self._taken += len(block)
            self._given += len(plain[-1])
            if self._taken % _BLOCK == 0 and self._given > _SLACK + self._taken * self._ratio:
                error = LimitExceeded(
                    f"the compressed body inflates more than Limits.max_inflate_ratio ({self._ratio} times)"
                )
                return b"".join(plain), error
        return b"".join(plain), None

    def end(self) -> bytes:
        """At the end of input: a body too short to decide is taken as it is."""
        head, self._head = self._head, b""
        return head

    def _is_compressed(self, data: bytes) -> bool:
        if self._coding == "gzip":
            return data.startswith(_GZIP)
        return data[0] & 0x0F == 8 and (data[0] * 256 + data[1]) % 31 == 0

    def _blocks(self, data: bytes) -> list[bytes]:
        first = _BLOCK - self._taken % _BLOCK
        return [data[:first], *(data[at : at + _BLOCK] for at in range(first, len(data), _BLOCK))]

    def _inflate(self, block: bytes) -> bytes:
        plain = b""
        while block and not self._over:
            if self._engine.eof:
                # A gzip body may be several, one after the other (RFC 1952, section 2.2). Anything
                # else after the end is let go.
                self._over = self._coding != "gzip" or block[:1] != _GZIP[:1]
                self._engine = zlib.decompressobj(_EITHER)
            else:
                plain += self._engine.decompress(block)
                block = self._engine.unused_data
        return plain

    def _break(self, block: bytes, plain: list[bytes]) -> RemoteProtocolError:
        try:
            for byte in block:
                plain.append(self._inflate(bytes((byte,))))
        except zlib.error as error:
            fault = RemoteProtocolError(f"the server sent a broken {self._coding} body: {error}")
            fault.__cause__ = error
            return fault
        raise AssertionError(
            "zlib refused a block and then every byte of it went in"
        )  # pragma: no cover


def _looks_like_text(data: bytes) -> bool:
    """Whether a body begins as an event stream, JSON or HTML does.

    Raw deflate data can only by rare chance.
    """
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
