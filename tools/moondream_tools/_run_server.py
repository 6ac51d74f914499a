"""Run a server as a program until a signal stops it.

1. The first line of standard output is the address for requests. Nothing else is written there.
2. Standard error gets a line for each exchange, with the path but no query string and no header. So
   it has no keys.
3. After the first signal, the current exchanges have some seconds to end. The second signal, or the
   end of this time, aborts them.
"""

from __future__ import annotations

import asyncio
import errno
import os
import signal
import socket
import sys
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Any

from ._client_arguments import UsageError
from ._connection import Log
from ._exchange import Exchange
from ._guard import Guard
from ._http_server import Handler, HTTPServer
from ._limits import ServerLimits
from ._terminal import safe

GRACE_SECONDS = 10.0
_MAX_PATH = 200  # characters of a path in the log


async def run_server(
    handler: Handler,
    guard: Guard,
    limits: ServerLimits,
    host: str,
    port: int,
    path: str,
    about: str,
    request_log: Log | None = None,
    *,
    log: Log | None = None,
    on_start: Callable[[str], object] | None = None,
    grace: float = GRACE_SECONDS,
) -> bool:
    """Serve until a signal comes.

    Args:
        handler: answers the requests.
        guard: decides which requests are accepted.
        limits: of connections and requests.
        host: the address to listen on.
        port: the port to listen on, or 0 for any.
        path: is added to the printed address.
        about: the first line of the log.
        request_log: is called with each exchange at its end, too. May raise OSError.
        log: writes the lines of the log, in place of `write_exchange`.
        on_start: is called with the address, when it is printed.
        grace: seconds that the current exchanges have to end after the first signal.

    Returns:
        True if all exchanges ended, False if some were aborted.

    Raises UsageError if the address is not available, and OSError for standard output.
    """

    def log_both(exchange: Exchange) -> None:
        (log or write_exchange)(exchange)
        if request_log is not None:
            try:
                request_log(exchange)
            except OSError as error:  # the disk is full, for example
                write_log(f"the request log lacks this exchange: {error}")

    server = HTTPServer(handler, guard, log_both, limits)
    try:
        port = await server.start(host, port)
    except OSError as error:
        raise UsageError(_in_words(error, host, port)) from error
    signals: asyncio.Queue[int] = asyncio.Queue()
    with _handling_signals(signals.put_nowait):
        # The signal handlers are installed first: a reader of this line may send a signal.
        address = f"http://{f'[{host}]' if ':' in host else host}:{port}{path}"
        try:
            print(address, flush=True)
        except OSError:
            server.abort()
            await server.stop()
            raise
        write_log(about)
        if on_start is not None:
            on_start(address)
        await signals.get()
        return await _stop(server, signals, grace)


@contextmanager
def _handling_signals(hear: Callable[[int], object]) -> Generator[None]:
    """Call `hear` in the running event loop for each SIGINT and SIGTERM, inside a block."""
    loop = asyncio.get_running_loop()
    replaced: dict[int, Any] = {}

    def handle(number: int, _frame: FrameType | None) -> None:
        loop.call_soon_threadsafe(hear, number)

    numbers: tuple[int, ...] = (signal.SIGINT, signal.SIGTERM)
    for number in numbers:
        try:
            loop.add_signal_handler(number, hear, number)
        except NotImplementedError:  # the event loops of Windows have no signal handlers
            replaced[number] = signal.signal(number, handle)
    try:
        yield
    finally:
        for number, before in replaced.items():
            signal.signal(number, before)


async def _stop(server: HTTPServer, signals: asyncio.Queue[int], grace: float) -> bool:
    """Let the current exchanges end. Returns whether all did."""
    stopping = asyncio.create_task(server.stop())
    await asyncio.sleep(0)  # the listener is closed before the next line of the log
    if count := server.current:
        write_log(
            f"exchanges still running: {count}; they have {grace:g} seconds to end; "
            "a second signal aborts them"
        )
    second_signal = asyncio.create_task(signals.get())
    await asyncio.wait(
        [stopping, second_signal], timeout=grace, return_when=asyncio.FIRST_COMPLETED
    )
    second_signal.cancel()
    ended = stopping.done()
    server.abort()
    await stopping
    return ended


def _in_words(error: OSError, host: str, port: int) -> str:
    """Return why nothing can be listened on."""
    if error.errno == errno.EADDRINUSE:
        return f"{host}:{port} is in use by another program: choose another --port"
    # The text of asyncio has the address as a tuple.
    is_name = isinstance(error, socket.gaierror) or error.errno is None
    reason = error.strerror or str(error) if is_name else os.strerror(error.errno or 0)
    return f"cannot listen on {host}:{port}: {reason.lower()}"


def write_exchange(exchange: Exchange) -> None:
    """Write the line of an exchange."""
    seconds = time.monotonic() - exchange.began_at
    status = exchange.status_code or "no answer"
    ending = (
        ", the client left" if exchange.client_left else ", aborted" if exchange.is_aborted else ""
    )
    note = f" ({exchange.note})" if exchange.note else ""
    write_log(
        f"{exchange.request.method} {exchange.path[:_MAX_PATH]} {status}, "
        f"{exchange.bytes_sent:,} bytes in {seconds:.3f} s{ending}{note}"
    )


def write_log(text: str) -> None:
    """Write a line of the log."""
    with suppress(OSError):  # the log has no reader, or its disk is full
        print(safe(text).replace("\n", " "), file=sys.stderr, flush=True)
