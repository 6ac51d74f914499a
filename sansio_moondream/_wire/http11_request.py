"""A request as HTTP/1.1 sends it."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import NamedTuple
from urllib.parse import urlsplit

import h11

from sansio_moondream._errors import LocalProtocolError
from sansio_moondream._requests.http import HTTPRequest

from .http11_plain import new_connection, plain_request

_QUOTED = re.compile(r":? (?:bytearray\()?b?['\"].*", re.DOTALL)
_URL = re.compile(r"https?://[!-~]+", re.IGNORECASE)
_DEFAULT_PORTS = {"http": 80, "https": 443}


class _Address(NamedTuple):
    """The parts of a URL that a request has."""

    scheme: str
    authority: str
    port: int | None
    path: str


def encode_request(request: HTTPRequest, absolute: bool) -> tuple[bytes, h11.Connection | None]:
    """Encode a request.

    Returns:
        Its bytes, the body included, and the state of h11 after it. None for a plain request: it
        needs no h11 until its response does.

    Raises:
        LocalProtocolError: HTTP/1.1 cannot carry the request. It is raised where no local variable
            has the key.
    """
    try:
        return _encode(request, absolute)
    except h11.LocalProtocolError as error:
        reason = describe(error)
    except UnicodeError:
        reason = "a character in its head that HTTP does not have"
    except ValueError:
        reason = "its URL should be http(s)://host[:port]/path in ASCII"
    raise LocalProtocolError(f"HTTP/1.1 cannot carry this request: {reason}")


def _encode(request: HTTPRequest, absolute: bool) -> tuple[bytes, h11.Connection | None]:
    bare = HTTPRequest(
        request.method, request.url, tuple((name, value) for name, value in request.headers), b""
    )
    if (head := _plain_head(bare, absolute)) is not None:
        before, after = head
        return b"".join((before, b"%d" % len(request.body), after, request.body)), None
    target, headers = _target_and_headers(request, absolute)
    connection = new_connection()
    events = (
        h11.Request(method=request.method, target=target, headers=headers),
        h11.Data(request.body),
        h11.EndOfMessage(),
    )
    return b"".join(connection.send(event) or b"" for event in events), connection


# The requests of a client have the same head but for the length, and to make one took 6 us. So the
# last 16 stay in memory, keys included, even after their client is gone.
@lru_cache(maxsize=16)
def _plain_head(bare: HTTPRequest, absolute: bool) -> tuple[bytes, bytes] | None:
    """Return the head of a plain request before and after its length, or None for another.

    Args:
        bare: the request without its body.
        absolute: whether the target is the whole URL.
    """
    if any(name.lower() == "content-length" for name, _ in bare.headers):
        return None  # it may be wrong
    target, fields = _target_and_headers(bare, absolute)
    return plain_request(bare.method, target, fields)


def describe(error: h11.ProtocolError) -> str:
    """Return what h11 says without the bytes that it quotes: they may be a cookie or the key."""
    return _QUOTED.sub("", str(error))


def not_http(head: bytearray, due: bytes) -> str:
    """Return what is wrong with the first bytes of a head. Only those are quoted."""
    wrong = next(
        at for at, (byte, other) in enumerate(zip(head, due, strict=False)) if byte != other
    )
    seen = bytes(head[: wrong + 1])
    return f"the server does not speak HTTP/1.1: its answer begins with {seen!r}, not with HTTP/1."


def _target_and_headers(
    request: HTTPRequest, absolute: bool
) -> tuple[bytes, list[tuple[bytes, bytes]]]:
    """Return the target of the request line, and the header fields.

    Raises ValueError for a URL that cannot be sent, and UnicodeError for a header that cannot.
    """
    scheme, authority, port, target = _address_of(request.url)
    given = {name.lower() for name, _ in request.headers}
    added: list[tuple[str, str]] = []
    if request.method == "CONNECT":
        standard = _DEFAULT_PORTS[scheme]
        target = authority = authority if port else f"{authority.removesuffix(':')}:{standard}"
    elif absolute:
        target = f"{scheme}://{authority}{target}"
    if "host" not in given:
        added.append(("Host", authority))
    if request.method != "CONNECT" and given.isdisjoint(("content-length", "transfer-encoding")):
        added.append(("Content-Length", str(len(request.body))))
    return target.encode("ascii"), [
        (name.encode("ascii"), value.encode("latin-1"))
        for name, value in (*added, *request.headers)
    ]


@lru_cache(maxsize=64)  # a client has few, and they took as long as the rest of a head
def _address_of(url: str) -> _Address:
    """Take a URL apart. Raises ValueError for one that cannot be sent."""
    parts = urlsplit(url)
    if not _URL.fullmatch(url) or not parts.hostname or parts.port == 0:
        raise ValueError("not a URL to send")
    path = f"{parts.path or '/'}{'?' if parts.query else ''}{parts.query}"
    return _Address(parts.scheme, parts.netloc.rpartition("@")[2], parts.port, path)
