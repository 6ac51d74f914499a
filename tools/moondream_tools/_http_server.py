"""HTTP/1.1 for the servers of the command line: h11 on asyncio's streams, with every byte of an
answer in the handler's hands.

1. A connection carries one exchange after the other. The request is read whole, up to a limit,
   before the handler is called: a coroutine that gets an `Exchange` and answers it with `start`,
   `send` and `end`, or with `cut`. What it leaves unfinished is cut.
2. While a request is handled the connection is read. A client that closes it, if only its own half,
   has left: the handler is cancelled at once. What a client sends ahead of the answer waits, up to
   a limit.
3. `Host` and `Origin` are looked at before the body is read: see `_guard.py`.
4. `stop()` ends the exchanges that are under way and takes no more; `cut_off()` ends those too.
5. A handler that fails is a fault of ours: it is shown on standard error, and the server goes on.
"""

from __future__ import annotations

import asyncio
import socket
import struct
import sys
import time
import traceback
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from http import HTTPStatus

import h11
from msgspec.structs import replace

from sansio_moondream import Headers, HTTPRequest

from ._guard import Guard

MAX_BODY_BYTES = 32 * 1024 * 1024
_MAX_HEAD_BYTES = 64 * 1024
_AHEAD = 64 * 1024
_PORTION = 64 * 1024
_LINGER_SECONDS = 2.0
_HOP_BY_HOP = frozenset({
    "connection",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
})  # fmt: skip

_UNREADABLE = HTTPRequest("?", "http://localhost/?", (), b"")

Field = tuple[str, str]


class ClientLeft(Exception):
    """There is nobody to answer any more."""


class Exchange:
    """A request, and how it is being answered.

    The request's URL has its target, and always the host `localhost`.
    """

    def __init__(
        self, request: HTTPRequest, http: h11.Connection, writer: asyncio.StreamWriter
    ) -> None:
        self.request = request
        self.headers = Headers(request.headers)
        self.path = "/" + request.url.split("/", 3)[3].partition("?")[0]
        self.began_at = time.monotonic()
        self.status_code: int | None = None
        self.bytes_sent = 0
        self.note = ""  # for the log
        self.client_left = False
        self.is_cut = False
        self._http = http
        self._writer = writer

    @property
    def is_open(self) -> bool:
        """Whether the answer lacks its end."""
        return self._http.our_state in (h11.IDLE, h11.SEND_RESPONSE, h11.SEND_BODY)

    async def start(self, status_code: int, headers: Iterable[Field] = ()) -> None:
        """Send the head. Without a Content-Length the body is chunked, or, for a client of
        HTTP/1.0, ends with the connection.
        """
        self.status_code = status_code
        fields = [(name.encode("ascii"), value.encode("latin-1")) for name, value in headers]
        await self._write(
            self._http.send(
                h11.Response(status_code=status_code, headers=fields, reason=_reason(status_code))
            )
        )

    async def send(self, data: bytes) -> None:
        """Send a chunk of the body, at once and by itself: as a chunk of its own, where the body is
        chunked.
        """
        if self.request.method != "HEAD" and data:
            self.bytes_sent += len(data)
            await self._write(self._http.send(h11.Data(data)))

    async def send_unframed(self, data: bytes) -> None:
        """Send bytes where a chunk, or the end, should be. Only `cut` may follow."""
        await self._write(data)

    async def end(self) -> None:
        """The answer is whole."""
        await self._write(self._http.send(h11.EndOfMessage()))

    async def answer(self, status_code: int, body: bytes, headers: Iterable[Field] = ()) -> None:
        """Builder in one go, with the length in the head."""
        await self.start(status_code, [*headers, ("content-length", str(len(body)))])
        await self.send(body)
        await self.end()

    def cut(self, *, reset: bool = False) -> None:
        """Close the connection as it is, in the middle of whatever was sent; with `reset`, as a
        machine does that has crashed (RST).
        """
        self.is_cut = True
        if reset:
            with suppress(OSError):
                self._writer.get_extra_info("socket").setsockopt(
                    socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0)
                )
            self._writer.transport.abort()
        else:
            self._writer.close()

    async def _write(self, data: bytes | None) -> None:
        if self._writer.is_closing():
            raise ClientLeft
        self._writer.write(data or b"")
        try:
            await self._writer.drain()
        except ConnectionError as error:
            raise ClientLeft from error


