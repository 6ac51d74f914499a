"""A request as HTTP/1.1 sends it."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

import h11

from sansio_moondream._errors import LocalProtocolError
from sansio_moondream._requests.http import HTTPRequest

from .http11_plain import new_connection, plain_request

_QUOTED = re.compile(r":? (?:bytearray\()?b?['\"].*", re.DOTALL)
_URL = re.compile(r"https?://[!-~]+", re.IGNORECASE)
_DEFAULT_PORTS = {"http": 80, "https": 443}


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
    target, headers = _target_and_headers(request, absolute)
    if (head := plain_request(request.method, target, headers, len(request.body))) is not None:
        return head + request.body, None
    connection = new_connection()
    events = (
        h11.Request(method=request.method, target=target, headers=headers),
        h11.Data(request.body),
        h11.EndOfMessage(),
    )
    return b"".join(connection.send(event) or b"" for event in events), connection


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
    url = urlsplit(request.url)
    if not _URL.fullmatch(request.url) or not url.hostname or url.port == 0:
        raise ValueError("not a URL to send")
    authority = url.netloc.rpartition("@")[2]
    target = f"{url.path or '/'}{'?' if url.query else ''}{url.query}"
    given = {name.lower() for name, _ in request.headers}
    added: list[tuple[str, str]] = []
    if request.method == "CONNECT":
        port = _DEFAULT_PORTS[url.scheme]
        target = authority = authority if url.port else f"{authority.removesuffix(':')}:{port}"
    elif absolute:
        target = f"{url.scheme}://{authority}{target}"
    if "host" not in given:
        added.append(("Host", authority))
    if request.method != "CONNECT" and given.isdisjoint(("content-length", "transfer-encoding")):
        added.append(("Content-Length", str(len(request.body))))
    return target.encode("ascii"), [
        (name.encode("ascii"), value.encode("latin-1"))
        for name, value in (*added, *request.headers)
    ]
