"""Compressed bodies, inflated one byte at a time."""

from __future__ import annotations

import zlib

from sansio_moondream import LimitExceeded, MoondreamError, RemoteProtocolError

SLACK = 2 * 1024 * 1024
"""Inflated bytes to which `Limits.max_inflate_ratio` does not apply."""
_BLOCK = 1024  # compressed bytes after which more may be inflated
_WEIGHTS = [80 if byte in b"\r\n\\" else 10 if byte in b"[{," else 1 for byte in range(256)]
"""What each inflated byte counts."""
_EITHER = 32 + 15  # zlib's `wbits` for the headers of gzip and zlib
_TEXT = (b"{", b"[", b"<", b" ", b"\t", b"\r", b"\n", b":", b"da", b"ev", b"id", b"re", b"\xef\xbb")


def inflate(coding: str, wire: bytes, ratio: int) -> tuple[bytes, type[MoondreamError] | None]:
    """Return the inflated bytes of a gzip or deflate body, and the class of its fault or None.

    A body that does not begin as announced, but as text does, has been inflated before.
    """
    if len(wire) < 2:
        return wire, None
    zlib_head = wire[0] % 16 == 8 and (wire[0] * 256 + wire[1]) % 31 == 0
    if not (wire.startswith(b"\x1f\x8b") if coding == "gzip" else zlib_head):
        return (wire, None) if wire.startswith(_TEXT) else (b"", RemoteProtocolError)
    plain = bytearray()
    engine = zlib.decompressobj(_EITHER)
    at_end = False
    left = SLACK
    for taken, byte in enumerate(wire):
        if taken % _BLOCK == 0 and taken > 0:
            left += _BLOCK * ratio
        if engine.eof and not at_end:
            # Another member of a gzip body may follow. Anything else is ignored.
            at_end = coding != "gzip" or byte != 0x1F
            engine = zlib.decompressobj(_EITHER)
        try:
            more = b"" if at_end else engine.decompress(bytes([byte]))
        except zlib.error:
            return bytes(plain), RemoteProtocolError
        if sum(map(_WEIGHTS.__getitem__, more)) > left:
            for value in more:
                left -= _WEIGHTS[value]
                if left < 0:
                    return bytes(plain), LimitExceeded
                plain.append(value)
        left -= sum(map(_WEIGHTS.__getitem__, more))
        plain += more
    return bytes(plain), None
