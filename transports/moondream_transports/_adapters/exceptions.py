"""One mapping of the exceptions of HTTP libraries to ours. It imports none of the libraries.

1. The class of an exception says what failed. The table has the documented classes. Of a class that
   is not in it, its base classes are looked up.
2. Some classes only wrap another exception (requests.ConnectionError, urllib3.MaxRetryError). They
   are not in the table: the wrapped exception decides.
3. It matters most whether the connection was made. Before that nothing was sent, so the request
   can be sent again. The caller often knows. Otherwise the class decides. If the class does not say
   it, we assume that the connection was made, so that no request is sent (and billed) twice.
4. Exceptions of aiohttp hold the headers of the request, key included. Only what they wrap becomes
   the cause of our error. We drop the frames of all causes: their locals hold secrets, and error
   reporters print locals.
"""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from errno import ETIMEDOUT
from typing import Literal

from moondream_transports._transport import Timeouts
from sansio_moondream import (
    ConnectError,
    ConnectionLost,
    ConnectTimeout,
    MoondreamError,
    RemoteProtocolError,
    TLSError,
)

_Kind = Literal["connect", "tls", "connect timeout", "timeout", "lost", "not http"]

_CLASSES: dict[_Kind, dict[str, str]] = {
    "connect": {
        "aiohttp": "ClientConnectorError ClientHttpProxyError InvalidURL",
        "anyio": "ConnectionFailed",
        "builtins": "ConnectionRefusedError UnicodeError",  # UnicodeError: IDNA refuses the host
        "httpx": "ConnectError InvalidURL ProxyError UnsupportedProtocol",
        "requests": "InvalidProxyURL InvalidSchema InvalidURL MissingSchema ProxyError",
        "socket": "gaierror",
        "urllib3": "LocationParseError NewConnectionError ProxyError",
    },
    "tls": {
        "aiohttp": "ClientSSLError ServerFingerprintMismatch",
        "requests": "SSLError",
        "ssl": "SSLCertVerificationError SSLError",
        "urllib3": "SSLError",
    },
    "connect timeout": {
        "aiohttp": "ConnectionTimeoutError",
        "httpx": "ConnectTimeout PoolTimeout",
        "requests": "ConnectTimeout",
        "urllib3": "ConnectTimeoutError EmptyPoolError",
    },
    "timeout": {
        "aiohttp": "ServerTimeoutError",
        "builtins": "TimeoutError",
        "httpx": "TimeoutException",
        "requests": "Timeout",
        "trio": "TooSlowError",
        "urllib3": "TimeoutError",
    },
    "lost": {
        "aiohttp": "ClientError ServerDisconnectedError",
        "anyio": "BrokenResourceError ClosedResourceError EndOfStream",
        "asyncio": "IncompleteReadError",
        "builtins": "ConnectionError",
        "h2": "H2Error",
        "http": "IncompleteRead RemoteDisconnected",
        "httpx": "TransportError",
        "ssl": "SSLEOFError SSLZeroReturnError",
        "trio": "BrokenResourceError ClosedResourceError",
        "urllib3": "IncompleteRead",
    },
    "not http": {
        "aiohttp": "ClientResponseError HttpProcessingError",
        "h11": "RemoteProtocolError",
        "http": "HTTPException",
        "httpx": "DecodingError RemoteProtocolError",
        "requests": "ContentDecodingError InvalidHeader",
        "urllib3": "DecodeError InvalidChunkLength InvalidHeader",
    },
}
_KINDS: dict[str, _Kind] = {
    f"{library}.{name}": kind
    for kind, libraries in _CLASSES.items()
    for library, names in libraries.items()
    for name in names.split()
}
# Some libraries have one class for what is not HTTP and for a connection that ended: only the text
# differs.
_ENDED = (
    # httpx
    "Server disconnected",
    "peer closed connection",
    "peer unexpectedly closed connection",
    "<StreamReset",
    "<ConnectionTerminated",
    # An empty line in place of the size of a chunk: so h2o reports that its upstream broke.
    r"illegal chunk header: bytearray(b'\r\n')",  # httpx
    "400, message:\n  Invalid character in chunk size:\n\n    b''",  # aiohttp
    "400, message:\n\r",  # aiohttp without its parser in C
    r"InvalidChunkLength(got length b'\r\n'",  # urllib3
)
# What these say may quote a header of the request, or the password for a proxy.
_QUIET = ("ClientConnectionError", "InvalidHeader", "InvalidProxyURL", "LocalProtocolError")
_BEFORE = ("connect", "tls", "connect timeout")
# The system gives up a connection by itself. Libraries report that like their own timeouts.
_OF_THE_SYSTEM: dict[_Kind, _Kind] = {"connect timeout": "connect", "timeout": "lost"}


