"""HTTP/1.1 for `serve`, `record` and the fake server: h11 on asyncio's streams.

1. A connection carries one exchange after the other. The server reads a whole request, and then
   calls the handler: a coroutine that gets an `Exchange` and answers it with `start`, `send` and
   `end`, or with `abort`. What the handler does not finish is aborted.
2. The server reads the connection while a handler runs. A client that closes it, even only its own
   half, has left: the handler is cancelled at once. What a client sends ahead is kept, up to a
   limit. A client that does not read has left, too.
3. The guard checks who sends a request before its body is read: see `_guard.py`.
4. Connections, their requests and their silence are limited: see `_limits.py`. How long a handler
   takes is not limited. It may replay silence on purpose.
5. `stop()` accepts no more requests, and waits for the current exchanges. `abort()` ends those too.
6. An exception of a handler is an error of this program. Its traceback goes to standard error, and
   the server goes on.
"""

from __future__ import annotations

import asyncio
import sys
import traceback
from collections.abc import Awaitable, Callable
from contextlib import suppress

from ._connection import Connection, Log
from ._exchange import Exchange
from ._guard import Guard
from ._limits import ServerLimits
from ._writer import ClientLeft

_MAX_REFUSALS = 64  # connections that are being refused; more are closed without an answer

Handler = Callable[[Exchange], Awaitable[None]]


class HTTPServer:
    """Answer requests with `handler`, and call `log` with each exchange at its end."""

    def __init__(
        self, handler: Handler, guard: Guard, log: Log, limits: ServerLimits | None = None
    ) -> None:
        self._handler = handler
        self._guard = guard
        self._log = log
        self._limits = limits or ServerLimits()
        self._connections: dict[asyncio.Task[None], Connection] = {}
        self._listener: asyncio.Server | None = None
        self._stopping = False

    @property
    def current(self) -> int:
        """The number of current exchanges."""
        return sum(connection.exchange is not None for connection in self._connections.values())

    async def start(self, host: str, port: int) -> int:
        """Listen. Returns the port. Raises OSError."""
        self._listener = await asyncio.start_server(self._accept, host, port, backlog=1024)
        if not self._listener.sockets:  # asyncio only logs that
            raise OSError(f"no socket could be opened to listen on {host}")
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

    async def _accept(self, reader: asyncio.StreamReader, stream: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        most = self._limits.max_connections
        number = len(self._connections)
        if number >= most + _MAX_REFUSALS:
            stream.transport.abort()
            return
        connection = self._connections[task] = Connection(
            reader, stream, self._guard, self._limits, self._bodies, self._log
        )
        try:
            if number >= most:
                message = f"this server has its most connections ({most:,}): try again later"
                await connection.refuse(503, message)
                return
            while not self._stopping and (exchange := await connection.next_exchange()):
                await self._handle(connection, exchange)
                if not connection.is_reusable():
                    break
        except (asyncio.CancelledError, OSError, ClientLeft):
            pass  # the server stops, or the client has left
        finally:
            await connection.close()  # before the removal: only `abort` may end this
            del self._connections[task]

    async def _handle(self, connection: Connection, exchange: Exchange) -> None:
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
            connection.body_size = 0
            if exchange.is_open:
                exchange.abort()
            self._log(exchange)

    async def _answer(self, exchange: Exchange) -> None:
        try:
            await self._handler(exchange)
        except ClientLeft as left:
            exchange.client_left = True
            exchange.note = ", ".join(filter(None, [exchange.note, str(left)]))
        except Exception:  # noqa: BLE001 - rule 6
            traceback.print_exc(file=sys.stderr)
            exchange.note = "an error of this program, see above"
            if exchange.status_code is None:
                with suppress(ClientLeft):
                    await exchange.answer(
                        500, b"Internal Server Error", [("content-type", "text/plain")]
                    )

    def _bodies(self) -> int:
        return sum(connection.body_size for connection in self._connections.values())
