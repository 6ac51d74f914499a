"""The fast path of HTTP/1.1: requests, and heads of responses, that need no h11.

It takes what nearly all exchanges without a stream are, and may refuse anything. What it refuses
goes to h11. What it takes, h11 takes with the same result. h11 needs 160 us for a request and a
response with a length, and this 14.

1. A request is plain if it is a POST with visible ASCII in its fields, and if no field but our own
   decides about the framing or the connection. After such a request h11 is always in the same
   state. So h11 comes into this state later, if the response needs it.
2. The head of a response is plain if it is a final one of HTTP/1.1 without a fault in its lines, if
   its body has one Content-Length and nothing else that says where it ends, and if the server keeps
   the connection.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence

import h11
from msgspec import Struct

from sansio_moondream._headers import Headers

_TOKEN = rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]++"
_VALUE = rb"[!-~]++(?:[ \t]++[!-~]++)*+"
_TARGET = re.compile(rb"[!-~]+")
_SENT_FIELD = re.compile(rb"%b: (?:%b)?\r\n" % (_TOKEN, _VALUE))
_STATUS_LINE = re.compile(rb"HTTP/1\.1 ([2-5][0-9][0-9])(?: [ -~]*+)?\r\n")
_FIELD = re.compile(rb"(%b):[ \t]*+(%b|)[ \t]*+\r\n" % (_TOKEN, _VALUE))
_LENGTH = re.compile(r"[0-9]{1,15}")
_OUR_FIELDS = (b"host", b"content-length")
_DECIDING_FIELDS = frozenset({*_OUR_FIELDS, b"connection", b"expect", b"transfer-encoding"})
_DECIDING_RESPONSE_FIELDS = frozenset({"connection", "content-length", "transfer-encoding"})
_WITHOUT_BODY = (204, 304)


class ResponseHead(Struct, frozen=True):
    """The head of a response: its `status_code` and its `headers`."""

    status_code: int
    headers: Headers


def plain_request(
    method: str, target: bytes, headers: Sequence[tuple[bytes, bytes]]
) -> tuple[bytes, bytes] | None:
    """Return the head of a request before and after the length of its body, or None if not plain.

    The second field is the length. The caller writes its value.
    """
    names = [name.lower() for name, _ in headers]
    if (
        method != "POST"
        or tuple(names[:2]) != _OUR_FIELDS
        or not _DECIDING_FIELDS.isdisjoint(names[2:])
        or not _TARGET.fullmatch(target)
    ):
        return None
    fields = [b"%b: %b\r\n" % field for field in headers]
    if not all(map(_SENT_FIELD.fullmatch, fields)):
        return None
    before = b"POST %b HTTP/1.1\r\n%bContent-Length: " % (target, fields[0])
    return before, b"\r\n%b\r\n" % b"".join(fields[2:])


def connection_after_request() -> h11.Connection:
    """Return the state of h11 after any plain request."""
    connection = new_connection()
    fields = [("Host", "localhost"), ("Content-Length", "0")]
    connection.send(h11.Request(method="POST", target="/", headers=fields))
    connection.send(h11.EndOfMessage())
    return connection


def new_connection() -> h11.Connection:
    """Return the state of h11 before a request."""
    # Our own limit applies instead of the limit of h11.
    return h11.Connection(h11.CLIENT, max_incomplete_event_size=sys.maxsize)


def plain_head(head: bytes) -> tuple[ResponseHead, int] | None:
    """Read the head of a response to a plain request, up to its blank line.

    Returns:
        The head and the length of the body, or None if it is not plain.
    """
    if (start := _STATUS_LINE.match(head)) is None:
        return None
    fields: list[tuple[bytes, bytes]] = []
    at = start.end()
    while field := _FIELD.match(head, at):
        fields.append((field[1], field[2]))
        at = field.end()
    status_code, headers = int(start[1]), Headers(fields)
    deciding = [field for field in headers.multi_items() if field[0] in _DECIDING_RESPONSE_FIELDS]
    lengths = [value for name, value in deciding if name == "content-length"]
    is_plain = (
        head[at:] == b"\r\n"
        and status_code not in _WITHOUT_BODY
        and len(lengths) == 1
        and _LENGTH.fullmatch(lengths[0])
        and (len(deciding) == 1 or _keeps_alive(headers))
    )
    return (ResponseHead(status_code, headers), int(lengths[0])) if is_plain else None


def _keeps_alive(headers: Headers) -> bool:
    """Return whether the deciding fields beside the length are only `Connection: keep-alive`."""
    connection = headers.get("connection", "keep-alive").lower()
    return "transfer-encoding" not in headers and connection == "keep-alive"


def is_surely_chunked(method: str, head: ResponseHead) -> bool:
    """Return whether the body is certainly in the chunked coding.

    Some responses have no body, whatever their head says (RFC 9112, section 6.3).
    """
    has_body = method == "POST" and head.status_code not in _WITHOUT_BODY
    return has_body and head.headers.get("transfer-encoding", "").lower() == "chunked"
