"""One request of aiohttp's, mended where it would lose something, and its errors in our words. Used
by `_aiohttp.py`.

1. The body tells when it is asked for: that is when the connection stands. It knows the connection,
   so it can be closed at once.
2. A server may answer and close before it has read the request (413). Writing fails then, and
   asyncio forgets what it has not read: so reading gets its turn before each write, and what is
   left is read after one that failed. Under TLS only the former is possible.
3. The head is handed to aiohttp apart from what comes with it: a fault behind it would make aiohttp
forget both."""

from __future__ import annotations

import asyncio
import os
import socket
import ssl
import struct
import sys
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from time import monotonic
from typing import Any, cast

import aiohttp
from aiohttp.abc import AbstractStreamWriter
from aiohttp.http_exceptions import HttpProcessingError

from sansio_moondream import (
    ConnectError,
    ConnectionLost,
    ConnectTimeout,
    RemoteProtocolError,
    TLSError,
)

from ._transport import Timeouts

CHUNK = MAX_HEAD = 64 * 1024
ERRORS = (
    aiohttp.ClientError,
    HttpProcessingError,
    OSError,
    ValueError,
    RuntimeError,
)  # ValueError: a host that IDNA refuses
_LINGER = struct.pack("hh" if sys.platform == "win32" else "ii", 1, 0)
_HOLD_SECRETS = (aiohttp.ClientResponseError, aiohttp.ClientConnectorError)


class Body(aiohttp.Payload):
    """The body of a request, which tells when it is asked for, and by which connection it leaves."""

    def __init__(self, data: bytes, on_asked: Callable[[], None]) -> None:
        super().__init__(data)
        self._size = len(data)
        self._on_asked = on_asked
        self._transport: asyncio.Transport | None = None
        self.asked_at: float | None = None

    async def write(self, writer: AbstractStreamWriter) -> None:
        self.asked_at = monotonic()
        self._transport = getattr(writer, "transport", None)
        with suppress(AttributeError):
            _split_head_from_body(cast(Any, writer).protocol)
        self._on_asked()
        for at in range(0, len(self._value), CHUNK):
            for _ in range(
                2 if at else 0
                # the loop looks for what came, then reads it: an early answer (413), before writing
                # fails
            ):
                await asyncio.sleep(0)
            await writer.write(self._value[at : at + CHUNK])
            if (
                self._transport is not None
                and self._transport.is_closing()
                and self._transport.get_extra_info("sslcontext") is None
            ):
                with suppress(OSError):
                    cast(Any, writer).protocol.data_received(
                        os.read(self._transport.get_extra_info("socket").fileno(), CHUNK)
                    )
        self._value = b""  # it may be 13 MB

    def decode(self, encoding: str = "utf-8", errors: str = "strict") -> str:
        raise NotImplementedError

    def connection(self) -> Body | asyncio.Transport:
        """What to call `abort` of when the head of the response is there: this one, only as long as
        it is not sent.
        """
        return self if self._value or self._transport is None else self._transport

    def abort(self) -> None:
        """Close the connection at once.

        aiohttp would first wait until all that was written is sent.
        """
        if self._transport is not None:
            if (
                self._value
            ):  # and the kernel too, if it may not throw away what it has (SO_LINGER of 0 seconds)
                with suppress(OSError, AttributeError):
                    self._transport.get_extra_info("socket").setsockopt(
                        socket.SOL_SOCKET, socket.SO_LINGER, _LINGER
                    )
            self._transport.abort()


def look_at(closed: asyncio.Future[None]) -> None:
    """A future of aiohttp's, which is made when somebody asks for it: asyncio complains if nobody
    looks at its error.
    """
    if not closed.cancelled():
        closed.exception()


def _split_head_from_body(protocol: Any) -> None:
    """A fault in the same segment as the head makes aiohttp forget the head: hand it over first,
    and let the connection be itself again.
    """
    receive: Callable[[bytes], None] = partial(cast(Any, type(protocol)).data_received, protocol)

    def split(data: bytes) -> None:
        at = data.find(b"\r\n\r\n") + 4
        if at >= 4:
            protocol.__dict__.pop("data_received", None)
            receive(data[:at])
            data = data[at:]
        if data:
            receive(data)

    protocol.data_received = split


def check_head(response: aiohttp.ClientResponse) -> None:
    """Refuse what aiohttp lets pass."""
    size = sum(len(name) + len(value) for name, value in response.raw_headers)
    if size > MAX_HEAD or any(name[-1:].isspace() for name, _ in response.raw_headers):
        response.close()
        fault = (
            f"it has {size:,} bytes of fields"
            if size > MAX_HEAD
            else "the name of a field ends with a space"
        )
        raise HttpProcessingError(message=f"a head of a response that is refused: {fault}")


def named(error: Exception, timeouts: Timeouts | None, connected_at: float | None) -> Exception:
    """The exception to raise for one of aiohttp's. `timeouts` are None in the body."""
    if isinstance(error, TimeoutError):
        if timeouts is None or connected_at is not None:
            return TimeoutError("nothing came in time")
        return ConnectTimeout(
            f"no connection stood within {timeouts.connect:g} seconds (Timeouts.connect)"
        )
    root: BaseException = error
    while root.__cause__ is not None:
        root = root.__cause__
    cause = getattr(root, "os_error", None) if isinstance(root, _HOLD_SECRETS) else root
    what = type(error).__name__
    if isinstance(error, aiohttp.ClientHttpProxyError):
        what = f"the proxy answered {error.status}"
    elif cause is not None:
        said = (
            cause.message
            if isinstance(cause, HttpProcessingError | aiohttp.ServerDisconnectedError)
            else str(cause)
        )
        if isinstance(
            said, str
        ):  # else it is the half of a head that came; and more than one line quotes what came
            what += f": {said.strip().partition(chr(10))[0][:200]}"
    if connected_at is None:
        tls = isinstance(
            error, aiohttp.ClientSSLError | aiohttp.ServerFingerprintMismatch
        ) or isinstance(cause, ssl.SSLError)
        named: Exception = (TLSError if tls else ConnectError)(
            f"the connection could not be made: {what}"
        )
    elif isinstance(error, aiohttp.ClientResponseError | HttpProcessingError):
        named = RemoteProtocolError(f"what came is not HTTP: {what}")
    else:
        named = ConnectionLost(f"the connection broke: {what}")
    if cause is not None:
        cause.__traceback__ = cause.__context__ = None
    named.__cause__ = cause
    return named


def until(end: float | None, seconds: float | None, now: float) -> float | None:
    """A moment of the loop's own clock, whichever comes first: the end, or so many seconds from
    now.
    """
    return min(
        (
            moment
            for moment in (end, None if seconds is None else now + seconds)
            if moment is not None
        ),
        default=None,
    )
