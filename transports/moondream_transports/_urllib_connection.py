"""Connections for `_urllib.py`, which loads it when first used: http.client's, but for the response
and the deadlines.

1. `Progress` is the one place that knows how far an exchange is and what it waits for. Everything
   that waits asks it how long.
2. A socket's own timeout starts anew with every byte; before each system call it is set to what is
   left until the deadline.
3. Responses are read by the core's `HTTP11Exchange`: http.client takes a head or a body that is cut
   off for whole, and as long for a chunk as decoding it takes ten times over.
4. A server may answer and close before it has read the request (413): so where sending fails, the
answer is looked for first."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Mapping
from contextlib import suppress
from functools import partial
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from time import monotonic
from typing import Any, cast
from urllib.error import URLError
from urllib.request import (
    AbstractHTTPHandler,
    OpenerDirector,
    ProxyHandler,
    Request,
    UnknownHandler,
)

from sansio_moondream import (
    NEED_DATA,
    ConnectError,
    ConnectionLost,
    ConnectTimeout,
    HTTP11Exchange,
    HTTPRequest,
    RemoteProtocolError,
    ResponseHead,
    TLSError,
)

from ._deadlines import after, earlier
from ._transport import Timeouts

_READ_AT_ONCE = 64 * 1024


class Progress:
    """How far one exchange is: shared by the transport, the connection and the response."""

    errors = (
        OSError,
        HTTPException,
        ValueError,
    )  # of http.client; ValueError: a host that IDNA refuses

    def __init__(self, request: HTTPRequest, timeouts: Timeouts) -> None:
        self.asked = HTTPRequest(request.method, request.url, (), b"")  # the body may be 13 MB
        self.connected_at: float | None = None
        self._timeouts = timeouts
        self._end = after(timeouts.total)
        self._deadline = earlier(after(timeouts.connect), self._end)
        self._fresh: float | None = None  # the deadline was just set, so this is what is left
        self._socket: socket.socket | None = None

    def left(self) -> float | None:
        """Seconds until the deadline, to wait for at most. Raises TimeoutError if it has passed."""
        if self._fresh is not None:
            fresh, self._fresh = self._fresh, None
            return fresh
        if self._deadline is None:
            return None
        left = self._deadline - monotonic()
        if left <= 0:
            raise TimeoutError("timed out")
        return left

    def connected(self, sock: socket.socket) -> None:
        self._socket = sock
        self.connected_at = monotonic()
        self._deadline = earlier(after(self._timeouts.first_event), self._end)

    def wait_for(self, timeout: float | None) -> None:
        """Set a new deadline."""
        self._deadline = None if timeout is None else monotonic() + timeout
        self._fresh = timeout

    def shutdown(self) -> None:
        """Wake whoever waits for the socket; closing it does not."""
        if self._socket is not None:
            with suppress(OSError):
                self._socket.shutdown(socket.SHUT_RDWR)

    def named(self, error: Exception) -> Exception:
        """The exception to raise for one of `errors`, with its cause."""
        cause = (
            error.reason
            if isinstance(error, URLError) and isinstance(error.reason, Exception)
            else error
        )
        named = self._kind(cause)
        named.__cause__ = cause
        return named

    def _kind(self, cause: Exception) -> Exception:
        what = f"{type(cause).__name__}: {str(cause)[:200]}"
        if self.connected_at is None:
            if isinstance(cause, TimeoutError):
                return ConnectTimeout(
                    f"no connection stood within {self._timeouts.connect:g} seconds (Timeouts.connect)"
                )
            kind = TLSError if isinstance(cause, ssl.SSLError) else ConnectError
            return kind(f"the connection could not be made: {what}")
        if isinstance(cause, TimeoutError):
            return TimeoutError("nothing came in time")
        return ConnectionLost(f"the connection broke: {what}")


class Response:
    """A response that is read from a socket until a deadline."""

    url = msg = reason = ""  # urllib.request sets them

    def __init__(self, progress: Progress, sock: socket.socket, exchange: HTTP11Exchange) -> None:
        self._progress = progress
        self._socket = sock
        self._held = sock.makefile(
            "rb", buffering=0
        )  # while it is open, the socket stays so: urllib.request closes that
        self._timeout: float | None = -1.0  # which the socket has; not known yet
        self._exchange = exchange
        self.head = self._read_head()

    def _read_head(self) -> ResponseHead:
        try:
            while (head := self._exchange.next_event()) is NEED_DATA:
                self._receive()
        except BaseException:
            self.close()
            raise
        assert isinstance(head, ResponseHead)
        return head

    def read(self) -> bytes:
        """All of the body that has come, or the next that comes; b"" is its end."""
        while (body := self._exchange.next_body()) is NEED_DATA:
            self._receive()
        return body

    def close(self) -> None:
        self._held.close()

    def _receive(self) -> None:
        if (
            left := self._progress.left()
        ) != self._timeout:  # a call of the system: usually it is the same as for the last read
            self._socket.settimeout(left)
            self._timeout = left
        if data := self._socket.recv(_READ_AT_ONCE):
            self._exchange.receive_data(data)
        else:
            self._exchange.receive_eof()


class _Connection(HTTPConnection):
    def __init__(self, progress: Progress, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._progress = progress
        self._create_connection = self._dial

    def connect(self) -> None:
        super().connect()
        self._progress.connected(self.sock)

    def send(self, data: Any) -> None:
        if self._progress.connected_at is not None:
            self.sock.settimeout(self._progress.left())
        try:
            super().send(data)
        except (BrokenPipeError, ConnectionResetError):
            if self._progress.connected_at is None:
                raise

    def getresponse(
        self,
    ) -> Any:  # not what http.client gives, but all that urllib.request asks of it
        return Response(self._progress, self.sock, HTTP11Exchange(self._progress.asked))

    def _dial(
        self, address: tuple[str, int], timeout: object, source_address: tuple[str, int] | None
    ) -> socket.socket:
        """Try each of the host's addresses, all of them within the deadline:
        socket.create_connection gives it to each.
        """
        failure: OSError | None = None
        for *_, found in socket.getaddrinfo(*address, type=socket.SOCK_STREAM):
            try:
                sock = socket.create_connection(
                    (str(found[0]), address[1]), self._progress.left(), source_address
                )
                sock.settimeout(self._progress.left())  # for TLS
            except OSError as error:
                failure = error
            else:
                return sock
        raise failure or OSError("the name has no address")

    def _tunnel(self) -> None:
        """What http.client does, but for the deadline, which it knows nothing of."""
        headers: dict[str, str] = vars(self)["_tunnel_headers"]
        exchange = HTTP11Exchange(
            HTTPRequest("CONNECT", self._progress.asked.url, tuple(headers.items()), b"")
        )
        self.send(exchange.data_to_send())
        try:
            response = Response(self._progress, self.sock, exchange)
        except (ConnectionLost, RemoteProtocolError) as error:
            raise OSError(f"the proxy made no tunnel: {error}") from error
        response.close()
        if not 200 <= response.head.status_code < 300:
            raise OSError(f"the proxy refused to make a tunnel: {response.head.status_code}")
        self.sock.settimeout(self._progress.left())  # for TLS


class _TLSConnection(_Connection, HTTPSConnection):
    pass


class _Request(Request):
    progress: Progress


class _Handler(AbstractHTTPHandler):
    def __init__(self, context: ssl.SSLContext | None) -> None:
        super().__init__()
        self._context = context

    def http_open(self, request: _Request) -> Any:
        return self.do_open(cast(Any, partial(_Connection, request.progress)), request)

    def https_open(self, request: _Request) -> Any:
        if self._context is None:
            self._context = ssl.create_default_context()  # once: it takes longer than a connection
        return self.do_open(
            cast(Any, partial(_TLSConnection, request.progress)), request, context=self._context
        )

    http_request = https_request = AbstractHTTPHandler.do_request_


def make_opener(
    proxies: Mapping[str, str] | None, context: ssl.SSLContext | None
) -> OpenerDirector:
    """What urllib.request.build_opener makes would follow redirects, and take error statuses for
    exceptions.
    """
    opener = OpenerDirector()
    for handler in (
        ProxyHandler(None if proxies is None else dict(proxies)),
        UnknownHandler(),
        _Handler(context),
    ):
        opener.add_handler(handler)
    return opener


def open_response(opener: OpenerDirector, request: HTTPRequest, progress: Progress) -> Response:
    """Send a request and read the head of its response. Raises as `Transport.send` does."""
    asked = _Request(request.url, request.body, dict(request.headers), method=request.method)
    asked.progress = progress
    try:
        response: Response = opener.open(asked, timeout=progress.left())
    except progress.errors as error:
        raise progress.named(error)  # noqa: B904 - it has its cause
    return response
