"""What httpx2 and httpx have in common, and what both transports on them share: which of the two it
is, its clients, its requests and its exceptions.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import cache
from importlib import import_module
from threading import Lock
from typing import Any, Self

from moondream_transports._http11.route import Proxy, environment_proxy
from sansio_moondream import HTTPRequest

_CHUNK = 64 * 1024


class Clients:
    """The user's client, or clients of our own: one for each proxy of the environment."""

    def __init__(self, given: Any, kind: str) -> None:
        self.library = _installed_library() if given is None else _library_of(given)
        self._class = getattr(self.library, kind)
        if given is not None and not isinstance(given, self._class):
            raise TypeError(f"client should be a {self.library.__name__}.{kind}, not {given!r}")
        self._given = given
        self._own: dict[Proxy | None, Any] = {}
        self._making = Lock()

    def client_for(self, request: HTTPRequest) -> Any:
        """Return the client that sends the request.

        Raises LocalProtocolError if a key would go to a proxy of the environment in plain text.
        """
        if self._given is not None:
            return self._given
        proxy = environment_proxy(request)
        with self._making:
            if proxy not in self._own:
                self._own[proxy] = self._make(proxy)
            return self._own[proxy]

    def _make(self, proxy: Proxy | None) -> Any:
        if proxy is not None:
            proxy = self.library.Proxy(f"http://{proxy.address}", headers=[*proxy.headers])
        return self._class(
            # The caller limits the exchanges. Waiting for a place would count as connecting.
            limits=self.library.Limits(max_connections=None),
            proxy=proxy,
            trust_env=False,  # its own rules for proxies are looser than `environment_proxy`
            verify=self.library.create_ssl_context(),
        )

    def take_own(self) -> list[Any]:
        """Return the clients to close, and forget them."""
        with self._making:
            own, self._own = self._own, {}
            return [*own.values()]


def _library_of(client: object) -> Any:
    """The module httpx2 or httpx, whichever has a class that the client's is derived from."""
    for kind in type(client).__mro__:
        name = kind.__module__.partition(".")[0]
        if name in ("httpx2", "httpx"):
            return sys.modules[name]
    raise TypeError(f"client should be one of httpx2 or of httpx, not {client!r}")


def _installed_library() -> Any:
    for name in ("httpx2", "httpx"):
        try:
            return import_module(name)
        except ModuleNotFoundError as error:
            if error.name != name:
                raise
    raise ModuleNotFoundError(
        "this needs httpx2, which is not installed: pip install 'sansio-moondream[httpx2]'",
        name="httpx2",
    )


@cache
def errors_of(library: Any, *, is_http2: bool = False) -> tuple[type[Exception], ...]:
    """What the library raises. UnicodeError: IDNA refuses the host."""
    errors = (library.TransportError, library.InvalidURL, OSError, UnicodeError)
    # Over HTTP/2 the library lets exceptions of h2 through.
    return (*errors, import_module("h2.exceptions").H2Error) if is_http2 else errors


def build_request(library: Any, request: HTTPRequest, extensions: dict[str, Any]) -> Any:
    """Build a request of the library, without headers, parameters and cookies of a client."""
    has_length = any(name.lower() == "content-length" for name, _ in request.headers)
    length = [] if has_length else [("Content-Length", str(len(request.body)))]
    built = library.Request(
        request.method, request.url, headers=[*request.headers, *length], extensions=extensions
    )
    built.stream = _body_class(library)(request.body)
    return built


class _Body:
    """The body of a request, and its own iterator.

    It is no async generator: one that is left early would stay open.
    """

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def release(self) -> None:
        """Forget the body once it is sent: it may have 13 MB."""
        self._data = b""

    def __iter__(self) -> Self:
        self._at = 0  # the library begins anew where a connection turns out to be unavailable
        return self

    __aiter__ = __iter__

    def __next__(self) -> bytes:
        chunk = self._data[self._at : self._at + _CHUNK]
        self._at += _CHUNK
        if not chunk:
            raise StopIteration
        return chunk

    async def __anext__(self) -> bytes:
        if (chunk := next(self, None)) is None:
            raise StopAsyncIteration
        return chunk


@cache
def _body_class(library: Any) -> Callable[[bytes], _Body]:
    """The library takes only streams of its own classes."""
    return type("Body", (_Body, library.SyncByteStream, library.AsyncByteStream), {})
