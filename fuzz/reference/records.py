"""Bytes to lines, and lines to records: the WHATWG's text, "Parsing an event stream"."""

from __future__ import annotations

import re
from typing import NamedTuple

AT_END = 1 << 62
"""Due only when the body ends."""
BYTE_ORDER_MARK = b"\xef\xbb\xbf"


class Line(NamedTuple):
    """A line. `due` is after its line end, but before the LF of a CR LF."""

    text: bytes
    start: int
    due: int


class Record(NamedTuple):
    """A record. It is due after that many bytes of the body."""

    name: bytes
    data: bytes
    due: int


class Records(NamedTuple):
    """The records of a stream.

    Attributes:
        whole: those that a blank line ended.
        too_long: when the stream exceeds the limit, or None. Nothing after that matters.
        last: the record that the end of input left unfinished, if it has data.
        unfinished: whether the stream ends inside a line, or inside a record that has data.
    """

    whole: list[Record]
    too_long: int | None
    last: Record | None
    unfinished: bool


def lines_of(stream: bytes) -> list[Line]:
    """Split a stream into lines, which end in CR LF, LF or CR.

    A CR ends its line at once, as nobody can know yet whether an LF will follow.
    """
    lines: list[Line] = []
    start = 0
    for end in re.finditer(rb"\r\n|\n|\r", stream):
        lines.append(Line(stream[start : end.start()], start, end.start() + 1))
        start = end.end()
    if start < len(stream):
        lines.append(Line(stream[start:], start, AT_END))
    return lines


def records_of(stream: bytes, max_bytes: int, max_lines: int = 1 << 40) -> Records:
    """Read the records of a whole stream."""
    whole: list[Record] = []
    name, data = b"", list[bytes]()
    for number, line in enumerate(lines_of(stream)):
        if len(line.text) > max_bytes:
            return Records(whole, line.start + max_bytes + 1, None, False)
        text = line.text.removeprefix(BYTE_ORDER_MARK) if number == 0 else line.text
        if text == b"" and line.due != AT_END:
            if data:
                whole.append(Record(name, b"\n".join(data), line.due))
            name, data = b"", []
        field, colon, value = text.partition(b":")
        if colon and value[:1] == b" ":
            value = value[1:]
        if field == b"event":
            name = value
        if field == b"data":
            data.append(value)
            if len(b"\n".join(data)) > max_bytes or len(data) > max_lines:
                return Records(whole, line.due, None, False)
    unfinished = bool(data) or not (stream == b"" or stream.endswith((b"\n", b"\r")))
    last = Record(name, b"\n".join(data), AT_END) if data else None
    return Records(whole, None, last, unfinished)
