"""Messages to bytes, in all the ways in which servers and proxies may spell them; decoders must not
see a difference.

The rules are the WHATWG's (HTML Living Standard, 9.2.5 and 9.2.6), and JSON's (RFC 8259). The
plainest spelling, to which all shrink, is the one of the servers: `data: `, JSON on one line, ASCII
only, LF, LF."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any

from hypothesis import strategies as st

_STRING = re.compile(r'"(?:[^"\\]|\\.)*"')
_STYLES: st.SearchStrategy[dict[str, Any]] = st.sampled_from(
    [
        {},
        {"ensure_ascii": False},
        {"separators": (",", ":")},
        {"ensure_ascii": False, "separators": (",", ":"), "sort_keys": True},
        {"indent": 1},  # which makes several data lines
    ]
)
_MARKS = st.sampled_from([b"", b"\xef\xbb\xbf"])
_LINE_ENDS = st.sampled_from([b"\n", b"\r\n", b"\r"])
_SPACES = st.sampled_from([b" ", b""])
_choices = st.booleans()
# Lines that say nothing, and are no data lines though some look like one.
_IDLE_LINES = st.lists(
    st.sampled_from(
        [
            *(b":", b": ping", b':data: {"chunk": "no"}', "déjà vu: 月".encode()),
            *(b"id: 1", b"id", b"retry: 3000", b"event: message", b"event", b"x: y"),
            *(
                b"Data: no",
                b' data: {"chunk": "no"}',
                b"data",
            ),  # the last is one, with nothing in it: a blank between JSON's lines
        ]
    ),
    max_size=2,
)


def json_text(draw: st.DrawFn, value: Any) -> bytes:
    """A JSON text of the value:

    ASCII or raw UTF-8, with blanks or without, perhaps with every character of its strings escaped.
    """
    text = json.dumps(value, **draw(_STYLES))
    if draw(_choices):
        text = _STRING.sub(lambda string: _escaped(json.loads(string[0])), text)
    return text.encode()


def _escaped(text: str) -> str:
    units = text.encode("utf-16-be").hex()
    return '"' + "".join(f"\\u{units[at : at + 4]}" for at in range(0, len(units), 4)) + '"'


def event_stream(draw: st.DrawFn, records: Sequence[tuple[str | None, Any]]) -> bytes:
    """The body of an event stream with these records: the name of each, if it has one, and its
    message.
    """
    if not draw(_choices):
        return b"".join(
            _record(name, [b" " + json.dumps(message).encode()], b"\n") for name, message in records
        )
    body = draw(_MARKS)
    for name, message in records:
        line_end = draw(
            _LINE_ENDS
        )  # one for each record: a LF for its blank line, after a CR, would be none
        for line in draw(_IDLE_LINES):
            body += line + line_end * 2
        space = draw(_SPACES)
        idle = draw(_IDLE_LINES)
        body += _record(
            name, [space + line for line in json_text(draw, message).split(b"\n")], line_end, idle
        )
    return body


def _record(
    name: str | None, values: Sequence[bytes], line_end: bytes, idle: Sequence[bytes] = ()
) -> bytes:
    """One record. The idle lines come first, and the last of them last, but where its name would
    take the record's own.
    """
    lines = [
        *([] if name is None else [b"event: " + name.encode()]),
        *(b"data:" + value for value in values),
    ]
    lines = [*idle[:-1], *lines, *idle[-1:]] if name is None else [*idle, *lines]
    return line_end.join([*lines, b"", b""])
