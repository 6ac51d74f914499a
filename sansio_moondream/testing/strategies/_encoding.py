"""Messages to bytes, in all formats that servers and proxies may use. They decode to the same.

The rules are the WHATWG's (HTML Living Standard, 9.2.5 and 9.2.6) and JSON's (RFC 8259). All
formats shrink to the servers' own: `data: `, JSON on one line, ASCII only, LF, LF.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any

from hypothesis import strategies as st

_STRING = re.compile(r'"(?:[^"\\]|\\.)*"')
_JSON_OPTIONS: st.SearchStrategy[dict[str, Any]] = st.sampled_from(
    [
        {},
        {"ensure_ascii": False},
        {"separators": (",", ":")},
        {"ensure_ascii": False, "separators": (",", ":"), "sort_keys": True},
        {"indent": 1},  # several data lines
    ]
)
_BYTE_ORDER_MARKS = st.sampled_from([b"", b"\xef\xbb\xbf"])
_LINE_ENDS = st.sampled_from([b"\n", b"\r\n", b"\r"])
_SPACES = st.sampled_from([b" ", b""])
_booleans = st.booleans()
# Lines without meaning. Some look like data lines. Only "data" is one: it is empty, which is a
# blank between lines of JSON.
_IGNORED_LINES = st.lists(
    st.sampled_from(
        [
            *(b":", b": ping", b':data: {"chunk": "no"}', "déjà vu: 月".encode()),
            *(b"id: 1", b"id", b"retry: 3000", b"event: message", b"event", b"x: y"),
            *(b"Data: no", b' data: {"chunk": "no"}', b"data"),
        ]
    ),
    max_size=2,
)


def json_text(draw: st.DrawFn, value: Any) -> bytes:
    """Encode a value as JSON: ASCII or UTF-8, any blanks, perhaps with all characters escaped."""
    text = json.dumps(value, **draw(_JSON_OPTIONS))
    if draw(_booleans):
        text = _STRING.sub(lambda string: _escape(json.loads(string[0])), text)
    return text.encode()


def _escape(text: str) -> str:
    units = text.encode("utf-16-be").hex()
    return '"' + "".join(f"\\u{units[at : at + 4]}" for at in range(0, len(units), 4)) + '"'


def event_stream(draw: st.DrawFn, records: Sequence[tuple[str | None, Any]]) -> bytes:
    """Encode records as an event stream. Each has an event name or None, and a message."""
    if not draw(_booleans):
        return b"".join(
            _record(name, [b" " + json.dumps(message).encode()], b"\n") for name, message in records
        )
    body = draw(_BYTE_ORDER_MARKS)
    for name, message in records:
        # One kind for each record: CR LF in two kinds would be one line end instead of two.
        line_end = draw(_LINE_ENDS)
        for line in draw(_IGNORED_LINES):
            body += line + line_end * 2
        space = draw(_SPACES)
        ignored = draw(_IGNORED_LINES)
        values = [space + line for line in json_text(draw, message).split(b"\n")]
        body += _record(name, values, line_end, ignored)
    return body


def _record(
    name: str | None, values: Sequence[bytes], line_end: bytes, ignored: Sequence[bytes] = ()
) -> bytes:
    """Encode one record.

    The last of the ignored lines is the last line, unless the record has a name, which an `event:`
    line would replace.
    """
    data = [b"data:" + value for value in values]
    if name is not None:
        data.insert(0, b"event: " + name.encode())
    after = ignored[-1:] if name is None else ()
    lines = [*ignored[: len(ignored) - len(after)], *data, *after]
    return line_end.join([*lines, b"", b""])
