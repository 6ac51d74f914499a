"""HTTP/1.1 for the servers of the command line: h11 on asyncio's streams.

1. A connection carries one exchange after the other. The server reads a whole request, up to a
   limit, and then calls the handler: a coroutine that gets an `Exchange` and answers it with
   `start`, `send` and `end`, or with `abort`. What the handler does not finish is aborted.
2. The server reads the connection while a handler runs. A client that closes it, even only its own
   half, has left: the handler is cancelled at once. What a client sends ahead is kept, up to a
   limit.
3. The guard checks `Host` and `Origin` before the body is read: see `_guard.py`.
4. `stop()` accepts no more requests, and waits for the current exchanges. `abort()` ends those too.
5. An exception of a handler is an error of this program. Its traceback goes to standard error, and
   the server goes on.
"""

from __future__ import annotations

import asyncio
import sys
import traceback
from collections.abc import Awaitable, Callable
from contextlib import suppress

import h11
from msgspec.structs import replace

from sansio_moondream import Headers, HTTPRequest

from ._exchange import ClientLeft, Exchange
from ._guard import Guard

MAX_BODY_BYTES = 32 * 1024 * 1024
_MAX_HEAD_BYTES = 64 * 1024
_MAX_AHEAD_BYTES = 64 * 1024
_READ_BYTES = 64 * 1024
_LINGER_SECONDS = 2.0

_UNREADABLE = HTTPRequest("?", "http://localhost/?", (), b"")

Handler = Callable[[Exchange], Awaitable[None]]
Log = Callable[[Exchange], None]


class HTTPServer:
    """Answer requests with `handler`, and call `log` with each exchange at its end."""

    def __init__(self, handler: Handler, guard: Guard, log: Log) -> None:
        self._handler = handler
        self._guard = guard
        self._log = log
        self._connections: dict[asyncio.Task[None], _Connection] = {}
        self._listener: asyncio.Server | None = None
        self._stopping = False

    @property
    def current(self) -> int:
        """The number of current exchanges."""
        return sum(connection.exchange is not None for connection in self._connections.values())

    async def start(self, host: str, port: int) -> int:
        """Listen. Returns the port. Raises OSError."""
        self._listener = await asyncio.start_server(self._accept, host, port, backlog=1024)
        where: tuple[str, int] = self._listener.sockets[0].getsockname()
        return where[1]

    async def stop(self) -> None:
        """Accept no more requests, and wait until the current ones are answered."""
        self._stopping = True
        if self._listener is not None:
            self._listener.close()
        for task, connection in self._connections.items():
            if connection.is_idle:
                task.cancel()
        while self._connections:
            await asyncio.wait(self._connections)

    def abort(self) -> None:
        """Abort the current exchanges. `stop` returns then."""
        for task, connection in self._connections.items():
            connection.abort()  # closing would wait for a client that does not read
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
            pass  # the server stops, or the client has left
        finally:
            await connection.close()  # before the removal: only `abort` may end this
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
                exchange.abort()
            self._log(exchange)

    async def _answer(self, exchange: Exchange) -> None:
        try:
            await self._handler(exchange)
        except ClientLeft:
            exchange.client_left = True
        except Exception:  # noqa: BLE001 - rule 5
            traceback.print_exc(file=sys.stderr)
            exchange.note = "an error of this program, see above"
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
        """Read the next request. Returns None at the end, and after a request that is refused."""
        try:
            head = await self._next_event()
            if not isinstance(head, h11.Request):
                return None
            headers = [
                (name.decode("ascii"), value.decode("latin-1")) for name, value in head.headers
            ]
            target = head.target.decode("ascii")
            if not target.startswith("/"):  # a whole URL, as for a proxy, or *
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
            await self._refuse(error.error_status_hint, "this is not an HTTP/1.1 request")
            return None
        if not isinstance(event, h11.EndOfMessage):
            return None
        self.exchange = Exchange(replace(request, body=bytes(body)), self._http, self._writer)
        return self.exchange

    async def wait_until_left(self) -> None:
        """Return when the client has closed its side.

        Bytes that arrive before are kept for the next exchange.
        """
        ahead = 0
        while ahead < _MAX_AHEAD_BYTES:
            with suppress(ConnectionError):
                if data := await self._reader.read(_READ_BYTES):
                    self._http.receive_data(data)
                    ahead += len(data)
                    continue
            return
        # We read no more than the limit, so we cannot see the end. This waits until cancelled.
        await asyncio.Event().wait()

    def is_reusable(self) -> bool:
        """Begin the next exchange. Returns False if the connection cannot carry one."""
        if self._http.our_state is not h11.DONE or self._http.their_state is not h11.DONE:
            return False
        self._http.start_next_cycle()
        return True

    async def close(self) -> None:
        self._writer.close()
        with suppress(OSError, asyncio.CancelledError):  # cancelled only by `abort`
            await self._writer.wait_closed()

    @property
    def is_idle(self) -> bool:
        """True if no exchange is current, and no rest of an answer is being sent."""
        return self.exchange is None and not self._writer.is_closing()

    def abort(self) -> None:
        """Close the connection now, and drop what was not sent."""
        self._writer.transport.abort()

    async def _next_event(self) -> h11.Event | None:
        while (event := self._http.next_event()) is h11.NEED_DATA:
            if self._http.they_are_waiting_for_100_continue:
                self._writer.write(
                    self._http.send(h11.InformationalResponse(status_code=100, headers=[])) or b""
                )
            self._http.receive_data(await self._reader.read(_READ_BYTES))
        return event if isinstance(event, h11.Event) else None

    async def _refuse(
        self, status_code: int, message: str, request: HTTPRequest = _UNREADABLE
    ) -> None:
        """Answer with an error, and close.

        We read what the client still sends for a while. Otherwise a TCP reset could remove the
        answer before the client has read it.
        """
        exchange = Exchange(request, self._http, self._writer)
        exchange.note = message
        with suppress(h11.LocalProtocolError, ClientLeft, OSError):
            await exchange.answer(
                status_code,
                message.encode(),
                [("content-type", "text/plain"), ("connection", "close")],
            )
            self._log(exchange)
            self._writer.write_eof()
            with suppress(TimeoutError):
                async with asyncio.timeout(_LINGER_SECONDS):
                    while await self._reader.read(_READ_BYTES):
                        pass
