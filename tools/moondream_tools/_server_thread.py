"""A server on loopback in a thread, on an event loop of its own.

So the event loop of the caller, its backend and its blocking calls do not matter. At the end no
thread, socket or task is left.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from typing import Final

from ._connection import Log
from ._guard import Guard
from ._http_server import Handler, HTTPServer
from ._limits import ServerLimits

HOST: Final = "127.0.0.1"
_LIMITS: Final = ServerLimits(max_connections=10_000)  # a test may make as many as it likes


class ServerThread:
    """Answer the requests that `guard` accepts with `handler`.

    `log` is called with each exchange at its end. Both are called in the thread of the server.
    """

    def __init__(self, handler: Handler, guard: Guard, log: Log) -> None:
        self._server = HTTPServer(handler, guard, log, _LIMITS)
        self._thread: threading.Thread | None = None
        self._stop: Callable[[], object] = lambda: None
        self._port = 0

    @property
    def port(self) -> int:
        """The port that the server listens on. Raises RuntimeError if it does not run."""
        if not self._port:
            raise RuntimeError("the server has an address only between its start and its close")
        return self._port

    def start(self) -> None:
        """Listen. Raises OSError, and RuntimeError if the server was started before."""
        if self._thread is not None:
            raise RuntimeError("the server was started before")
        started: Future[int] = Future()
        self._thread = threading.Thread(
            target=self._run, args=[started], name="moondream-server", daemon=True
        )
        self._thread.start()
        try:
            self._port = started.result()
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Break off what is being answered, and stop. May be called again."""
        self._port = 0
        self._stop()
        if self._thread is not None:
            self._thread.join()

    def _run(self, started: Future[int]) -> None:
        try:
            with asyncio.Runner() as runner:
                runner.run(self._serve(started))
        except Exception as error:
            if started.done():
                raise
            started.set_exception(error)

    async def _serve(self, started: Future[int]) -> None:
        port = await self._server.start(HOST, 0)
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()

        def stop_soon() -> None:
            with suppress(RuntimeError):  # it has stopped
                loop.call_soon_threadsafe(stop.set)

        self._stop = stop_soon
        started.set_result(port)
        await stop.wait()
        stopping = asyncio.create_task(self._server.stop())
        await asyncio.sleep(0)  # it accepts no more connections
        self._server.abort()
        await stopping