Handler = Callable[[Exchange], Awaitable[None]]
Log = Callable[[Exchange], None]


class HTTPServer:
    """Answers requests with `handler`; `log` gets each exchange when it is over."""

    def __init__(self, handler: Handler, guard: Guard, log: Log) -> None:
        self._handler = handler
        self._guard = guard
        self._log = log
        self._connections: dict[asyncio.Task[None], _Connection] = {}
        self._listener: asyncio.Server | None = None
        self._stopping = False

    @property
    def under_way(self) -> int:
        """How many exchanges have not ended."""
        return sum(connection.exchange is not None for connection in self._connections.values())

    async def start(self, host: str, port: int) -> int:
        """Listen, and give the port. Raises OSError."""
        self._listener = await asyncio.start_server(self._accept, host, port, backlog=1024)
        where: tuple[str, int] = self._listener.sockets[0].getsockname()
        return where[1]

    async def stop(self) -> None:
        """Take no more requests, and wait until those under way are answered."""
        self._stopping = True
        if self._listener is not None:
            self._listener.close()
        for task, connection in self._connections.items():
            if connection.is_idle:
                task.cancel()
        while self._connections:
            await asyncio.wait(self._connections)

    def cut_off(self) -> None:
        """Cut what is under way. `stop` returns then."""
        for task, connection in self._connections.items():
            connection.abort()  # or closing would wait for a client that does not read
            task.cancel()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        connection = self._connections[task] = _Connection(reader, writer, self._guard, self._log)
        try:
            while not self._stopping and (exchange := await connection.next_exchange()):
                await self._handle(connection, exchange)
                if not connection.is_reusable():
                    break
        except (asyncio.CancelledError, ConnectionError, ClientLeft):
            pass  # the server was told to stop, or there is nobody to talk to
        finally:
            await connection.close()  # before it is forgotten: `cut_off` may be needed to end this
            del self._connections[task]

    async def _handle(self, connection: _Connection, exchange: Exchange) -> None:
        try:
            async with asyncio.TaskGroup() as tasks:
                handling = tasks.create_task(self._answer(exchange))
                watching = tasks.create_task(connection.wait_until_left())
                handling.add_done_callback(lambda _: watching.cancel())
                watching.add_done_callback(lambda task: task.cancelled() or handling.cancel())
            exchange.client_left = exchange.is_open and (
                exchange.client_left or handling.cancelled()
            )
        finally:
            connection.exchange = None
            if exchange.is_open:
                exchange.cut()
            self._log(exchange)

    async def _answer(self, exchange: Exchange) -> None:
        try:
            await self._handler(exchange)
        except ClientLeft:
            exchange.client_left = True
        except Exception:  # noqa: BLE001 - rule 5
            traceback.print_exc(file=sys.stderr)
            exchange.note = "a fault of this program, see above"
            if exchange.status_code is None:
                with suppress(ClientLeft):
                    await exchange.answer(
                        500, b"Internal Server Error", [("content-type", "text/plain")]
                    )


