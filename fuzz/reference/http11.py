"""A slow reader of HTTP/1.1 responses: the expected outcome of `HTTP11Exchange`.

It was written from RFC 9112 and the numbered rules of the core. It shares no code with the package
or with h11, and has all bytes at once. It tolerates more than the RFC, as h11 does:

1. Lines of a head may end in LF alone, and fields may be folded. Size lines of chunks may not, but
   they may end in blanks.
2. The reason phrase may be missing. Control characters other than NUL and white space are allowed
   in values.
3. The same length several times is that length.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

Fields = list[tuple[str, str]]
End = Literal["waiting", "finished", "lost", "refused"]

_TOKEN = frozenset(b"!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ")
_START = b"HTTP/1."


class Response(NamedTuple):
    status: int | None  # None where no head came
    fields: Fields
    body: bytes
    end: End
    reusable: bool


class _RefusedError(Exception):
    pass


class _BrokenOffError(Exception):
    """The size of a chunk is an empty line."""


class _MoreError(Exception):
    """The bytes are at their end before the response is."""


def expect(raw: bytes, eof: bool, limit: int) -> Response:
    """Read the response to a POST request.

    `limit` bounds all heads together, each size line, and the trailers.
    """
    body = bytearray()
    status: int | None = None
    fields: Fields = []
    try:
        status, fields, minor, at = _heads(raw, limit)
        at, closes = _body(raw, at, status, fields, eof, limit, body)
    except _RefusedError:
        return Response(status, fields, bytes(body), "refused", False)
    except _BrokenOffError:
        return Response(status, fields, bytes(body), "lost", False)
    except _MoreError:
        return Response(status, fields, bytes(body), "lost" if eof else "waiting", False)
    options = [
        option.strip().lower()
        for name, value in fields
        if name == "connection"
        for option in value.split(",")
    ]
    reusable = not (closes or eof or minor == 0 or "close" in options or at < len(raw))
    return Response(status, fields, bytes(body), "finished", reusable)


def _heads(raw: bytes, limit: int) -> tuple[int, Fields, int, int]:
    at = 0
    while True:
        seen = raw[at : min(limit, at + len(_START))]
        if seen != _START[: len(seen)]:
            raise _RefusedError
        end = _blank_line(raw, at)
        if end is None or end > limit:
            if len(raw) > limit or (len(raw) == limit and at < limit):
                raise _RefusedError
            raise _MoreError
        first, *lines = _lines(raw[at:end])
        status, minor = _status(first)
        fields = _fields(lines)
        at = end
        if status < 100 or status == 101:
            raise _RefusedError
        if status >= 200:
            names = {name for name, _ in fields}
            if {"content-length", "transfer-encoding"} <= names:
                raise _RefusedError
            return status, fields, minor, at


def _body(
    raw: bytes, at: int, status: int, fields: Fields, eof: bool, limit: int, body: bytearray
) -> tuple[int, bool]:
    """Where the body ends, and whether the connection ends with it."""
    named = dict(fields)
    if status in (204, 304):
        return at, False
    if "transfer-encoding" in named:
        return _chunks(raw, at, limit, body), False
    if "content-length" not in named:
        body += raw[at:]
        if not eof:
            raise _MoreError
        return len(raw), True
    length = int(named["content-length"])
    body += raw[at : at + length]
    if len(body) < length:
        raise _MoreError
    return at + length, False


def _chunks(raw: bytes, at: int, limit: int, body: bytearray) -> int:
    while size := _size(raw[at : (end := _line_end(raw, at, limit)) - 2]):
        body += raw[end : end + size]
        if end + size > len(raw):
            raise _MoreError
        at = end + size + 2
        footer = raw[end + size : at]
        if footer != b"\r\n"[: len(footer)]:
            raise _RefusedError
        if len(footer) < 2:
            raise _MoreError
    for nothing in (b"\n", b"\r\n"):
        if raw.startswith(nothing, end):
            return end + len(nothing)
    last = _blank_line(raw, end)
    if last is None or last - end > limit:
        if len(raw) - end > limit:
            raise _RefusedError
        raise _MoreError
    _fields(_lines(raw[end:last]))
    return last


def _line_end(raw: bytes, at: int, limit: int) -> int:
    end = raw.find(b"\r\n", at) + 2
    if end < 2 or end - at > limit:
        if len(raw) - at > limit:
            raise _RefusedError
        raise _MoreError
    return end


def _size(line: bytes) -> int:
    if not line:
        raise _BrokenOffError
    digits, semicolon, extension = line.partition(b";")
    if b"\n" in extension:
        raise _RefusedError
    if not semicolon:
        digits = digits.rstrip(b" \t")
    if not 1 <= len(digits) <= 20 or digits.lower().strip(b"0123456789abcdef"):
        raise _RefusedError
    return int(digits, 16)


def _blank_line(raw: bytes, at: int) -> int | None:
    """Where the first blank line ends."""
    ends = [
        found + len(blank) for blank in (b"\n\n", b"\n\r\n") if (found := raw.find(blank, at)) >= 0
    ]
    return min(ends, default=None)


def _lines(head: bytes) -> list[bytes]:
    return [line.removesuffix(b"\r") for line in head.split(b"\n")][:-2]


def _status(line: bytes) -> tuple[int, int]:
    version, code, words = line[:8], line[8:12], line[12:]
    right = (
        version[:7] == _START
        and version[7:8].isdigit()
        and code[:1] == b" "
        and len(code) == 4
        and code[1:].isdigit()
    )
    if not right or (words and words[:1] != b" ") or not _is_value(words):
        raise _RefusedError
    return int(code[1:]), version[7] - 48


def _fields(lines: list[bytes]) -> Fields:
    unfolded: list[bytes] = []
    for line in lines:
        if line[:1] not in (b" ", b"\t"):
            unfolded.append(line)
        elif unfolded:
            unfolded[-1] += b" " + line.lstrip(b" \t")
        else:
            raise _RefusedError
    fields: Fields = []
    for line in unfolded:
        name, colon, value = line.partition(b":")
        value = value.strip(b" \t")
        if not colon or not name or not _TOKEN.issuperset(name) or not _is_value(value):
            raise _RefusedError
        fields.append((name.decode().lower(), value.decode("latin-1")))
    return _settled(fields)


def _is_value(value: bytes) -> bool:
    return not any(byte in b"\x00\n\r\x0b\x0c" for byte in value)


def _settled(fields: Fields) -> Fields:
    """With one length at most, as a number, and one coding at most, which is chunked."""
    lengths = {
        length.strip()
        for name, value in fields
        if name == "content-length"
        for length in value.split(",")
    }
    codings = [value.lower() for name, value in fields if name == "transfer-encoding"]
    if len(lengths) > 1 or codings not in ([], ["chunked"]):
        raise _RefusedError
    for length in lengths:
        if not 1 <= len(length) <= 20 or length.strip("0123456789"):
            raise _RefusedError
    settled: Fields = []
    for name, value in fields:
        if name == "transfer-encoding":
            value = "chunked"
        if name == "content-length":
            if any(name == other for other, _ in settled):
                continue
            value = next(iter(lengths))
        settled.append((name, value))
    return settled