def map_exception(
    error: Exception,
    *,
    connected: bool | None = None,
    timeouts: Timeouts | None = None,
    proxy: str | None = None,
) -> MoondreamError | TimeoutError:
    """Return what a transport should raise for an exception of its HTTP library.

    It knows the exceptions of httpx, httpx2, aiohttp, requests, urllib3, http.client, anyio, trio
    and h2, and those of sockets and TLS. Raise the returned error behind the `except` block, where
    the library's exception, which may hold the key, is not added to it as its context.

    Args:
        error: What the library raised. The frames are removed from it and from its causes.
        connected: Whether the connection stood when it was raised. None: the class decides.
        timeouts: What was given to `send`, for the message of ConnectTimeout.
        proxy: Its host and port, for the messages of errors without a connection. They need no
            other address, as every error gets the URL of its request.

    Returns:
        ConnectError, TLSError or ConnectTimeout where the connection did not stand; else
        RemoteProtocolError for what is not HTTP, ConnectionLost, or the builtin TimeoutError, for
        which the client knows which of its deadlines has passed. One of our own errors, also as a
        cause, is returned as it is. The message has no header, body or URL of the request, and
        quotes at most 200 characters of the library's.
    """
    chain = list(_chain(error))
    for link in chain:
        if isinstance(link, MoondreamError):
            return link
    known: list[tuple[BaseException, _Kind]] = [
        (link, found) for link in chain if (found := _kind_of(link)) is not None
    ]
    kind = known[0][1] if known else "lost"
    if any(map(_is_of_the_system, chain)):
        kind = _OF_THE_SYSTEM.get(kind, kind)
    elif kind == "not http" and any(str(link).startswith(_ENDED) for link in chain):
        kind = "lost"
    described = next((link for link, _ in reversed(known) if _text_of(link)), error)
    way = f" by way of the proxy {proxy}" if proxy else ""
    ours = _error(kind, chain, connected, timeouts, _describe(described), way)
    _forget_frames(chain)
    ours.__cause__ = next((link for link in chain if not _holds_secrets(link)), None)
    return ours


def _error(
    kind: _Kind,
    chain: list[BaseException],
    connected: bool | None,
    timeouts: Timeouts | None,
    what: str,
    way: str,
) -> MoondreamError | TimeoutError:
    if kind in _BEFORE if connected is None else not connected:
        if kind in ("timeout", "connect timeout"):
            limit = None if timeouts is None else timeouts.connect
            within = "in time" if limit is None else f"within {limit:g} seconds"
            return ConnectTimeout(f"no connection{way} stood {within} (Timeouts.connect)")
        is_tls = kind == "tls" or any(isinstance(link, ssl.SSLError) for link in chain)
        return (TLSError if is_tls else ConnectError)(
            f"the connection{way} could not be made: {what}"
        )
    if kind in ("timeout", "connect timeout"):
        return TimeoutError("nothing came in time")
    if kind == "not http":
        return RemoteProtocolError(f"what came is not HTTP: {what}")
    return ConnectionLost(f"the connection broke: {what}")


def _chain(error: BaseException) -> Iterator[BaseException]:
    """An exception, and what it was raised for."""
    todo, seen = [error], set[int]()
    while todo:
        link = todo.pop(0)
        if id(link) not in seen:
            seen.add(id(link))
            yield link
            wrapped: tuple[object, ...] = (
                link.__cause__,
                getattr(link, "reason", None),  # urllib3, urllib
                getattr(link, "os_error", None),  # aiohttp
                *link.args,  # requests, and urllib3 again
                *getattr(link, "exceptions", ()),  # a group: anyio has one for each address
            )
            todo += [cause for cause in wrapped if isinstance(cause, BaseException)]


def _kind_of(error: BaseException) -> _Kind | None:
    if isinstance(error, Exception):
        for kind in type(error).__mro__:
            found = _KINDS.get(f"{_library_of(kind)}.{kind.__name__}")
            if found is not None:
                return found
    return None


def _is_of_the_system(error: BaseException) -> bool:
    """Return whether it is a timeout of the system, and not one of ours."""
    return isinstance(error, OSError) and error.errno == ETIMEDOUT


def _library_of(kind: type) -> str:
    return kind.__module__.partition(".")[0].replace("httpx2", "httpx").removeprefix("_")


def _text_of(error: BaseException) -> str:
    """The first line of what an exception says: others may quote what was sent or what came."""
    text = getattr(error, "message", error)
    if type(error).__name__ in _QUIET:
        return ""
    if text is not error and not isinstance(text, str):
        return ""  # aiohttp puts the part of a head there that came
    return str(text).strip().partition("\n")[0][:200]


def _describe(error: BaseException) -> str:
    text, status = _text_of(error), getattr(error, "status", None)
    said = f"{status} {text}" if isinstance(status, int) and status else text
    return f"{type(error).__name__}: {said}" if said else type(error).__name__


def _holds_secrets(error: BaseException) -> bool:
    return any(kind.__module__ == "aiohttp.client_exceptions" for kind in type(error).__mro__)


def _forget_frames(chain: list[BaseException]) -> None:
    links: list[BaseException | None] = [*chain]
    for link in links:
        if link is not None:
            link.__traceback__ = None
            links += [cause for cause in (link.__cause__, link.__context__) if cause not in links]