class _Connection:
    def __init__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, guard: Guard, log: Log
    ) -> None:
        self.exchange: Exchange | None = None
        self._reader = reader
        self._writer = writer
        self._guard = guard
        self._log = log
        self._http = h11.Connection(h11.SERVER, max_incomplete_event_size=_MAX_HEAD_BYTES)

    async def next_exchange(self) -> Exchange | None:
        """The next request, whole;

        None if there is none. What cannot become one is refused here.
        """
        try:
            head = await self._next_event()
            if not isinstance(head, h11.Request):
                return None
            headers = [
                (name.decode("ascii"), value.decode("latin-1")) for name, value in head.headers
            ]
            target = head.target.decode("ascii")
            if not target.startswith("/"):  # with the whole URL, as for a proxy, or *
                target = "/" + target.partition("://")[2].partition("/")[2]
            request = HTTPRequest(
                head.method.decode("ascii"), f"http://localhost{target}", tuple(headers), b""
            )
            if refusal := self._guard.refusal(Headers(headers)):
                await self._refuse(403, refusal, request)
                return None
            body = bytearray()
            while isinstance(event := await self._next_event(), h11.Data):
                body += event.data
                if len(body) > MAX_BODY_BYTES:
                    await self._refuse(
                        413, f"the request's body is longer than {MAX_BODY_BYTES:,} bytes", request
                    )
                    return None
        except h11.RemoteProtocolError as error:
            await self._refuse(error.error_status_hint, "this is no request of HTTP/1.1")
            return None
        if not isinstance(event, h11.EndOfMessage):
            return None
        self.exchange = Exchange(replace(request, body=bytes(body)), self._http, self._writer)
        return self.exchange

    async def wait_until_left(self) -> None:
        """Return when the client has closed its side.

        What it sends until then is kept for the next exchange.
        """
        ahead = 0
        while ahead < _AHEAD:
            with suppress(ConnectionError):
                if data := await self._reader.read(_PORTION):
                    self._http.receive_data(data)
                    ahead += len(data)
                    continue
            return
        await (
            asyncio.Event().wait()
        )  # until cancelled: so much is not taken in, so the end cannot be seen

    def is_reusable(self) -> bool:
        """Whether the next exchange can begin; if so, it has."""
        if self._http.our_state is not h11.DONE or self._http.their_state is not h11.DONE:
            return False
        self._http.start_next_cycle()
        return True

    async def close(self) -> None:
        self._writer.close()
        with suppress(OSError, asyncio.CancelledError):  # cancelled it was aborted, see `cut_off`
            await self._writer.wait_closed()

    @property
    def is_idle(self) -> bool:
        """Whether it is neither answering, nor sending the rest of an answer before it closes."""
        return self.exchange is None and not self._writer.is_closing()

    def abort(self) -> None:
        """Close it now, with whatever waits to be sent."""
        self._writer.transport.abort()

    async def _next_event(self) -> h11.Event | None:
        while (event := self._http.next_event()) is h11.NEED_DATA:
            if self._http.they_are_waiting_for_100_continue:
                self._writer.write(
                    self._http.send(h11.InformationalResponse(status_code=100, headers=[])) or b""
                )
            self._http.receive_data(await self._reader.read(_PORTION))
        return event if isinstance(event, h11.Event) else None

    async def _refuse(
        self, status_code: int, words: str, request: HTTPRequest = _UNREADABLE
    ) -> None:
        """Builder, and close: what the client still sends is read for a while, since a reset would
        take the answer with it.
        """
        exchange = Exchange(request, self._http, self._writer)
        exchange.note = words
        with suppress(h11.LocalProtocolError, ClientLeft, OSError):
            await exchange.answer(
                status_code,
                words.encode(),
                [("content-type", "text/plain"), ("connection", "close")],
            )
            self._log(exchange)
            self._writer.write_eof()
            with suppress(TimeoutError):
                async with asyncio.timeout(_LINGER_SECONDS):
                    while await self._reader.read(_PORTION):
                        pass


def end_to_end(headers: Iterable[Field]) -> list[Field]:
    """The headers that are meant for the other end, and not for the next machine on the way (RFC
    9110, section 7.6.1).
    """
    fields = list(headers)
    named = {
        word.strip().lower()
        for name, value in fields
        if name.lower() == "connection"
        for word in value.split(",")
    }
    return [(name, value) for name, value in fields if name.lower() not in _HOP_BY_HOP | named]


def _reason(status_code: int) -> bytes:
    with suppress(ValueError):
        return HTTPStatus(status_code).phrase.encode("ascii")
    return b""
