"""Connections for `_anyio.py`: TCP, a tunnel through a proxy, TLS.

1. anyio tries each address of a host, one a little after the other, and takes the first that
   answers. It sets TCP_NODELAY.
2. Plain http goes to the proxy itself, with the whole URL in the request; https goes through a
   tunnel that the proxy makes (CONNECT). The password for the proxy is in no error and no repr.
3. While a large request is sent, what the server says is taken in: it may answer and close before
   it has read all (413), and on asyncio an error in sending throws away what was not read by then.
   At most 64 KiB are read before the request is out.
4. TLS is closed without its own farewell, as HTTP clients do: where a body ends is HTTP's to say.
"""

from __future__ import annotations

import ssl
from base64 import b64encode
from contextlib import suppress
from typing import cast
from urllib.parse import SplitResult, unquote, urlsplit

import anyio
from anyio.abc import ByteStream
from anyio.streams.tls import TLSStream

from sansio_moondream import (
    NEED_DATA,
    ConnectError,
    ConnectionLost,
    HTTP11Exchange,
    HTTPRequest,
    RemoteProtocolError,
    ResponseHead,
    TLSError,
)

_READ_AT_ONCE = 64 * 1024
_SENT_AT_ONCE = 16 * 1024  # a socket's buffer takes that much, so no answer can come in between
BROKEN = (
    anyio.BrokenResourceError,
    anyio.ClosedResourceError,
    OSError,
)  # what anyio raises where a connection broke
_DEFAULT_PORTS = {"http": 80, "https": 443}


class Connector:
    """Makes connections, with one TLS context and by way of one proxy, if any."""

    def __init__(self, ssl_context: ssl.SSLContext | None, proxy: str | None) -> None:
        self._ssl_context = ssl_context
        self._proxy: tuple[str, int] | None = None
        self._proxy_headers: tuple[tuple[str, str], ...] = ()
        if proxy is not None:
            parts = _split_proxy(proxy)
            self._proxy = parts.hostname or "", parts.port or _DEFAULT_PORTS["http"]
            if parts.username is not None:
                secret = f"{unquote(parts.username)}:{unquote(parts.password or '')}".encode()
                self._proxy_headers = (
                    ("Proxy-Authorization", f"Basic {b64encode(secret).decode()}"),
                )

    def exchange(self, request: HTTPRequest) -> HTTP11Exchange:
        """One exchange on a connection of `connect`: plain http has to tell the proxy where to."""
        if self._proxy is None or not request.url.startswith("http:"):
            return HTTP11Exchange(request)
        headers = (*request.headers, *self._proxy_headers)
        return HTTP11Exchange(
            HTTPRequest(request.method, request.url, headers, request.body), absolute=True
        )

    async def connect(self, url: str) -> ByteStream:
        """A connection that takes requests for that URL.

        Raises ConnectError or TLSError; cancelled, it leaves nothing open.
        """
        parts = urlsplit(url)
        host = parts.hostname or ""
        connection: ByteStream = await _dial(
            *(self._proxy or (host, parts.port or _DEFAULT_PORTS[parts.scheme]))
        )
        if parts.scheme == "http":
            return connection
        try:
            if self._proxy is not None:
                await self._open_tunnel(connection, url)
            if self._ssl_context is None:
                self._ssl_context = (
                    ssl.create_default_context()
                )  # only now, and only once: it takes longer than a connection
            return await _start_tls(connection, host, self._ssl_context)
        except BaseException:
            await close(connection)
            raise

    async def _open_tunnel(self, connection: ByteStream, url: str) -> None:
        exchange = HTTP11Exchange(HTTPRequest("CONNECT", url, self._proxy_headers, b""))
        try:
            await connection.send(exchange.data_to_send())
            while (head := exchange.next_event()) is NEED_DATA:
                await receive(connection, exchange)
        except (ConnectionLost, RemoteProtocolError, *BROKEN) as error:
            raise ConnectError(f"the proxy made no tunnel: {in_words(error)}") from error
        if not isinstance(head, ResponseHead) or not 200 <= head.status_code < 300:
            raise ConnectError(
                f"the proxy refused to make a tunnel: {getattr(head, 'status_code', 'it said nothing')}"
            )


async def send(connection: ByteStream, exchange: HTTP11Exchange) -> bool:
    """Send the request. False if it did not go out whole: whether there is an answer nevertheless,
    is seen when it is waited for.
    """
    data, is_sent = exchange.data_to_send(), False

    async def write(listening: anyio.CancelScope) -> None:
        nonlocal is_sent
        with suppress(*BROKEN):
            await connection.send(data)
            is_sent = True
        listening.cancel()

    if len(data) <= _SENT_AT_ONCE:
        await write(anyio.CancelScope())
        return is_sent
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(write, tasks.cancel_scope)
        with suppress(anyio.EndOfStream, *BROKEN):  # it begins to listen before `write` begins
            came = 0
            while came < _READ_AT_ONCE:
                said = await connection.receive(_READ_AT_ONCE)
                exchange.receive_data(said)
                came += len(said)
    return is_sent


async def receive(connection: ByteStream, exchange: HTTP11Exchange) -> None:
    """Wait for bytes, or the end, and hand them to the exchange. Raises ConnectionLost."""
    try:
        data = await connection.receive(_READ_AT_ONCE)
    except anyio.EndOfStream:
        exchange.receive_eof()
    except BROKEN as error:
        raise ConnectionLost(f"the connection broke: {in_words(error)}") from error
    else:
        exchange.receive_data(data)


async def close(connection: ByteStream) -> None:
    """Close it at once. A cancellation that is already there does no harm, and nothing is raised."""
    with anyio.CancelScope(shield=True), suppress(*BROKEN):
        await connection.aclose()


def in_words(error: BaseException) -> str:
    """What an error of anyio says, or the one that it came from: anyio's own often say nothing."""
    while error.__cause__ is not None:
        error = error.__cause__
    if isinstance(error, ExceptionGroup):  # one for each address that was tried
        error = cast("ExceptionGroup[Exception]", error).exceptions[-1]
    return f"{type(error).__name__}: {str(error)[:200]}"


async def _dial(host: str, port: int) -> ByteStream:
    try:
        return await anyio.connect_tcp(host, port)
    except (OSError, ValueError) as error:  # ValueError: a host that IDNA refuses
        raise ConnectError(f"the connection could not be made: {in_words(error)}") from error


async def _start_tls(connection: ByteStream, host: str, context: ssl.SSLContext) -> ByteStream:
    try:
        return await TLSStream.wrap(
            connection,
            server_side=False,
            hostname=host,
            ssl_context=context,
            standard_compatible=False,
        )
    except (ssl.SSLError, anyio.EndOfStream) as error:
        raise TLSError(f"the TLS handshake failed: {in_words(error)}") from error
    except (*BROKEN, ValueError) as error:
        kind = TLSError if isinstance(error.__cause__, ssl.SSLError) else ConnectError
        raise kind(f"the connection broke in the TLS handshake: {in_words(error)}") from error


def _split_proxy(proxy: str) -> SplitResult:
    try:
        parts = urlsplit(proxy)
        if parts.scheme == "http" and parts.hostname and parts.port != 0:
            return parts
    except ValueError:
        pass  # its message may show the password
    raise ValueError("proxy should be http://[user:password@]host[:port]")
