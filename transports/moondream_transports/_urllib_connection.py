"""http.client with deadlines, and strict where its leniency would hide a fault. Loaded by `_urllib.py` when first used.

1. `Progress` is the one place that knows how far an exchange is and what it waits for. Everything that waits asks it how long.
2. A socket's own timeout starts anew with every byte; before each system call it is set to what is left until the deadline.
3. A head that stops in its middle, or that holds a line that is no field, is not taken for whole; 1xx heads are skipped.
4. A server may answer and close before it has read the request (413): so where sending fails, the answer is looked for first.
"""

from __future__ import annotations

import io
import socket
import ssl
from collections.abc import Mapping
from contextlib import suppress
from functools import partial
from http.client import HTTPConnection, HTTPException, HTTPResponse, HTTPSConnection, IncompleteRead, RemoteDisconnected
from time import monotonic
from typing import Any, cast
from urllib.error import URLError
from urllib.request import AbstractHTTPHandler, OpenerDirector, ProxyHandler, Request, UnknownHandler

from sansio_moondream import ConnectFailed, ConnectionLost, ConnectTimeout, HTTPRequest, RemoteProtocolError, TLSFailed

from ._deadlines import after, sooner
from ._transport import Timeouts


class Progress:
    """How far one exchange is: shared by the transport, the connection and the socket's reader."""

    errors = OSError, HTTPException, ValueError  # of http.client; ValueError: a host that IDNA refuses

    def __init__(self, timeouts: Timeouts) -> None:
        self.connected_at: float | None = None
        self._timeouts = timeouts
        self._end = after(timeouts.total)
        self._deadline = sooner(after(timeouts.connect), self._end)
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
        self._deadline = sooner(after(self._timeouts.first_event), self._end)

    def wait_for(self, timeout: float | None) -> None:
        """Set a new deadline."""
        self._deadline = after(timeout)
        self._fresh = timeout

    def shutdown(self) -> None:
        """Wake whoever waits for the socket; closing it does not."""
        if self._socket is not None:
            with suppress(OSError):
                self._socket.shutdown(socket.SHUT_RDWR)

    def named(self, error: Exception) -> Exception:
        """The exception to raise for one of `errors`, with its cause."""
        cause = error.reason if isinstance(error, URLError) and isinstance(error.reason, Exception) else error
        named = self._kind(cause)
        named.__cause__ = cause
        return named

    def _kind(self, cause: Exception) -> Exception:
        what = f"{type(cause).__name__}: {str(cause)[:200]}"
        if self.connected_at is None:
            if isinstance(cause, TimeoutError):
                return ConnectTimeout(f"no connection stood within {self._timeouts.connect:g} seconds (Timeouts.connect)")
            kind = TLSFailed if isinstance(cause, ssl.SSLError) else ConnectFailed
            return kind(f"the connection could not be made: {what}")
        if isinstance(cause, TimeoutError):
            return TimeoutError("nothing came in time")
        if isinstance(cause, OSError | IncompleteRead):
            return ConnectionLost(f"the connection broke: {what}")
        return RemoteProtocolError(f"what came is not HTTP: {what}")


class _SocketReader(io.RawIOBase):
    """Reads a socket until the deadline, and remembers whether its end was seen."""

    def __init__(self, progress: Progress, sock: socket.socket, raw: io.RawIOBase) -> None:
        self._progress = progress
        self._socket = sock
        self._raw = raw  # the socket's own reader: while it is open, the socket stays so
        self._timeout: float | None = -1.0  # which the socket has; not known yet
        self.ended = False

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        if (left := self._progress.left()) != self._timeout:  # a call of the system: usually it is the same as for the last read
            self._socket.settimeout(left)
            self._timeout = left
        count = self._socket.recv_into(buffer)
        self.ended = not count
        return count

    def close(self) -> None:
        self._raw.close()
        super().close()


class Response(HTTPResponse):
    """A response whose socket is read until a deadline."""

    def __init__(self, progress: Progress, sock: socket.socket, *args: Any, **kwargs: Any) -> None:
        super().__init__(sock, *args, **kwargs)
        self._reader = _SocketReader(progress, sock, self.fp.detach())
        self.fp = io.BufferedReader(self._reader, 64 * 1024)

    def begin(self) -> None:
        try:
            super().begin()
            while 101 < self.status < 200:  # http.client skips only 100
                vars(self).update(headers=None, msg=None)  # which is how it knows that no head was read
                super().begin()
        finally:
            if self._reader.ended:
                raise RemoteDisconnected("the server closed the connection before the head of the response was whole")
        if self.headers.defects:
            raise HTTPException(f"the head of the response has a line that is no field: {self.headers.defects[0]!r}")


class _Connection(HTTPConnection):
    def __init__(self, progress: Progress, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._progress = progress
        self._create_connection = self._dial
        self.response_class = cast(Any, partial(Response, progress))  # called like the class

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

    def _dial(self, address: tuple[str, int], timeout: object, source_address: tuple[str, int] | None) -> socket.socket:
        """Try each of the host's addresses, all of them within the deadline: socket.create_connection gives it to each."""
        failure: OSError | None = None
        for *_, found in socket.getaddrinfo(*address, type=socket.SOCK_STREAM):
            try:
                sock = socket.create_connection((str(found[0]), address[1]), self._progress.left(), source_address)
                sock.settimeout(self._progress.left())  # for TLS, and for a proxy's tunnel
            except OSError as error:
                failure = error
            else:
                return sock
        raise failure or OSError("the name has no address")


class _TLSConnection(_Connection, HTTPSConnection):
    pass


class _Handler(AbstractHTTPHandler):
    def __init__(self, progress: Progress, context: ssl.SSLContext | None) -> None:
        super().__init__()
        self._progress = progress
        self._context = context

    def http_open(self, request: Request) -> HTTPResponse:
        return self.do_open(partial(_Connection, self._progress), request)

    def https_open(self, request: Request) -> HTTPResponse:
        return self.do_open(partial(_TLSConnection, self._progress), request, context=self._context)

    http_request = https_request = AbstractHTTPHandler.do_request_


def open_response(request: HTTPRequest, progress: Progress, proxies: Mapping[str, str] | None, context: ssl.SSLContext | None) -> Response:
    """Send a request and read the head of its response. Raises as `Transport.send` does."""
    opener = OpenerDirector()  # build_opener would add handlers that follow redirects and take error statuses for exceptions
    for handler in (ProxyHandler(None if proxies is None else dict(proxies)), UnknownHandler(), _Handler(progress, context)):
        opener.add_handler(handler)
    try:
        response = opener.open(Request(request.url, request.body, dict(request.headers), method=request.method), timeout=progress.left())
    except progress.errors as error:
        raise progress.named(error)  # noqa: B904 - it has its cause
    assert isinstance(response, Response)
    return response


def default_context() -> ssl.SSLContext:
    """Verifies servers by the system's certificates. Made once: it takes longer than a connection."""
    return ssl.create_default_context()
